"""A port between a client and a server, which notes what clients ask for and may answer itself.

with Relay(broker.port) as relay:
    connect(relay.port)
    assert b"GET /mqtt" in relay.wait_for_head()
    relay.drop()
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .server import Server, end
from .wait import PATIENCE, wait_until

if TYPE_CHECKING:
    import socket


class Forwarder(Server):
    """Passes connections on to a port of 127.0.0.1, both ways, until one side ends."""

    def __init__(self, target: int = 0) -> None:
        super().__init__()
        self.target = target

    def serve(self, connection: socket.socket) -> None:
        target = self.connect(self.target)
        self.start(self.copy, target, connection)
        self.copy(connection, target)

    def copy(self, source: socket.socket, target: socket.socket) -> None:
        """Pass on what comes from one side until it ends; then end both."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.pass_on(source, target, data)
        end(source)
        end(target)

    def pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        """Do what there is to do with something that came."""
        target.sendall(data)


class Relay(Forwarder):
    """Listens on a free port and passes on what comes, after the head of an HTTP request.

    target: the port that connections lead to.
    answer: sent in place of passing a connection on; it can be changed later.
    delay: seconds before the answer.
    """

    def __init__(self, target: int = 0, answer: bytes = b"", delay: float = 0) -> None:
        super().__init__(target)
        self.answer = answer
        self.delay = delay
        self.heads: list[bytes] = []

    def wait_for_head(self, number: int = 1, timeout: float = PATIENCE) -> bytes:
        """Wait for the head of a request, the first, second and so on, and return it."""
        wait_until(lambda: len(self.heads) >= number, timeout, f"request {number}")
        return self.heads[number - 1]

    def serve(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(65536)
            if not data:
                return
            head += data
        self.heads.append(head)
        if self.answer:
            self.ending.wait(self.delay)
            connection.sendall(self.answer)
            while connection.recv(65536):
                pass
            return
        target = self.connect(self.target)
        target.sendall(head)
        self.start(self.copy, target, connection)
        self.copy(connection, target)
