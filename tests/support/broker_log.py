"""What a mosquitto with `log_type all` has logged about its clients."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mosquitto import Mosquitto

CONNECTED = re.compile(r"^(\d+): New client connected from \S+ as (\S+) ", re.MULTILINE)
TAKEN_OVER = re.compile(r"^\d+: Client (\S+) already connected", re.MULTILINE)
SUBSCRIBED = re.compile(r"^\d+: Sending SUBACK to (\S+)$", re.MULTILINE)
DISCONNECTED = re.compile(r"^\d+: Received DISCONNECT from (\S+)$", re.MULTILINE)
PUBLISHED = re.compile(
    r"^\d+: Received PUBLISH from (\S+) \(d\d, q\d, r\d, m\d+, '(.+?)', ", re.MULTILINE
)


class BrokerLog:
    """Reads the log of a broker, about the clients whose names begin in one way."""

    def __init__(self, broker: Mosquitto, clients: str) -> None:
        self._broker = broker
        self._clients = clients

    def connects(self) -> list[tuple[int, str]]:
        """Return the second and the client of each connection that was accepted."""
        found = CONNECTED.findall(self._broker.log)
        return [(int(second), name) for second, name in found if self._is_asked_for(name)]

    def most_connects_a_second(self) -> int:
        """Return how many connections there were in the second that had most."""
        return max(Counter(second for second, _ in self.connects()).values(), default=0)

    def have_connected(self, count: int) -> bool:
        """Whether so many clients have, and neither in this second nor in the one before."""
        found = self.connects()
        is_over = time.time() >= max((second for second, _ in found), default=0) + 2
        return is_over and len({name for _, name in found}) >= count

    def taken_over(self) -> list[str]:
        """Return the clients that another one with the same name has thrown out."""
        return [name for name in TAKEN_OVER.findall(self._broker.log) if self._is_asked_for(name)]

    def subscribed(self) -> set[str]:
        """Return the clients that have subscribed to something."""
        return {name for name in SUBSCRIBED.findall(self._broker.log) if self._is_asked_for(name)}

    def disconnects(self) -> list[str]:
        """Return the clients that have said DISCONNECT, once for each time."""
        return [name for name in DISCONNECTED.findall(self._broker.log) if self._is_asked_for(name)]

    def published(self, topic: str) -> Counter[str]:
        """Return how often each topic below one was published to."""
        found = PUBLISHED.findall(self._broker.log)
        return Counter(
            name.removeprefix(f"{topic}/")
            for client, name in found
            if self._is_asked_for(client) and name.startswith(f"{topic}/")
        )

    def _is_asked_for(self, client: str) -> bool:
        return client.startswith(self._clients)
