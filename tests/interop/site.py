"""What a check gets to work with: one broker, and topics that no other check uses."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from .cable import Cable
from .client import Client, Failed, expect

if TYPE_CHECKING:
    from collections.abc import Callable

    from .broker import Broker

_numbers = itertools.count(1)


class Site:
    """A broker for one check; `topic` belongs to the check, and a client id on request."""

    def __init__(self, broker: Broker, via: str = "tcp", version: int = 4) -> None:
        self.broker = broker
        self.via = via
        self.version = version
        number = next(_numbers)
        self.topic = f"interop/{number}"
        self.client_id = f"interop-{os.getpid()}-{number}"

    def client(self, **config: Any) -> Client:
        """Connect; `config` comes before what the broker needs."""
        way = self.broker.way(self.via, self.version)
        return Client(**{"protocol_version": self.version, **way, **config})

    def cable(self) -> Cable:
        """Put a cable before the broker's TCP port."""
        return Cable(self.broker.way("tcp", self.version)["broker_port"])

    def round_trip(self, qos: int, **config: Any) -> None:
        """Send a message to the broker and get it back."""
        topic = f"{self.topic}/{qos}"
        with self.client(**config) as client:
            expect(client.subscribe(topic, qos), qos, "QoS granted to a subscription")
            client.publish(topic, b"there and back", qos)
            message = client.receive()
            expect((message.topic, message.payload), (topic, b"there and back"), "message")
            expect(message.qos, qos, "QoS of the message")

    def share(self, count: int) -> None:
        """Send messages that two clients share."""
        keys = {"worker_mode": "shared"}
        with self.client(**keys) as one, self.client(**keys) as other, self.client() as sender:
            both = (one, other)
            for client in both:
                client.subscribe(self.topic, 1)
            for number in range(count):
                sender.publish(self.topic, str(number).encode(), 1)
            # A message of its own comes to each when all others have.
            for number, client in enumerate(both):
                client.subscribe(f"{self.topic}/{number}", 1)
                sender.publish(f"{self.topic}/{number}", b"last", 1)
            shares = [received(client) for client in both]
            got = [*itertools.chain(*shares)]
            expect(len(set(got)), count, "messages that arrived")
            expect(len(got), count, "times that messages arrived")
            expect(all(shares), True, "both clients got messages")


def received(client: Client) -> list[bytes]:
    """Return the payloads up to one that says that it is the last."""
    payloads: list[bytes] = []
    while not payloads or payloads[-1] != b"last":
        payloads.append(client.receive().payload)
    return payloads[:-1]


class Feature(NamedTuple):
    """A row of the table. `check` returns where the feature works and raises where it does not."""

    key: str
    title: str
    section: str
    check: Callable[[Site], None]
    via: str
    version: int


FEATURES: dict[str, Feature] = {}


def feature(
    title: str, section: str, via: str = "tcp", version: int = 4
) -> Callable[[Callable[[Site], None]], Callable[[Site], None]]:
    """Make a row of the function below; its name is the key."""

    def register(check: Callable[[Site], None]) -> Callable[[Site], None]:
        key = check.__name__
        FEATURES[key] = Feature(key, title, section, check, via, version)
        return check

    return register


def refuses(connect: Callable[[], Client], what: str) -> None:
    """Fail where a connection is made that must not be."""
    try:
        client = connect()
    except (Failed, OSError):
        return
    client.mqtt.close()
    raise Failed(what)
