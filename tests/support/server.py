"""What a server has that a test plays itself: a port, connections, and an end."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from typing_extensions import Self

HOST = "127.0.0.1"


def end(connection: socket.socket) -> None:
    """Close a socket, and wake a thread that waits for it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


class Server:
    """Takes connections on a port of 127.0.0.1, from `__enter__` to `__exit__`.

    Subclasses have `serve`, which runs in a thread for each connection. An OSError ends it, and
    then the connection is closed. What else happens to a new connection is `take`'s.

    port: 0 for a free one; then the attribute has it.
    """

    def __init__(self, port: int = 0) -> None:
        self.host = HOST
        self.port = port
        #: Set when the server ends; for a `serve` that only waits.
        self.ending = threading.Event()
        self._listener: socket.socket | None = None
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def listen(self) -> None:
        """Accept connections, on the same port as before if there was one."""
        listener = socket.create_server((HOST, self.port), backlog=64)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self.start(self._accept, listener)

    def stop_listening(self) -> None:
        """Refuse new connections; those there are stay open."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Only shutdown wakes the thread that is blocked in accept.
            end(listener)

    def close(self) -> None:
        """Stop listening, end all connections and join the threads."""
        self.ending.set()
        self.stop_listening()
        self.drop()
        for thread in self._threads:
            thread.join(5)
        for connection in self._open:
            connection.close()

    def drop(self) -> None:
        """End all connections. The threads that serve them close them."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """Do what there is to do with a connection."""
        raise NotImplementedError

    def take(self, connection: socket.socket) -> None:
        """Begin with a new connection, in the thread that accepts them."""
        self.start(self._serve, self.keep(connection))

    def keep(self, connection: socket.socket) -> socket.socket:
        """Have a socket ended by `drop` and `close`."""
        self._open.append(connection)
        return connection

    def connect(self, port: int) -> socket.socket:
        """Connect to a port that this server passes connections on to."""
        connection = self.keep(socket.create_connection((HOST, port), timeout=5))
        connection.settimeout(None)
        return connection

    def start(self, work: Callable[..., None], *arguments: object) -> None:
        """Run something in a thread that `close` joins."""
        name = f"{type(self).__name__}-{work.__name__.strip('_')}"
        thread = threading.Thread(target=work, args=arguments, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            if self._listener is not listener:
                connection.close()
                return
            self.take(connection)

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.serve(connection)
        end(connection)
