"""The handlers of messages: which of them a message has, and calling these."""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .._core import Routes
from ..discretion import came_up_here
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import MQTTMessage
    from ..handlers.caller import Caller, Handler

T = TypeVar("T")

#: The handlers of so many topics are remembered, of so many characters at most: few topics that
#: come again and again are the usual case, and a dict finds them without the index.
_REMEMBERED_TOPICS = 16_384
_REMEMBERED_LENGTH = 256


class _Stripped:
    """How topics become what handlers get, and what was found for the last ones."""

    __slots__ = ("cache", "strip")

    def __init__(self, strip: Callable[[str], str | None]) -> None:
        self.strip = strip
        self.cache: dict[str, tuple[tuple[str, Handler], ...]] = {}


class MessageHandlers:
    """The handlers of topics, and `on_message` for all other messages.

    Where topics have a prefix, handlers are found by what follows it, and get that as the topic.
    Some are found by the full topic all the same, and get it: they are in an index of their own.
    """

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
        #: Those that are found by the full topic.
        self._full = Routes()
        self._stripped: _Stripped | None = None
        #: Whether there ever were any: asked about every message.
        self._routed = False
        self._on_message: Handler | None = None
        self._cache: dict[str, tuple[Handler, ...]] = {}

    def __bool__(self) -> bool:
        """Whether there is any handler."""
        return self._on_message is not None or bool(self._routes) or bool(self._full)

    @property
    def on_message(self) -> Handler | None:
        """The handler of messages that no topic's handler takes."""
        return self._on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._on_message = handler
        self._forget()

    def set(self, sub: str, handler: Handler, *, full: bool = False) -> None:
        """Call a handler for the messages of a subscription, in the place of the one that was set.

        Args:
            sub: The subscription's filter, which may be a shared one.
            handler: The handler.
            full: Whether the filter is for the full topic, and not for what follows the prefix.
        """
        self._index(full=full).set(sub, handler)
        self._routed = True
        self._forget()

    def add(self, sub: str, handler: Handler, *, full: bool = False) -> int:
        """Call a handler besides those that there are, after the others of the same filter.

        Args:
            sub: As with `set`.
            handler: The handler.
            full: As with `set`.

        Returns:
            Its number, for `remove`.
        """
        number = self._index(full=full).add(sub, handler)
        self._routed = True
        self._forget()
        return number

    def remove(self, sub: str, number: int | None = None, *, full: bool = False) -> None:
        """Forget a handler of a subscription, if there is one.

        Args:
            sub: The filter, as it was given.
            number: That of one that was added; by default it is the one that was set.
            full: As with `set`.
        """
        self._index(full=full).remove(sub, number)
        self._forget()

    def _index(self, *, full: bool) -> Routes:
        return self._full if full else self._routes

    def strip(self, strip: Callable[[str], str | None] | None) -> None:
        """Give handlers the topics of messages without a prefix from now on.

        Args:
            strip: Returns what follows the prefix in a topic, or None for a topic without it; None
                where topics have no prefix.
        """
        self._stripped = None if strip is None else _Stripped(strip)
        # An attribute of the instance only where it is needed: no message pays for it elsewhere.
        if self._stripped is not None:
            vars(self)["handle"] = partial(self._handle_stripped, self._stripped)
        else:
            vars(self).pop("handle", None)
        self._forget()

    def known(self) -> tuple[dict[str, tuple[Handler, ...]] | None, Handler | None]:
        """Return what is known until handlers change.

        Returns:
            The handlers of topics that have come before, which become more. None, and the handler
            of all messages, if there never was another one.
        """
        if self._stripped is not None:
            # Each message is changed before its handler gets it.
            return {}, None
        return (self._cache, None) if self._routed else (None, self._on_message)

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
                caller.progress = _progress(caller.progress, error, len(handlers), left)
            raise

    def _handle_stripped(
        self,
        stripped: _Stripped,
        message: MQTTMessage,
        caller: Caller,
        acknowledge: Callable[[MQTTMessage], None],
    ) -> None:
        """Do as `handle`, where topics have a prefix."""
        acknowledged = message.qos
        topic = message.topic
        found: tuple[tuple[str, Handler], ...] = ()
        left: Iterator[tuple[str, Handler]] = iter(found)
        step: Any = None
        try:
            found = self._of_stripped(stripped, topic)
            left = iter(found)
            given = topic
            for wanted, step in left:
                # Once for all that get the same: a handler may have put another topic there.
                if wanted is not given:
                    given = message.topic = wanted
                caller.call(step, self.client, self.userdata, message)
            if acknowledged:
                step = acknowledge
                acknowledge(message)
        except BaseException as error:
            if step is acknowledge:
                caller.progress = RETURNED
            elif found:
                caller.progress = _progress(caller.progress, error, len(found), left)
            if caller.progress == NOT_CALLED:
                # It comes again, and the prefix may be there twice.
                message.topic = topic
            raise

    def _forget(self) -> None:
        self._cache = {}
        if self._stripped is not None:
            self._stripped.cache = {}
        self._changed()

    def _of(self, topic: str) -> tuple[Handler, ...]:
        # Read once: a change of handlers replaces the cache, and an old result must not go into
        # the new one.
        cache = self._cache
        handlers = cache.get(topic)
        if handlers is None:
            handlers = self._routes.handlers(topic) + self._full.handlers(topic)
            if not handlers and self._on_message is not None:
                handlers = (self._on_message,)
            _remember(cache, topic, handlers)
        return handlers

    def _of_stripped(self, stripped: _Stripped, topic: str) -> tuple[tuple[str, Handler], ...]:
        cache = stripped.cache
        found = cache.get(topic)
        if found is None:
            plain = stripped.strip(topic)
            # Topics with $ have no prefix, and are found with the other handlers.
            is_own = plain is None and topic.startswith("$")
            name = topic if plain is None else plain
            own = self._routes.handlers(name) if is_own or plain is not None else ()
            found = (
                *((name, handler) for handler in own),
                *((topic, handler) for handler in self._full.handlers(topic)),
            )
            if not found and self._on_message is not None:
                found = ((name, self._on_message),)
            _remember(cache, topic, found)
        return found


def _remember(cache: dict[str, T], topic: str, found: T) -> None:
    if len(topic) <= _REMEMBERED_LENGTH:
        if len(cache) >= _REMEMBERED_TOPICS:
            cache.clear()
        cache[topic] = found


def _progress(progress: int, error: BaseException, count: int, left: Iterator[Any]) -> int:
    """Return how far an interrupted message has come, given the progress of its last handler.

    Args:
        progress: The progress of that handler.
        error: The interruption.
        count: The number of handlers.
        left: Iterates over those whose turn has not come.
    """
    begun = count - operator.length_hint(left)
    if begun == 0:
        return NOT_CALLED
    if progress == RETURNED or came_up_here(error):
        return RETURNED if begun == count else CALLED
    return progress if begun == 1 else CALLED
