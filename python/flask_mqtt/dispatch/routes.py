"""The handlers of messages: which of them a message has, and calling these."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

from .._core import Routes
from ..discretion import came_up_here
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage
    from ..handlers.caller import Caller, Handler

#: The handlers of so many topics are remembered, of so many characters at most: few topics that
#: come again and again are the usual case, and a dict finds them in half the time of the index.
_REMEMBERED_TOPICS = 4_096
_REMEMBERED_LENGTH = 256


class MessageHandlers:
    """The handlers of topics, and `on_message` for all other messages."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Start without any.

        Args:
            changed: Called when a message may have other handlers than before.
        """
        self._changed = changed
        #: What every handler gets.
        self.client: Any = None
        self.userdata: Any = None
        self._routes = Routes()
        #: Whether there ever were any: asked about every message, and faster so than the index.
        self._routed = False
        self._on_message: Handler | None = None
        self._cache: dict[str, tuple[Handler, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is any handler."""
        return self._on_message is not None or bool(self._routes)

    @property
    def on_message(self) -> Handler | None:
        """The handler of messages that no topic's handler takes."""
        return self._on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._on_message = handler
        self._forget()

    def set(self, sub: str, handler: Handler) -> None:
        """Call a handler for the messages of a subscription, in the place of the one that was set.

        Args:
            sub: The subscription's filter, which may be a shared one.
            handler: The handler.
        """
        self._routes.set(sub, handler)
        self._routed = True
        self._forget()

    def add(self, sub: str, handler: Handler) -> int:
        """Call a handler besides those that there are, after the others of the same filter.

        Args:
            sub: As with `set`.
            handler: The handler.

        Returns:
            Its number, for `remove`.
        """
        number = self._routes.add(sub, handler)
        self._routed = True
        self._forget()
        return number

    def remove(self, sub: str, number: int | None = None) -> None:
        """Forget a handler of a subscription, if there is one.

        Args:
            sub: The filter, as it was given.
            number: That of one that was added; by default it is the one that was set.
        """
        self._routes.remove(sub, number)
        self._forget()

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
                found = self._of(message.topic)
                # It tells how far this came: the same handler may be there twice.
                left = iter(found)
                handlers = found
                for step in left:
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
                begun = len(handlers) - operator.length_hint(left)
                between = came_up_here(error)
                caller.progress = _progress(caller.progress, begun, len(handlers), between)
            raise

    def _forget(self) -> None:
        self._cache = {}
        self._changed()

    def _of(self, topic: str) -> tuple[Handler, ...]:
        # Read once: a change of handlers replaces the cache, and an old result must not go into
        # the new one.
        cache = self._cache
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


def _progress(progress: int, begun: int, count: int, between: bool) -> int:
    """Return how far a message has come, of one of whose handlers it is known how far that is.

    Args:
        progress: How far that is.
        begun: How many had their turn, with that one.
        count: How many there are.
        between: Whether the interruption came after it.
    """
    if begun == 0:
        return NOT_CALLED
    if between or progress == RETURNED:
        return RETURNED if begun == count else CALLED
    return progress if begun == 1 else CALLED
