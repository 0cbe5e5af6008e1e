"""Hand-over: a process lets go of its connection because another process wants it.

A process calls `offer` for each of its connections, and the child that is to have one calls `ask`.
They talk over a Unix socket in Linux's abstract namespace: it needs no folder, and the kernel
removes it when the process ends, however it ends. Everybody on the machine sees such names, so each
side looks who the other one is.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import struct
import sys
import threading
import time
import weakref
from pathlib import Path
from types import MethodType
from typing import TYPE_CHECKING, Any, cast

from ..guards import own, pause
from ..records import fields, trouble, write

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("flask_mqtt")

#: How long a process waits for another one to let go, in seconds.
TIMEOUT = 5.0

#: How long the other one waits for what it is asked for, in seconds.
_ASKING_TIMEOUT = 1.0

#: How many processes may wait for their turn.
_BACKLOG = 128

#: An identity is no longer than this.
_MOST_BYTES = 256

#: How long a thread waits that could not take a connection, in seconds: there may be no descriptor.
_PAUSE = 0.1

#: How long a process waits for its own name, and between two attempts, in seconds.
_NAME_TIMEOUT, _NAME_PAUSE = 1.0, 0.005

_LET_GO = b"1"

# `struct ucred`: process, user and group.
_PEER = struct.Struct("3i")


def ask(pid: int, identity: str, timeout: float = TIMEOUT) -> bool:
    """Ask a process to let go of its connection, and wait until it has.

    Args:
        pid: The process, such as ``os.getppid()``.
        identity: What `slots.identity` returns for the connection.
        timeout: Seconds to wait.

    Returns:
        Whether it has let go. False if it has no such connection, does not answer in time, or
        belongs to another user.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(address(pid))
            if _peer(sock) != (pid, os.geteuid()):
                return False
            sock.sendall(identity.encode())
            sock.shutdown(socket.SHUT_WR)
            return sock.recv(1) == _LET_GO
    except TimeoutError:
        extra = fields(None, "handover_timeout", pid=pid)
        text = "Process %s has not let go of its MQTT connection within %s s"
        write(logger.warning, text, pid, timeout, extra=extra)
    except OSError:
        # Nobody offers anything there.
        pass
    return False


def offer(identity: str, let_go: Callable[[], bool], *, once_forked: bool = False) -> None:
    """Let go of a connection when another process asks for it.

    A daemon thread, ``mqtt-handover``, waits for that as long as anything is offered.

    Args:
        identity: What `slots.identity` returns for the connection.
        let_go: A method that ends the connection and returns whether it has; it is called in that
            thread, and referred to weakly.
        once_forked: Begin to wait with the first fork only: nobody else may ask.
    """
    _mine().add(identity, let_go, once_forked=once_forked)


def withdraw(let_go: Callable[[], bool]) -> None:
    """Undo `offer`.

    Args:
        let_go: What was offered.
    """
    _mine().remove(let_go)


class _Offered:
    """A method that is offered. What it belongs to may go.

    No `WeakMethod` with a callback: where the object goes together with its class, as at the end
    of the interpreter, that writes a traceback to stderr.
    """

    def __init__(
        self, identity: str, let_go: Callable[[], bool], gone: Callable[[object], object]
    ) -> None:
        method = cast("MethodType", let_go)
        self.identity = identity
        self._owner = weakref.ref(method.__self__, gone)
        self._function = method.__func__

    def let_go(self) -> Callable[[], bool] | None:
        owner = self._owner()
        return None if owner is None else MethodType(self._function, owner)


