"""Waiting for a condition instead of sleeping."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

#: How long tests wait for what is to come soon, in seconds. A machine with other work may need
#: that for the start of a program. It is no claim of how long anything may take.
PATIENCE = 20.0


def wait_until(condition: Callable[[], T], timeout: float = PATIENCE, what: str = "") -> T:
    """Call `condition` until it is true and return what it returned.

    Raises AssertionError, naming `what` and the last value, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", repr(condition))
            msg = f"waited {timeout:g} s in vain for: {name} (last value: {result!r})"
            raise AssertionError(msg)
        time.sleep(0.005)
