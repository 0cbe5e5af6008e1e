"""A cable to a broker that remembers what went through it and can be cut."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

HOST = "127.0.0.1"


class Cable:
    """Forwards the first TCP connection that it gets to a port; `port` is its own."""

    def __init__(self, broker_port: int) -> None:
        self._broker_port = broker_port
        self._sockets: list[socket.socket] = []
        self._directions = (bytearray(), bytearray())
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def sent(self) -> bytes:
        """What the client has sent."""
        return bytes(self._directions[0])

    @property
    def received(self) -> bytes:
        """What the broker has sent."""
        return bytes(self._directions[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.cut()

    def inject(self, data: bytes) -> None:
        """Send the broker something that this package would not."""
        self._sockets[1].sendall(data)

    def cut(self) -> None:
        """End the connection on both sides without a word of MQTT, and take no other."""
        self._listener.close()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
            broker = socket.create_connection((HOST, self._broker_port), timeout=5)
        except OSError:
            return
        broker.settimeout(None)
        self._sockets += [client, broker]
        ways = ((client, broker), (broker, client))
        for (source, target), record in zip(ways, self._directions, strict=True):
            forward = (source, target, record)
            threading.Thread(target=self._forward, args=forward, daemon=True).start()

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket, record: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                record.extend(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
