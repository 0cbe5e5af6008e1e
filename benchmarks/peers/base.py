"""What the tasks ask of a client."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Where the message goes whose acknowledgement says that all before it have arrived.
END = "bench/end"
#: Seconds that a client has for a step that takes milliseconds.
PATIENCE = 30


@dataclass(frozen=True)
class Target:
    """Where the broker is, on this machine.

    transport: "tcp", "tls" or "websockets". certificate: the file with the broker's own. topic and
    size: of the messages that it sends, for a client that does not look into packets. gather_time:
    `MQTT_GATHER_TIME`, instead of the default.
    """

    port: int
    transport: str = "tcp"
    certificate: str = ""
    topic: str = "bench/0"
    size: int = 64
    gather_time: float | None = None


def wait(event: threading.Event, what: str) -> None:
    """Wait for what the broker says."""
    if not event.wait(PATIENCE):
        raise TimeoutError(f"no {what} within {PATIENCE} s")


class Peer(ABC):
    """A client. First its handlers are set, then it connects."""

    def __init__(self, target: Target) -> None:
        """Keep where the broker is."""
        self.target = target
        #: A handler that does nothing else calls this, which counts.
        self.tick = count().__next__
        self._looked = 0
        self._reported = threading.Event()
        self._waiting_for = 0

    def handled(self) -> int:
        """Return how many times `tick` was called."""
        self._looked += 1
        return self.tick() - self._looked + 1

    @abstractmethod
    def count(self, filters: Sequence[str]) -> None:
        """Have a handler for each of the filters, or one for all messages; each only counts."""

    @abstractmethod
    def listen(self, call: Callable[[bytes], object]) -> None:
        """Have a handler for all messages that passes their payload on."""

    def report(self) -> None:
        """Have a handler that is called for each message that was published, and only counts."""
        raise NotImplementedError

    @abstractmethod
    def connect(self) -> None:
        """Connect, and return when the broker has accepted."""

    @abstractmethod
    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Subscribe, and return when the broker has granted it."""

    def unsubscribe(self, topic_filter: str) -> None:
        """Have no more messages, until the next `subscribe`."""
        raise NotImplementedError

    @abstractmethod
    def publish(self, topic: str, payload: bytes) -> None:
        """Publish one message of QoS 0, from the main thread or from a handler."""

    @abstractmethod
    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Publish so many messages, without waiting for the broker where the client need not."""

    @abstractmethod
    def drain(self, qos: int) -> None:
        """Wait until the broker has all that was sent, and has acknowledged what is of that QoS."""

    def drain_reports(self, messages: int) -> None:
        """Wait until the handler of `report` was called for so many messages altogether."""
        if not self._reported.wait(PATIENCE):
            raise TimeoutError(f"{self.handled()} of {messages} messages were reported")

    def expect_reports(self, messages: int) -> None:
        """Say beforehand for how many messages altogether `drain_reports` will wait."""
        self._reported.clear()
        self._waiting_for = messages - 1

    def reported(self) -> None:
        """Count a report, which a handler for them calls."""
        if self.tick() == self._waiting_for:
            self._reported.set()
