"""Messages that are published as fast as the client takes them, and acknowledged by the broker.

values: seconds, qos, size, and of `Target`; threads: how many publish at once; report: whether
there is a handler for `on_publish`, which then is called for each message within the time.

A part of the messages is sent, and waited for, again and again; it is made so large that waiting
for its end is a small part of the time.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import peers
from peers.base import Target
from tasks.usage import Usage

if TYPE_CHECKING:
    from peers.base import Peer

#: Seconds that a part takes at least; seconds of CPU too, since a broker may wait for no reason;
#: the most messages in one: paho takes 65,535.
PART, BUSY, MOST = 0.1, 0.02, 40_000
TOPIC = "bench/0"


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    peer = peers.load(name)(Target(**values["target"]))
    peer.count([])
    if values.get("report"):
        peer.report()
    peer.connect()
    publishing = Publishing(peer, values)
    part = 100
    while part < MOST:
        before = Usage.now()
        publishing.send(part)
        after = Usage.now()
        took = after.wall - before.wall
        if took >= PART and after.cpu - before.cpu >= BUSY:
            break
        part = min(MOST, part * (2 if took > PART / 4 else 4))
    first, messages = Usage.now(), 0
    while Usage.now().wall - first.wall < values["seconds"]:
        publishing.send(part)
        messages += part
    return Usage.now().since(first, messages)


class Publishing:
    """Sends parts, and waits for the end of each."""

    def __init__(self, peer: Peer, values: dict[str, Any]) -> None:
        """Keep what all parts have in common."""
        self._peer = peer
        self._payload = b"x" * values["size"]
        self._qos = values["qos"]
        self._threads = values.get("threads", 1)
        self._report = values.get("report", False)
        self._sent = 0

    def send(self, messages: int) -> None:
        """Send so many messages and wait until the broker has them, or until all are reported."""
        self._sent += messages
        if self._report:
            self._peer.expect_reports(self._sent)
        if self._threads == 1:
            self._peer.send(TOPIC, self._payload, self._qos, messages)
        else:
            self._send_from_threads(messages)
        if self._report:
            self._peer.drain_reports(self._sent)
        else:
            self._peer.drain(self._qos)

    def _send_from_threads(self, messages: int) -> None:
        shares = [messages // self._threads] * self._threads
        shares[0] += messages - sum(shares)
        arguments = [(TOPIC, self._payload, self._qos, share) for share in shares]
        threads = [threading.Thread(target=self._peer.send, args=some) for some in arguments]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
