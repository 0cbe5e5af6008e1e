"""The end of the process: all clients end before it."""

from __future__ import annotations

import atexit
import time
from typing import TYPE_CHECKING, Any

from .._core import departing
from ..waiting import process_ends, wait_for
from .members import living

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long the end of a connection may take, in seconds.
DISCONNECT_TIMEOUT = 7.0


@atexit.register
def _close_clients() -> None:
    """Disconnect from the brokers when the process ends, so that they publish no will."""
    process_ends()
    failures: list[Exception] = []

    def attempt(step: Callable[[], Any]) -> list[Any]:
        try:
            return [step()]
        except Exception as error:  # noqa: BLE001 - the other clients are to end all the same
            failures.append(error)
            return []

    members = living()
    # What other threads publish from now on would be in memory only, and never sent.
    for member in members:
        attempt(member.refuse_new)
    # All of them end at the same time.
    ends = [attempt(member.begin_end) for member in members]
    for end in ends:
        for finish in end:
            attempt(finish)
    until = time.monotonic() + DISCONNECT_TIMEOUT
    for waiter in departing():
        wait_for(waiter, max(0.0, until - time.monotonic()))
    for member in members:
        attempt(member.report_lost)
    if failures:
        raise failures[0]
