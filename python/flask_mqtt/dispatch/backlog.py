"""Messages that came before there was a handler."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

from ..guards import pause
from ..records import fields, write
from .tap import Dropped

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from .tap import Tap

logger = logging.getLogger("flask_mqtt")

#: How long messages still wait after the first handler is registered, because a module usually
#: registers several handlers, and a message may be for the last one.
_SETTLE_SECONDS = 0.1

_KEPT_MESSAGES = 1_000
_KEPT_BYTES = 16 * 1024 * 1024


class Backlog:
    """Keeps messages while there is no handler at all, and drops the oldest beyond its bounds."""

    def __init__(
        self, core: CoreClient, put_back: Callable[[deque[MQTTMessage]], None], tap: Tap
    ) -> None:
        """Start without any.

        Args:
            core: Where they come from.
            put_back: Moves them to the front of those that are handled next.
            tap: Who is told what is dropped.
        """
        self._core = core
        self._put_back = put_back
        self._tap = tap
        #: When to stop waiting for further handlers; None before the first one.
        self._settled_at: float | None = None
        #: Whether new messages are kept here instead of being handled.
        self.is_open = True
        #: The batch adds messages here itself and then calls `look`: a call in between could be
        #: interrupted, and would lose the message.
        self.kept: deque[MQTTMessage] = deque()
        self._kept_bytes = 0
        #: Messages that were dropped, because there was no handler for them.
        self.dropped = 0

    @property
    def is_due(self) -> bool:
        """Whether there are messages that have a handler by now."""
        return bool(self.kept) and self._settled_at is not None

    def handler_registered(self) -> None:
        """Wait a moment for others, if it is the first one."""
        if self._settled_at is None:
            self._settled_at = time.monotonic() + _SETTLE_SECONDS

    def settle(self) -> None:
        """Wait for no further handlers."""
        if self._settled_at is not None:
            self._settled_at = time.monotonic()

    def catch_up(self) -> bool:
        """Deliver kept messages once a handler is registered. Returns whether it delivered any."""
        if not self.kept or self._settled_at is None:
            return False
        pause(max(0.0, self._settled_at - time.monotonic()))
        self._close()
        return True

    def look(self, message: MQTTMessage) -> None:
        """Drop the oldest messages beyond the bounds, or have all handled, if there is a handler.

        Args:
            message: The last one, which was just put there.
        """
        if self._settled_at is not None and time.monotonic() >= self._settled_at:
            self._close()
            return
        self._kept_bytes += len(message.payload)
        while len(self.kept) > _KEPT_MESSAGES or (
            self._kept_bytes > _KEPT_BYTES and len(self.kept) > 1
        ):
            dropped = self.kept.popleft()
            self._kept_bytes -= len(dropped.payload)
            self.dropped += 1
            if self._tap.observers:
                self._tap.tell(Dropped("no_handler", 1))
            if self.dropped == 1:
                write(
                    logger.warning,
                    "No message handler is registered: dropped the oldest message, on %.100r; "
                    "further ones are dropped without a line",
                    dropped.topic,
                    extra=fields(self._core, "dropping", reason="no_handler", topic=dropped.topic),
                )

    def _close(self) -> None:
        self._put_back(self.kept)
        self.is_open = False
        self._kept_bytes = 0
        if self.dropped:
            write(
                logger.warning,
                "A message handler is registered: no longer dropping; %s messages were discarded",
                self.dropped,
                extra=fields(self._core, "dropping_ended", reason="no_handler", count=self.dropped),
            )

    def forked(self, core: CoreClient) -> None:
        """Leave what is kept to the parent, in a forked child.

        Args:
            core: Where messages come from in this process.
        """
        self._core = core
        self.kept.clear()
        self._kept_bytes = 0
