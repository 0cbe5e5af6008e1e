"""Another client of a broker, which shares no code with the package.

with Peer(broker.port, "reply/#") as peer:
    peer.publish("question", b"?")
    assert peer.receive().payload == b"!"
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from .codec import frame_length
from .packets import MQTT311
from .wait import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .packets import Packet

HOST = "127.0.0.1"


class Peer:
    """A client with a socket that blocks, subscriptions of QoS 0 and no keep alive."""

    def __init__(self, port: int, *filters: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=5)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._socket.sendall(MQTT311.connect("", keepalive=0))
        assert self._packet(time.monotonic() + 5) == MQTT311.connack()
        if filters:
            self._socket.sendall(MQTT311.subscribe(1, *((item, 0) for item in filters)))
            assert self._packet(time.monotonic() + 5) == MQTT311.suback(1, *bytes(len(filters)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def publish(
        self, topic: str, payload: bytes = b"", *, qos: int = 0, retain: bool = False
    ) -> None:
        """Publish a message; QoS 1 and 2 wait for answers, and need a peer without filters."""
        self._socket.sendall(MQTT311.publish(topic, payload, qos=qos, mid=1, retain=retain))
        if qos == 1:
            assert self.receive().kind == "PUBACK"
        elif qos == 2:
            assert self.receive().kind == "PUBREC"
            self._socket.sendall(MQTT311.ack("PUBREL", 1))
            assert self.receive().kind == "PUBCOMP"

    def receive(self, timeout: float = PATIENCE) -> Packet:
        """Wait for the next message. Raises TimeoutError."""
        return MQTT311.decode(self._packet(time.monotonic() + timeout))

    def nothing_came_before(self, marker: str) -> bool:
        """Publish on a topic that is subscribed to, and say whether that is what comes next.

        The broker keeps the order of what it has to send, so nothing is on its way then.
        """
        self.publish(marker)
        return self.receive().topic == marker

    def _packet(self, deadline: float) -> bytes:
        while True:
            length = frame_length(self._buffer)
            if length is not None and len(self._buffer) >= length:
                packet, self._buffer = self._buffer[:length], self._buffer[length:]
                return packet
            self._socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self._socket.recv(65536)
            assert data, "the broker closed the connection"
            self._buffer += data