class _Offers:
    """What one process offers. The lock guards that, and the beginning and end of the thread."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        # A signal's handler may fork.
        self._lock = threading.RLock()
        self._offers: list[_Offered] = []
        self._listener: socket.socket | None = None
        self._has_thread = False

    def add(self, identity: str, let_go: Callable[[], bool], *, once_forked: bool) -> None:
        with self._lock:
            self._offers = [
                *self._others(let_go),
                _Offered(identity, let_go, self._gone),
            ]
        if not once_forked:
            self.listen()
            self.serve()

    def remove(self, let_go: Callable[[], bool]) -> None:
        with self._lock:
            self._keep(self._others(let_go))

    def _gone(self, _: object) -> None:
        """Forget what nobody refers to any more."""
        if sys.is_finalizing():
            # A thread that has ended with the interpreter may have the lock for ever.
            return
        with self._lock:
            self._keep(self._others(None))

    def _keep(self, offers: list[_Offered]) -> None:
        self._offers = offers
        if offers or self._listener is None:
            return
        if self._has_thread:
            # It closes the socket itself: until it no longer waits there, the name is taken.
            _knock(self.pid)
        else:
            self._listener.close()
            self._listener = None

    def _goes_on(self, listener: socket.socket) -> bool:
        """Whether the thread has something to offer. Otherwise it closes its socket, and ends."""
        with self._lock:
            if self._offers:
                return True
            listener.close()
            self._listener, self._has_thread = None, False
            return False

    def _others(self, let_go: Any) -> list[_Offered]:
        return [one for one in self._offers if one.let_go() not in (None, let_go)]

    def listen(self) -> None:
        """Have those wait who ask before the thread runs."""
        until = time.monotonic() + _NAME_TIMEOUT
        while True:
            failure = None
            with self._lock:
                if self._offers and self._listener is None:
                    try:
                        self._listener = _listener(self.pid)
                    except OSError as error:
                        failure = error
            is_used = failure is not None and failure.errno == errno.EADDRINUSE
            if not is_used or time.monotonic() > until:
                break
            # The thread of the one before ends at any moment, and has the name until then.
            pause(_NAME_PAUSE)
        _tell(failure)

    def serve(self) -> None:
        """Start the thread, where this process listens."""
        failure = None
        with self._lock:
            if self._listener is not None and not self._has_thread:
                thread = threading.Thread(
                    target=self._serve, args=(self._listener,), name="mqtt-handover", daemon=True
                )
                own(thread)
                try:
                    thread.start()
                    self._has_thread = True
                except RuntimeError as error:
                    # The process ends, or may have no more threads.
                    failure = error
        _tell(failure)

    def forked(self) -> None:
        """Be in a child, which keeps no name of its parent's."""
        # Another thread of the parent's may have the lock, and `_gone` is not to wait for it.
        self._offers = []
        if self._listener is not None:
            self._listener.close()

    def _serve(self, listener: socket.socket) -> None:
        while self._goes_on(listener):
            try:
                sock, _ = listener.accept()
            except OSError:
                pause(_PAUSE)
                continue
            try:
                with sock:
                    sock.settimeout(_ASKING_TIMEOUT)
                    self._answer(sock)
            except OSError:
                # It has given up.
                pass
            except BaseException as error:  # noqa: BLE001 - others are to be answered all the same
                trouble(None, error)

    def _answer(self, sock: socket.socket) -> None:
        if _peer(sock)[1] != os.geteuid():
            return
        asked = b""
        while len(asked) <= _MOST_BYTES and (read := sock.recv(_MOST_BYTES)):
            asked += read
        identity = asked.decode(errors="replace")
        with self._lock:
            found = [one.let_go() for one in self._offers if one.identity == identity]
        # Not under the lock, which `withdraw` takes meanwhile.
        answers = [let_go() for let_go in found if let_go is not None]
        if answers and all(answers):
            sock.sendall(_LET_GO)


def _tell(failure: Exception | None) -> None:
    if failure is not None:
        extra = fields(None, "handover_failed", error=str(failure))
        text = "No other process can ask for the MQTT connection of this one: %s"
        write(logger.warning, text, failure, extra=extra)


def _knock(pid: int) -> None:
    """Wake the thread of a process."""
    # Where too many wait there, it looks soon anyway.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect(address(pid))


def _listener(pid: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(address(pid))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def address(pid: int) -> str:
    """Return the name of a process's socket: numbers of processes are those of a namespace."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"\0flask-mqtt-{os.geteuid()}-{namespace}-{pid}"


def _peer(sock: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end."""
    found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, user, _ = _PEER.unpack(found)
    return pid, user


_offers = _Offers()


def _mine() -> _Offers:
    """Return what this process offers: nothing, in a child that was forked just now."""
    if _offers.pid != os.getpid():
        _be_in_child()
    return _offers


def _be_in_child() -> None:
    global _offers
    before, _offers = _offers, _Offers()
    before.forked()


os.register_at_fork(
    # Before it, as the child may ask at once.
    before=lambda: _mine().listen(),
    after_in_parent=lambda: _mine().serve(),
    after_in_child=_be_in_child,
)
