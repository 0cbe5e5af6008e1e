"""A broker that plays a script and takes nothing but what the script says, to the byte."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from support.codec import frame_length
from support.server import Server, end
from support.wait import wait_until

from .showing import show
from .steps import Broker, Client, Closed, Cut, Tell, Wait

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from .steps import Step

TIMEOUT = 10.0


class DiffersError(Exception):
    """A client did not do what the script says."""


class Player(Server):
    """Listens on a free port and plays the steps, one connection after the other.

    position: the number of the step that is played.
    error: how the client differed from the script; empty as long as it does not.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.position = 0
        self.error = ""
        self._steps = steps
        self._connections = 0
        self._connection: socket.socket | None = None
        self._buffer = b""
        self._told: set[str] = set()
        self._come: queue.Queue[socket.socket] = queue.Queue()

    def listen(self) -> None:
        super().listen()
        self.start(self._play)

    def take(self, connection: socket.socket) -> None:
        self._come.put(self.keep(connection))

    def tell(self, name: str) -> None:
        """Let the step `Wait(name)` pass."""
        self._told.add(name)

    def wait_until_told(self, name: str) -> None:
        """Wait for the step `Tell(name)`. Raises DiffersError where it is not reached."""
        self._wait(lambda: name in self._told, f"{name!r} is reached")

    def wait_until_at(self, position: int) -> None:
        """Wait until the steps before a position are played. Raises DiffersError."""
        self._wait(lambda: self.position >= position, f"step {position} is reached")

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        wait_until(lambda: self.error or condition(), TIMEOUT + 2, what)
        if self.error:
            raise DiffersError(self.error)

    # --- the broker's thread ----------------------------------------------------------------------

    def _play(self) -> None:
        try:
            for step in self._steps:
                self._step(step)
                self.position += 1
        except (DiffersError, OSError, ValueError, AssertionError) as error:
            self.error = (
                f"step {self.position}, connection {self._connections}: "
                f"{error or type(error).__name__}"
            )
        if self._connection is not None:
            end(self._connection)
        self.stop_listening()

    def _step(self, step: Step) -> None:
        if isinstance(step, Client):
            self._expect(step)
        elif isinstance(step, Broker):
            self._connected().sendall(step.data)
        elif isinstance(step, Tell):
            self._told.add(step.name)
        elif isinstance(step, Wait):
            wait_until(lambda: step.name in self._told, TIMEOUT, f"the script says {step.name!r}")
        elif isinstance(step, (Cut, Closed)):
            if isinstance(step, Closed) and (rest := self._packet()):
                raise DiffersError(f"the end of the connection was due\nsent: {show(rest)}")
            end(self._connected())
            self._connection = None

    def _expect(self, step: Client) -> None:
        got = self._packet()
        begin, end = step.hidden
        seen = got[:begin] + step.data[begin:end] + got[end:] if len(got) >= end else got
        if seen != step.data:
            raise DiffersError(f"the bytes differ\ndue:  {show(step.data)}\nsent: {show(got)}")

    def _connected(self) -> socket.socket:
        """Return the connection, or wait for the next one."""
        if self._connection is None:
            try:
                self._connection = self._come.get(timeout=TIMEOUT)
            except queue.Empty:
                raise DiffersError("no connection was made") from None
            self._connection.settimeout(TIMEOUT)
            self._connections += 1
            self._buffer = b""
        return self._connection

    def _packet(self) -> bytes:
        """Return the next whole packet; what there is of it where the connection ends in it."""
        connection = self._connected()
        pieces, had = [self._buffer], len(self._buffer)
        length = frame_length(self._buffer)
        while length is None or had < length:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                break
            pieces.append(piece)
            had += len(piece)
            if length is None:
                pieces = [b"".join(pieces)]
                length = frame_length(pieces[0])
        buffer = b"".join(pieces)
        end = len(buffer) if length is None else length
        packet, self._buffer = buffer[:end], buffer[end:]
        return packet
