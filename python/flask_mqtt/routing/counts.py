"""Counts what becomes of the messages of routes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from ..stats import no_routes

if TYPE_CHECKING:
    from ..stats import RouteCounts

#: What is counted: the keys of `RouteCounts`, but for how many routes there are.
Name = Literal[
    "not_converted",
    "invalid",
    "dead_letters",
    "dead_letters_lost",
    "responses",
    "responses_lost",
    "batches",
    "retries",
    "given_up",
    "overdue",
]


class Counts:
    """The counters in ``stats()["routes"]``."""

    def __init__(self) -> None:
        """Start with nothing."""
        #: A finalizer may ask for them while this thread counts.
        self._lock = threading.RLock()
        self._counts = no_routes()

    def add(self, name: Name) -> None:
        """Count one more.

        Args:
            name: Of the counter.
        """
        with self._lock:
            self._counts[name] += 1

    def shown(self) -> RouteCounts:
        """Return a copy, of one moment."""
        with self._lock:
            return self._counts.copy()

    def forked(self) -> None:
        """Be usable in a forked child: another thread of the parent's may have had the lock."""
        self._lock = threading.RLock()
