"""What the thread that calls handlers is to call later."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Timer(NamedTuple):
    """Something that is called at a time."""

    #: When, in seconds of the monotonic clock.
    at: float
    number: int
    #: Called like a handler. It may come more than once, and looks itself whether it is due.
    step: Callable[[], None]
    #: There is one timer with it at most. Steps with the same one are called one after the other,
    #: also where several threads handle messages.
    key: str


class Timers:
    """Steps that are called at a time or soon after, as handlers are.

    Each of those who use it has a bounded number of keys. Any thread may add a timer.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        """Start without any.

        Args:
            wake: Has the thread that calls handlers look at `left` again.
        """
        self._wake = wake
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        #: What is to be called, by its key. Asked without the lock whether there is anything.
        self.pending: dict[str, Timer] = {}

    def call_at(self, at: float, step: Callable[[], None], key: str) -> None:
        """Call a step at a time, in the place of another one with the same key: see `Timer`."""
        with self._lock:
            self.pending[key] = Timer(at, next(self._numbers), step, key)
        self._wake()

    def left(self) -> float | None:
        """Return the seconds until the next one is due; None without any."""
        if not self.pending:
            return None
        with self._lock:
            first = min((timer.at for timer in self.pending.values()), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def due(self) -> list[Timer]:
        """Return those that are due, the first one first. They stay until `remove`."""
        now = time.monotonic()
        with self._lock:
            return sorted(timer for timer in self.pending.values() if timer.at <= now)

    def remove(self, timers: list[Timer]) -> None:
        """Take out some that somebody else has now."""
        with self._lock:
            for timer in timers:
                if self.pending.get(timer.key) is timer:
                    del self.pending[timer.key]

    def forked(self, wake: Callable[[], None]) -> None:
        """Forget all, in a forked child.

        Args:
            wake: As for the constructor.
        """
        self._wake = wake
        # A thread of the parent's may have had it.
        self._lock = threading.Lock()
        self.pending = {}
