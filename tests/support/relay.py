"""A port between a client and a server, which notes what clients ask for and may answer itself.

with Relay(broker.port) as relay:
    connect(relay.port)
    assert b"GET /mqtt" in relay.wait_for_head()
    relay.drop()
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from .scripted import HOST
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Self


class Relay:
    """Listens on a free port and passes on what comes, after the head of an HTTP request.

    target: the port that connections lead to.
    answer: sent in place of passing a connection on; it can be changed later.
    delay: seconds before the answer.
    """

    def __init__(self, target: int = 0, answer: bytes = b"", delay: float = 0) -> None:
        self.target = target
        self.answer = answer
        self.delay = delay
        self.heads: list[bytes] = []
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._ending = threading.Event()

    def __enter__(self) -> Self:
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.set()
        end(self._listener)
        self.drop()
        for thread in self._threads:
            thread.join(5)

    def drop(self) -> None:
        """End the connections that there are."""
        for connection in list(self._open):
            end(connection)

    def wait_for_head(self, number: int = 1, timeout: float = 5.0) -> bytes:
        """Wait for the head of a request, the first, second and so on, and return it."""
        wait_until(lambda: len(self.heads) >= number, timeout, f"request {number}")
        return self.heads[number - 1]

    def _start(self, work: object, *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        thread.start()
        self._threads.append(thread)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head)
            if self.answer:
                self._ending.wait(self.delay)
                client.sendall(self.answer)
                while client.recv(65536):
                    pass
            else:
                self._pass_on(client, head)
        end(client)

    def _pass_on(self, client: socket.socket, head: bytes) -> None:
        target = socket.create_connection((HOST, self.target))
        self._open.append(target)
        target.sendall(head)
        self._start(copy, target, client)
        copy(client, target)


def copy(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until one side ends; then end both."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    end(source)
    end(target)


def end(connection: socket.socket) -> None:
    """Close a socket, and wake a thread that waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that takes connections and never says anything."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]
