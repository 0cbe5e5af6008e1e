"""Lines of the log that a peer can cause, so that it cannot fill the log."""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any

from ..records import fields, write

if TYPE_CHECKING:
    from .._core import Client as CoreClient

logger = logging.getLogger("flask_mqtt")

#: So many lines of a kind are written in so many seconds.
MOST = 100
SECONDS = 60.0


class Lines:
    """Lines of one kind: further ones are left out until the time is over.

    Threads may write at once. That their lines are not counted exactly does no harm.
    """

    def __init__(self, level: int, text: str, count: str) -> None:
        """Start without any.

        Args:
            level: Their level.
            text: Their text, with placeholders.
            count: Which of ``stats()["routes"]`` counts all of them.
        """
        self._log = functools.partial(logger.log, level)
        self._text = text
        self._count = count
        self._until = 0.0
        self._written = 0

    def write(self, core: CoreClient | None, event: str, *arguments: Any, **values: Any) -> None:
        """Write one, if there is room.

        Args:
            core: The client's.
            event: Its name in the record.
            arguments: For the placeholders.
            values: Further fields of the record.
        """
        now = time.monotonic()
        if now >= self._until:
            self._until, self._written = now + SECONDS, 0
        self._written += 1
        if self._written <= MOST:
            extra = fields(core, event, **values)
            write(self._log, self._text, *arguments, extra=extra)
        elif self._written == MOST + 1:
            text = "%s such lines in less than %.3g s: stats()['routes'][%r] counts further ones"
            extra = fields(core, "lines_left_out", count=self._count)
            write(self._log, text, MOST, SECONDS, self._count, extra=extra)
