"""Which client's handlers run here: they must not wait for what that client has published."""

from __future__ import annotations

import contextlib
import threading
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .._core import Client as CoreClient
    from .._core import Delivery


class _Stay:
    """That a client's handlers run in a thread, or in a task of an event loop."""

    __slots__ = ("client", "is_over", "thread")

    def __init__(self, client: CoreClient, thread: int = 0) -> None:
        self.client = client
        #: Where the event loop runs.
        self.thread = thread
        self.is_over = False


#: The clients whose handlers a thread runs: several, where the handler of one has another one call
#: its own.
_threads: weakref.WeakKeyDictionary[threading.Thread, tuple[_Stay, ...]] = (
    weakref.WeakKeyDictionary()
)

#: Those whose handlers a task runs. The tasks that it makes have them too, and the other tasks of
#: the event loop do not.
_tasks: ContextVar[tuple[_Stay, ...]] = ContextVar("flask_mqtt_handlers", default=())


@contextlib.contextmanager
def handling(thread: threading.Thread, client: CoreClient) -> Iterator[None]:
    """Take what a thread runs meanwhile for a client's handlers."""
    stay = _Stay(client)
    try:
        _threads[thread] = (*_present(_threads.get(thread, ())), stay)
        yield
    finally:
        # Said first, and without a call: an interruption keeps nobody here.
        stay.is_over = True
        _threads[thread] = _present(_threads.get(thread, ()))


@contextlib.contextmanager
def handling_in_task(clients: Iterable[CoreClient]) -> Iterator[None]:
    """Take what this task, and those that it makes, run meanwhile for handlers of clients."""
    here = threading.get_ident()
    stays = tuple(_Stay(client, here) for client in clients)
    before = _tasks.set((*_present(_tasks.get()), *stays))
    try:
        yield
    finally:
        for stay in stays:
            stay.is_over = True
        _tasks.reset(before)


def _present(stays: Iterable[_Stay]) -> tuple[_Stay, ...]:
    return tuple(stay for stay in stays if not stay.is_over)


def is_handler_of(delivery: Delivery) -> bool:
    """Whether the caller is a handler of the client that published a message."""
    return any(client.published(delivery) for client in clients_here())


def is_handler(client: CoreClient) -> bool:
    """Whether the caller is a handler of a client."""
    return client in clients_here()


def clients_here() -> list[CoreClient]:
    """Return the clients whose handlers run in this thread or task."""
    in_thread = _present(_threads.get(threading.current_thread(), ()))
    # A thread that a task waits for may have its context (asyncio.to_thread).
    here = threading.get_ident()
    in_task = [stay for stay in _present(_tasks.get()) if stay.thread == here]
    return [stay.client for stay in (*in_thread, *in_task)]
