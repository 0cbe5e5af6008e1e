"""Connections that can wait for a moment, where the processes of an application begin many."""

from __future__ import annotations

import time

from ..guards import pause
from ..process import slots

#: Seconds between two looks.
_STEP_SECONDS = 0.02


class Room:
    """Says when a process may connect that takes the place of another one.

    A broker then gets no more than one connection a second for each worker, and one more, also
    where workers end that have only just connected.
    """

    def __init__(self, longest: float) -> None:
        """Wait for nothing.

        Args:
            longest: It connects all the same after this many seconds, as where processes end and
                start all the time.
        """
        self.longest = longest
        #: Since when there is no room.
        self._since: float | None = None

    def has_come(self, identity: str, further: int = 0) -> bool:
        """Whether it may connect now.

        Args:
            identity: As for `slots.has_room`.
            further: As for `slots.has_room`.

        Raises:
            OSError: The folder of the slots cannot be used.
        """
        now = time.monotonic()
        # Long ago it waited for something else.
        if self._since is None or now - self._since > 2 * self.longest:
            self._since = now
        comes = slots.has_room(identity, further) or now - self._since >= self.longest
        if comes:
            self._since = None
        return comes

    def wait(self, identity: str, further: int = 0) -> None:
        """Wait for that.

        Args:
            identity: As for `slots.has_room`.
            further: As for `slots.has_room`.

        Raises:
            OSError: The folder of the slots cannot be used.
        """
        while not self.has_come(identity, further):
            pause(_STEP_SECONDS)
