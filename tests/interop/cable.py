"""A cable to a broker that remembers what went through it and can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.relay import Forwarder

if TYPE_CHECKING:
    import socket


class Cable(Forwarder):
    """Forwards the first TCP connection that it gets to a port; `port` is its own."""

    def __init__(self, broker_port: int) -> None:
        super().__init__(broker_port)
        self._broker: socket.socket | None = None
        self._sent, self._received = bytearray(), bytearray()

    @property
    def sent(self) -> bytes:
        """What the client has sent."""
        return bytes(self._sent)

    @property
    def received(self) -> bytes:
        """What the broker has sent."""
        return bytes(self._received)

    def inject(self, data: bytes) -> None:
        """Send the broker something that this package would not."""
        assert self._broker is not None, "nobody has connected"
        self._broker.sendall(data)

    def cut(self) -> None:
        """End the connection on both sides without a word of MQTT, and take no other."""
        self.close()

    def take(self, connection: socket.socket) -> None:
        self.stop_listening()
        super().take(connection)

    def connect(self, port: int) -> socket.socket:
        self._broker = super().connect(port)
        return self._broker

    def pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        (self._received if source is self._broker else self._sent).extend(data)
        target.sendall(data)
