"""`Topic`: what `register_topic` returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask_mqtt.routing.building import build
from flask_mqtt.routing.route import Route, RouteOptions
from flask_mqtt.routing.router import Router

#: Called with the client, the message, and the values of the placeholders by their names.
Handler = Callable[..., Any]


class _Subscribing:
    """The handler of a topic that has none yet: it is subscribed to all the same."""

    def __call__(self, *_: Any, **_values: Any) -> None:
        """Take a message."""


class Topic:
    """A topic that is subscribed to, with or without placeholders, and its handlers.

    `MultiMQTT.register_topic` makes it.
    """

    def __init__(
        self, router: Router, rule: str, options: RouteOptions, full: Callable[[str], str]
    ) -> None:
        """Subscribe, now or with the first connection.

        Args:
            router: Has the routes.
            rule: The topic, as it was registered.
            options: How it is subscribed to.
            full: Returns a topic or filter with the prefix.
        """
        self.rule = rule
        self._router = router
        self._options = options
        self._full = full
        self._subscribing = _Subscribing()
        self._handled: dict[Handler, Route] = {}
        #: One of its routes; while there is no handler, the one that subscribes all the same.
        self._route = self._idle = self._add(self._subscribing, None)

    @property
    def name(self) -> str:
        """What is subscribed to: with the prefix, and wildcards for placeholders."""
        return self._full(self._route.filter)

    @property
    def qos(self) -> int:
        """The highest QoS wanted."""
        return self._options.qos

    @property
    def nolocal(self) -> bool:
        """Whether messages that this client publishes are left out."""
        return self._options.no_local

    @property
    def handlers(self) -> list[Handler]:
        """The handlers, in the order in which they are called."""
        return list(self._handled)

    def call(self, name: str) -> None:
        """Have `MultiMQTT.topic_for` find it by a name.

        Raises:
            ValueError: Another topic has the name.
        """
        self._add(self._subscribing, name)

    def drop(self) -> None:
        """Be no topic any more, before there is any handler."""
        self._router.remove(self._idle)

    def on_message(self, handler: Handler, remove: bool = False) -> None:
        """Call a handler for each message. Handlers are called in the order of registration.

        Args:
            handler: Called as ``handler(client, message, **values)``. The message's topic does not
                include the prefix. A handler that is registered already keeps its place.
            remove: Remove the handler instead.

        Raises:
            KeyError: The handler to remove is not registered.
            TypeError: The parameters of the handler do not match the topic.
        """
        if remove:
            self._remove(handler)
        else:
            self.handle(handler, None)

    def handle(self, handler: Handler, name: str | None) -> None:
        """Do as `on_message`, and have `MultiMQTT.topic_for` find it by a name.

        Args:
            handler: As there.
            name: None for the handler's own name.

        Raises:
            TypeError: As there.
            ValueError: Another topic has the name.
        """
        if handler in self._handled:
            if name is not None:
                self.call(name)
            return
        route = self._add(handler, name)
        if self._handled.setdefault(handler, route) is not route:
            # Another thread was faster.
            self._router.remove(route)
        else:
            self._route = route
            self._router.remove(self._idle)

    def _remove(self, handler: Handler) -> None:
        route = self._handled.pop(handler, None)
        if route is None:
            raise KeyError(f"{handler!r} is no handler of the topic {self.rule!r}")
        if not self._handled:
            self._idle = self._add(self._subscribing, None)
        self._route = next(iter(self._handled.values()), self._idle)
        self._router.remove(route)

    def _add(self, handler: Handler, name: str | None) -> Route:
        return self._router.add(self.rule, handler, name, self._options)

    def topic_for(self, absolute: bool = False, **values: Any) -> str:
        """Return the topic with the given values.

        Args:
            absolute: Whether the topic includes the prefix.
            values: The values, by the names of the placeholders.

        Raises:
            ValueError: A value is missing or not allowed.
        """
        _, plain = build(self.rule, [self._route], values)
        return self._full(plain) if absolute else plain
