"""Waiting for what the core says: in threads, green threads and event loops."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import threading
import weakref
from typing import TYPE_CHECKING

from ._core import Completions

if TYPE_CHECKING:
    from ._core import Delivery


def wait_for(descriptor: int, timeout: float | None = None) -> bool:
    """Wait until a descriptor of the core's is readable. A green thread waits as one.

    Args:
        descriptor: It is closed at the end.
        timeout: Seconds to wait; None for as long as it takes.

    Returns:
        Whether it was readable in time.
    """
    waiter = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    with waiter:
        waiter.settimeout(timeout)
        try:
            waiter.recv(1)
        except (TimeoutError, BlockingIOError):
            return False
    return True


def wait_until_settled(delivery: Delivery, timeout: float | None) -> bool:
    """Wait in a thread until something became of a message, or nothing will for now.

    Args:
        delivery: The message's.
        timeout: Seconds to wait; None for as long as it takes.

    Returns:
        Whether that was in time.
    """
    completions = Completions()
    if not delivery.listen(completions, 0):
        return True
    try:
        return wait_for(os.dup(completions.fileno()), timeout)
    finally:
        delivery.forget(completions, 0)
        _end_with_process()


def process_ends() -> None:
    """Have threads that still wait end without a word, as nobody is there to hear it."""
    _process_ends.set()


def _end_with_process() -> None:
    # Only daemon threads can be left now, and threading does not report this exception. Green
    # threads, which share the main one, would.
    if _process_ends.is_set() and threading.get_native_id() != threading.main_thread().native_id:
        raise SystemExit


async def settled(delivery: Delivery) -> None:
    """Wait in an event loop until something became of a message, or nothing will for now."""
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


_process_ends = threading.Event()

_waits: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.ref[_Waits]] = (
    weakref.WeakKeyDictionary()
)
