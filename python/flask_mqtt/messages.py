"""The handlers of messages, and the messages that came before there was one."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ._core import Routes
from .records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Client as CoreClient
    from ._core import MQTTMessage
    from .calls import Caller, Handler

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
        if self._routed:
            for handler in self._handlers_of(message.topic):
                caller.call(handler, self.client, self.userdata, message)
        elif self._on_message is not None:
            caller.call(self._on_message, self.client, self.userdata, message)
        if acknowledged:
            acknowledge(message)

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
        time.sleep(max(0.0, self._settled_at - time.monotonic()))
        self._open_gate()
        return True

    def _may_open(self, message: MQTTMessage) -> bool:
        """Keep a message while there is no handler at all, and let it pass from then on."""
        if self._settled_at is not None and time.monotonic() >= self._settled_at:
            self._open_gate()
            return True
        self._kept.append(message)
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
        return False

    def _open_gate(self) -> None:
        self._gated = False
        self._kept_bytes = 0
        if self.dropped:
            write(
                logger.warning,
                "A message handler is registered: no more messages are dropped; %s were",
                self.dropped,
                extra=fields(self._core, "dropping_ended", reason="no_handler", count=self.dropped),
            )
        while self._kept:
            self._pass_on(self._kept.popleft())

    def _forget_kept(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0

    def _pass_on(self, message: MQTTMessage) -> None:
        """Handle a message, or have another thread do so."""
        raise NotImplementedError
