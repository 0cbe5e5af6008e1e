"""Waiting for what the core says: in threads, green threads and event loops."""

from __future__ import annotations

import _socket as _socket_module
import contextlib
import itertools
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING

from ._core import Completions
from .guards import is_kill

if TYPE_CHECKING:
    import asyncio

    from typing_extensions import Self

    from ._core import Client as CoreClient
    from ._core import Delivery, Waiter

_WAKE_BYTES = 4096

#: How long a wait without a descriptor takes between two looks.
_LOOK_SECONDS = 0.005


def wait_for(waiter: Waiter, timeout: float | None = None) -> bool:
    """Wait until something has happened. A green thread waits as one.

    Args:
        waiter: What the core gave for it.
        timeout: Seconds to wait; None for as long as it takes.

    Returns:
        Whether it has happened in time.
    """
    if not are_threads_green():
        return waiter.wait(timeout, _handles_signals())
    try:
        descriptor = waiter.descriptor()
    except OSError:
        return _look_again_and_again(waiter, timeout)
    with _socket(descriptor) as end:
        end.settimeout(timeout)
        try:
            end.recv(1)
        except (TimeoutError, BlockingIOError):
            return False
    return True


def _look_again_and_again(waiter: Waiter, timeout: float | None) -> bool:
    """Wait as a green thread where no descriptors are left.

    What is waited for is under way, and the caller would take an exception for a refusal.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while not waiter.wait(0.0, _handles_signals()):
        left = _LOOK_SECONDS if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(left, _LOOK_SECONDS))
    return True


def wait_until_settled(delivery: Delivery, timeout: float | None) -> bool:
    """Wait in a thread until something became of a message, or nothing will for now.

    Args:
        delivery: The message's.
        timeout: Seconds to wait; None for as long as it takes.

    Returns:
        Whether that was in time.
    """
    try:
        return wait_for(delivery.waiter(), timeout)
    finally:
        _end_with_process()


class WakeUps:
    """The wake-ups of a core, for the thread that calls its handlers, of whatever kind that is."""

    def __init__(self, core: CoreClient) -> None:
        """Begin. There is one for a core at a time.

        Args:
            core: What wakes.
        """
        self._core = core
        # Looked up now, so that it is the patched one where the application patched before.
        self._end = _socket(core.wake_fd()) if are_threads_green() else None
        #: Whether it waits in the thread that handles signals: known from the first wait on.
        self._signals: bool | None = None

    def wait(self, timeout: float | None) -> bool:
        """Wait for one.

        Args:
            timeout: Seconds to wait; None for as long as it takes.

        Returns:
            Whether it came in time.
        """
        if self._end is None:
            if self._signals is None:
                self._signals = _handles_signals()
            return self._core.wait(timeout, self._signals)
        self._end.settimeout(timeout)
        try:
            return bool(self._end.recv(_WAKE_BYTES))
        except (TimeoutError, BlockingIOError):
            # The second one is that of no time at all.
            return False

    @property
    def is_green(self) -> bool:
        """Whether a green thread waits."""
        return self._end is not None

    def give_turn(self) -> bool:
        """Let those have their turn who wait for one: other green threads, or threads for the GIL.

        An ordinary thread needs none where it is to wait now: that lets go of the GIL. A green one
        does: it may find its wake-up without a wait.

        Returns:
            Whether there are events already.
        """
        has_events = self._core.has_events()
        if has_events or self._end is not None:
            time.sleep(0)
        return has_events

    def __enter__(self) -> Self:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do as `close`."""
        self.close()

    def close(self) -> None:
        """Give back what it has."""
        if self._end is not None:
            self._end.close()


def are_threads_green() -> bool:
    """Whether threads are those of eventlet, gevent or the like, which wait at a patched socket.

    An ordinary thread waits in the core, which takes no descriptor, and would hold up green ones.
    """
    kind = socket.socket
    # Not so is what a test puts in its place, and what PySocks does.
    return isinstance(kind, type) and not issubclass(kind, _socket_module.socket)


def _handles_signals() -> bool:
    """Whether this is the thread in which Python calls the handlers of signals."""
    main = threading.main_thread()
    return threading.get_ident() == main.ident or threading.get_native_id() == main.native_id


#: The sockets at which green threads wait.
_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def _socket(descriptor: int) -> socket.socket:
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    _ends.add(end)
    return end


def _leave_ends_to_parent() -> None:
    """Have copies of the parent's green threads wait at a socket of this forked child for nothing.

    They live on here. They would read what is to wake the parent's, and end its hub's watch, which
    both processes have.
    """
    ends = [end for end in list(_ends) if end.fileno() >= 0]
    if ends:
        ours, _Process.other_end = _socket_module.socketpair()
        ours.setblocking(False)
        for end in ends:
            os.dup2(ours.fileno(), end.fileno(), inheritable=False)
        ours.close()


class _Process:
    """What is known of this process: no lock, as its parent may have held that at a fork."""

    ends = False
    #: Keeps the socket open at which copies of a parent's green threads wait.
    other_end: _socket_module.socket | None = None


def process_ends() -> None:
    """Have threads that still wait end without a word, as nobody is there to hear it."""
    _Process.ends = True


def process_begins() -> None:
    """Forget in a forked child that its parent ends, and leave its sockets alone."""
    _Process.ends = False
    # Without descriptors the parent may miss a wake-up.
    with contextlib.suppress(OSError):
        _leave_ends_to_parent()


def _end_with_process() -> None:
    # Only daemon threads can be left now, and threading does not report this exception. Green
    # threads, which share the main one, would.
    if _Process.ends and not _handles_signals():
        raise SystemExit


def ends_thread(error: BaseException) -> bool:
    """Whether an exception is meant to end a thread of the package's, and nothing else can."""
    return is_kill(error) or _Process.ends


async def settled(delivery: Delivery) -> None:
    """Wait in an event loop until something became of a message, or nothing will for now."""
    import asyncio  # noqa: PLC0415 - it takes a while, and few applications need it

    loop = asyncio.get_running_loop()
    reference = _waits.get(loop)
    waits = reference() if reference is not None else None
    await (waits or _Waits(loop)).wait(delivery)


class _Waits:
    """The waits of an event loop: however many they are, one descriptor that the loop watches.

    It is there as long as anything is waited for. The loop keeps it alive, and nothing else does,
    so that a loop that is given up takes it along.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._completions = Completions()
        self._numbers = itertools.count()
        self._futures: dict[int, asyncio.Future[None]] = {}
        loop.add_reader(self._completions.fileno(), self._settle)
        _waits[loop] = weakref.ref(self)

    async def wait(self, delivery: Delivery) -> None:
        number = next(self._numbers)
        future = self._futures[number] = self._loop.create_future()
        try:
            if delivery.listen(self._completions, number):
                await future
                _end_with_process()
        finally:
            delivery.forget(self._completions, number)
            del self._futures[number]
            if not self._futures:
                self._close()

    def _settle(self) -> None:
        for number in self._completions.take():
            future = self._futures.get(number)
            if future is not None and not future.done():
                future.set_result(None)

    def _close(self) -> None:
        _waits.pop(self._loop, None)
        if not self._loop.is_closed():
            self._loop.remove_reader(self._completions.fileno())


_waits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Waits]] = (
    weakref.WeakKeyDictionary()
)
