"""Connections that can wait for a moment, where the processes of an application begin many."""

from __future__ import annotations

import time

from ..guards import pause
from ..process import slots

#: It connects all the same after this many seconds, as where processes end and start all the time.
_LONGEST = 2.5

#: Seconds between two looks.
_STEP_SECONDS = 0.02


class Room:
    """Says when a process may connect that takes the place of another one.

    A broker then gets no more than one connection a second for each worker, and one more, also
    where workers end that have only just connected.
    """

    def __init__(self) -> None:
        """Wait for nothing."""
        #: Since when there is no room.
        self._since: float | None = None

    def has_come(self, identity: str) -> bool:
        """Whether it may connect now: see `slots.has_room`.

        Args:
            identity: As `slots.identity` returns it.

        Raises:
            OSError: The folder of the slots cannot be used.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        comes = slots.has_room(identity) or now - self._since >= _LONGEST
        if comes:
            self._since = None
        return comes

    def wait(self, identity: str) -> None:
        """Wait for that.

        Args:
            identity: As `slots.identity` returns it.

        Raises:
            OSError: The folder of the slots cannot be used.
        """
        while not self.has_come(identity):
            pause(_STEP_SECONDS)
