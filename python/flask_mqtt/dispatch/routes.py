"""The handlers of messages, and the messages that came before there was one."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from .._core import Routes
from ..discretion import came_up_here
from ..guards import pause
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from ..handlers.caller import Caller, Handler

logger = logging.getLogger("flask_mqtt")

#: How long messages still wait after the first handler was registered: a module that registers
#: several, one after the other, loses none of what came before the last of them.
_SETTLE_SECONDS = 0.1

_KEPT_MESSAGES = 1_000
_KEPT_BYTES = 16 * 1024 * 1024

#: The handlers of so many topics are remembered, of so many characters at most: few topics that
#: come again and again are the usual case, and a dict finds them in half the time of the index.
_REMEMBERED_TOPICS = 4_096
_REMEMBERED_LENGTH = 256


class Messages:
    """Knows which handlers a message has, and keeps messages while there are none at all."""

    def __init__(self, core: CoreClient) -> None:
        """Start without handlers."""
        self._core = core
        self.client: Any = None
        self.userdata: Any = None
        self._routes = Routes()
        #: Whether there ever were any: asked about every message, and faster so than the index.
        self._routed = False
        self._on_message: Handler | None = None
        self._route_cache: dict[str, tuple[Handler, ...]] = {}
        self._settled_at: float | None = None
        self._gated = True
        self._kept: deque[MQTTMessage] = deque()
        #: What was fetched and is not handled.
        self._batch: Iterator[Any] = iter(())
        self._kept_bytes = 0
        #: Messages that were dropped, because there was no handler for them.
        self.dropped = 0

    @property
    def on_message(self) -> Handler | None:
        """The handler of messages that no topic's handler takes."""
        return self._on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._on_message = handler
        self._routes_changed()

    def add_route(self, sub: str, handler: Handler) -> None:
        """Call a handler for the messages of a subscription, which may be a shared one."""
        self._routed = True
        self._routes.add(sub, handler)
        self._routes_changed()

    def remove_route(self, sub: str) -> None:
        """Forget a subscription's handler."""
        self._routes.remove(sub)
        self._routes_changed()

    def handle(
        self, message: MQTTMessage, caller: Caller, acknowledge: Callable[[MQTTMessage], None]
    ) -> None:
        """Have the handlers of a message called: those that it has now, should one change that.

        Args:
            message: The message. A handler may change it.
            caller: What calls them.
            acknowledge: Called for a message of QoS 1 or 2 when they have returned.
        """
        acknowledged = message.qos
        handlers: tuple[Handler, ...] = ()
        step: Any = None
        try:
            if self._routed:
                handlers = self._handlers_of(message.topic)
                for step in handlers:
                    caller.call(step, self.client, self.userdata, message)
            elif self._on_message is not None:
                caller.call(self._on_message, self.client, self.userdata, message)
            if acknowledged:
                step = acknowledge
                acknowledge(message)
        except BaseException as error:
            # What it is that has not come to its end: a handler, or what follows them.
            if step is acknowledge:
                caller.progress = RETURNED
            elif handlers:
                between = came_up_here(error)
                caller.progress = _progress(caller.progress, handlers, step, between)
            raise

    def _routes_changed(self) -> None:
        self._route_cache = {}
        if self._settled_at is None and (self._routes or self._on_message):
            self._settled_at = time.monotonic() + _SETTLE_SECONDS
        self._core.wake()

    def _handlers_of(self, topic: str) -> tuple[Handler, ...]:
        # Taken first: what is found before a change goes to the cache that the change throws away.
        cache = self._route_cache
        handlers = cache.get(topic)
        if handlers is None:
            handlers = self._routes.handlers(topic)
            if not handlers and self._on_message is not None:
                handlers = (self._on_message,)
            if len(topic) <= _REMEMBERED_LENGTH:
                if len(cache) >= _REMEMBERED_TOPICS:
                    cache.clear()
                cache[topic] = handlers
        return handlers

    # -- while there is no handler ----------------------------------------------------------------

    def _settle(self) -> None:
        """Let what was registered until now be all that there is."""
        if self._settled_at is not None:
            self._settled_at = time.monotonic()

    def _catch_up(self) -> bool:
        """Deliver what was kept, if there is a handler by now. Returns whether there was any."""
        if not self._kept or self._settled_at is None:
            return False
        pause(max(0.0, self._settled_at - time.monotonic()))
        self._open_gate()
        return True

    def _look_at_kept(self, message: MQTTMessage) -> None:
        """Drop the oldest messages beyond the bounds, or have all handled, if there is a handler.

        Args:
            message: The last one, which was just put there.
        """
        if self._settled_at is not None and time.monotonic() >= self._settled_at:
            self._open_gate()
            return
        self._kept_bytes += len(message.payload)
        while len(self._kept) > _KEPT_MESSAGES or (
            self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1
        ):
            dropped = self._kept.popleft()
            self._kept_bytes -= len(dropped.payload)
            self.dropped += 1
            if self.dropped == 1:
                write(
                    logger.warning,
                    "No message handler is registered: dropped the oldest message, on %.100r; the "
                    "next oldest follow without a line",
                    dropped.topic,
                    extra=fields(self._core, "dropping", reason="no_handler", topic=dropped.topic),
                )

    def _open_gate(self) -> None:
        self._put_back(self._kept)
        self._gated = False
        self._kept_bytes = 0
        if self.dropped:
            write(
                logger.warning,
                "A message handler is registered: no more messages are dropped; %s were",
                self.dropped,
                extra=fields(self._core, "dropping_ended", reason="no_handler", count=self.dropped),
            )

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _put_back(self, events: list[Any] | deque[Any]) -> None:
        """Move events to the front of those that are handled next.

        They have an owner all the time: Python interrupts a thread at calls and at the ends of
        loops, and none of these is between the moment when they are the new owner's only and that
        when this is in its place.
        """
        together = [*events]
        batch = iter(together)
        together += self._batch
        self._batch = batch
        events.clear()


def _progress(
    progress: int, handlers: tuple[Handler, ...], step: Handler | None, between: bool
) -> int:
    """Return how far a message has come, of one of whose handlers it is known how far that is.

    Args:
        progress: How far that is.
        handlers: All of them.
        step: The one, or None before the first.
        between: Whether the interruption came after it.
    """
    if step is None:
        return NOT_CALLED
    if between or progress == RETURNED:
        return RETURNED if step is handlers[-1] else CALLED
    return progress if step is handlers[0] else CALLED
