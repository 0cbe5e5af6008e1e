"""The methods of the extension for routes: ``@mqtt.topic("sensors/<int:id>")`` and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from werkzeug.routing import BaseConverter

from ..client import Client
from ..handlers.slots import with_parentheses
from ..routing.route import RouteOptions
from ..routing.router import Router
from ..stats import Stats
from . import driving

if TYPE_CHECKING:
    from flask import Flask

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

#: Where an extension keeps its router, and the application for it. No subclass has such names.
_ROUTER = "_rs_router"
_APP = "_rs_routes_app"


class RouteMethods:
    """Each method leads to the router, which is made when it is first needed."""

    client: Client

    @property
    def converters(self) -> dict[str, type[BaseConverter]]:
        """The converters for rules, by name; others may be put in.

        Those of Flask's rules are there. What ``app.url_map.converters`` has besides is found too,
        from `init_app` on.
        """
        return _made_router(self).converters

    @converters.setter
    def converters(self, value: dict[str, type[BaseConverter]]) -> None:
        # A subclass may have something of its own under the name.
        _made_router(self).converters = value

    @with_parentheses("mqtt.topic('sensors/<int:id>')")
    def topic(
        self,
        rule: str,
        *,
        name: str | None = None,
        qos: int = 0,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        share: str | None = None,
        json: bool = False,
    ) -> Callable[[HandlerT], HandlerT]:
        """Subscribe, and decorate a handler ``(client, message, **values)`` of the messages.

        A value that its converter does not take makes the message none of the route's.

        Args:
            rule: A filter in which levels may be placeholders: ``<name>`` or ``<converter:name>``,
                as in Flask's rules. ``<path:name>`` stands for all levels that follow.
            name: What `topic_for` finds the route by; by default the name of the handler.
            qos: The highest QoS wanted: 0, 1 or 2. Routes with the same filter share a
                subscription, with the highest.
            no_local: For MQTT 5: leave out what this client publishes.
            retain_as_published: For MQTT 5: keep the retain flag of messages.
            retain_handling: For MQTT 5: whether retained messages are sent: 0 always, 1 for a new
                subscription, 2 never.
            share: The group of a shared subscription.
            json: Whether a parameter annotated with dict or list gets the decoded payload.

        Raises:
            TypeError: The decorator was used without parentheses, an option has a wrong type, or
                the handler lacks a parameter for a value, or has one that nothing gives a value to.
            ValueError: The rule is malformed, an option is not allowed, or another route has the
                name, or the same filter with other options.
        """
        options = RouteOptions(qos, no_local, retain_as_published, retain_handling, share, json)

        def decorator(handler: HandlerT) -> HandlerT:
            _made_router(self).add(rule, handler, name, options)
            return handler

        return decorator

    def topic_for(self, name: str, /, absolute: bool = False, **values: Any) -> str:  # noqa: ARG002
        """Return the topic of a route for values, as ``url_for`` does for URLs.

        Args:
            name: The route's.
            absolute: Whether the topic is to have the prefix of the extension.
            values: By the names of the placeholders.

        Raises:
            BuildError: There is no such route, or a value is missing, unknown or not allowed.
        """
        return _made_router(self).topic_for(name, values)


def _made_router(mqtt: Any) -> Router:
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is None:
        # Of two threads that come here at once, both use the one that was first.
        router = vars(mqtt).setdefault(_ROUTER, Router(mqtt, _adder(mqtt)))
        app = vars(mqtt).get(_APP)
        if app is not None:
            begin_routes(mqtt, app)
    return router


def _adder(mqtt: Any) -> Callable[[str, Callable[..., Any]], Callable[[], None]]:
    # The application may put another client in the place of this one.
    return lambda sub, handler: driving.add_handler(mqtt.client, sub, handler)


def begin_routes(mqtt: Any, app: Flask) -> None:
    """Subscribe for the routes that there are, and at once for those to come.

    Args:
        mqtt: The extension.
        app: The application.

    Raises:
        ValueError: See `Router.open`.
    """
    vars(mqtt)[_APP] = app
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is not None:
        router.open(app)
        environment = getattr(app, "jinja_env", None)
        if environment is not None:
            # Of several extensions, the first one has the name.
            environment.globals.setdefault("topic_for", mqtt.topic_for)


def with_routes(mqtt: Any, stats: Stats) -> Stats:
    """Add the counters of routes to those of a client."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is not None:
        stats["routes"] = router.counts.shown()
    return stats


def leave_routes_to_parent(mqtt: Any) -> None:
    """Go on in a forked child."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is not None:
        router.forked()
