"""The end of the process: all clients end before it."""

from __future__ import annotations

import atexit
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

from .._core import departing
from ..waiting import process_ends, wait_for
from .members import living

if TYPE_CHECKING:
    from collections.abc import Callable

    from .members import Member

    #: Calls something, and returns what that returns in a list: an empty one where it has failed.
    Attempt = Callable[[Callable[[], Any]], list[Any]]

#: How long the end of a connection may take, in seconds.
DISCONNECT_TIMEOUT = 7.0

#: How much of that, at most, goes to handlers that run, and to what handlers have kept for later,
#: such as batches.
HANDLING_TIMEOUT = 5.0


@atexit.register
def _close_clients() -> None:
    """Disconnect from the brokers when the process ends, so that they publish no will."""
    failures: list[Exception] = []

    def attempt(step: Callable[[], Any]) -> list[Any]:
        try:
            return [step()]
        except Exception as error:  # noqa: BLE001 - the other clients are to end all the same
            failures.append(error)
            return []

    members = living()
    # All of them end at the same time, so they share it.
    begun = time.monotonic()
    try:
        _finish_handling(members, begun + HANDLING_TIMEOUT, attempt)
    finally:
        # Ctrl-C ends the wait for handlers, and no more.
        _end_connections(members, begun + DISCONNECT_TIMEOUT, attempt)
    if failures:
        raise failures[0]


def _finish_handling(members: list[Member], until: float, attempt: Attempt) -> None:
    """Have all handlers return at the same time, and handle what they have kept for later."""
    for member in members:
        attempt(member.halt)
    for member in members:
        attempt(partial(member.finish_handling, until))


def _end_connections(members: list[Member], until: float, attempt: Attempt) -> None:
    process_ends()
    # What other threads publish from now on would be in memory only, and never sent.
    for member in members:
        attempt(member.refuse_new)
    ends = [attempt(partial(member.begin_end, until)) for member in members]
    for end in ends:
        for finish in end:
            attempt(finish)
    for waiter in departing():
        wait_for(waiter, max(0.0, until - time.monotonic()))
    for member in members:
        attempt(member.report_lost)
    for reference in _last_calls:
        call = reference()
        if call is not None:
            attempt(call)


def call_last(call: Callable[[], object]) -> None:
    """Call something when all clients have ended, before the process does.

    Args:
        call: A method, which is referred to weakly. It is called once.
    """
    others = [one for one in _last_calls if one() not in (None, call)]
    _last_calls[:] = [*others, WeakMethod(call)]


def close_with_child() -> None:
    """End all clients before the end of a child that leaves out `atexit`: multiprocessing's does.

    So does Celery's worker, which uses billiard, and tells by a signal that it ends.
    """
    if os.getpid() in _closing_with_child:
        return
    _closing_with_child.add(os.getpid())
    util, process = (sys.modules.get(f"multiprocessing.{name}") for name in ("util", "process"))
    if util is not None and process is not None and process.parent_process() is not None:
        util.Finalize(None, _close_clients, exitpriority=_LAST)
    signals = sys.modules.get("celery.signals")
    if signals is not None:
        signals.worker_process_shutdown.connect(_close_in_worker, weak=False)


def _close_in_worker(**_: Any) -> None:
    _close_clients()


#: What `call_last` was called with.
_last_calls: list[WeakMethod[Callable[[], object]]] = []

#: After what multiprocessing itself does at the end of a child.
_LAST = -100

#: The processes that `close_with_child` was called in: this one, and those that it was forked from.
_closing_with_child: set[int] = set()
