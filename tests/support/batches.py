"""What tests of batches and of failed messages have in common."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from flask_mqtt import MQTTMessage  # noqa: TC001 - a batch looks at its handler's annotations

if TYPE_CHECKING:
    from .scripted import ScriptedBroker

#: Longer than any test takes: a batch that waits for it waits for ever.
FOREVER = 600.0


class Seen:
    """What a handler of batches has got."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.threads: list[str] = []

    def handle(self, _client: Any, messages: list[MQTTMessage]) -> None:
        self.threads.append(threading.current_thread().name)
        self.batches.append([message.payload for message in messages])

    @property
    def payloads(self) -> list[bytes]:
        """The payloads of all batches."""
        return [payload for batch in self.batches for payload in batch]


def send(broker: ScriptedBroker, numbers: range, qos: int = 1, topic: str = "t/1") -> None:
    """Have the broker send a message for each number."""
    for number in numbers:
        broker.publish(topic, b"%d" % number, qos=qos)
