"""The methods of the extension for routes: ``@mqtt.topic("sensors/<int:id>")`` and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from werkzeug.routing import BaseConverter

from ..client import Client
from ..routing.blueprint import MqttBlueprint, register
from ..routing.declaring import Declarations
from ..routing.hooks import Hooks
from ..routing.route import Route, RouteOptions
from ..routing.router import Router
from ..routing.sent import Sent
from ..stats import Stats
from . import driving
from .subscribed import Subscribed

if TYPE_CHECKING:
    from flask import Flask

    from ..dispatch.dispatcher import Dispatcher

#: Where an extension keeps its router, and the application for it. No subclass has such names.
_ROUTER = "_rs_router"
_APP = "_rs_routes_app"


class RouteMethods(Declarations):
    """Each method leads to the router, which is made when it is first needed."""

    client: Client
    _rs_subscribed: Subscribed

    @property
    def converters(self) -> dict[str, type[BaseConverter]]:
        """The converters for rules, by name. You may add your own.

        Flask's own converters are there. Others in ``app.url_map.converters`` are found too, from
        `init_app` on.
        """
        return router_of(self).converters.own

    @converters.setter
    def converters(self, value: dict[str, type[BaseConverter]]) -> None:
        # A subclass may have something of its own under the name.
        router_of(self).converters.own = value

    def topic_for(self, name: str, /, absolute: bool = False, **values: Any) -> str:
        """Return the topic of a route with the given values, as ``url_for`` does for URLs.

        Args:
            name: The name of the route.
            absolute: Whether the topic includes ``MQTT_PREFIX``, as at the broker.
            values: The values, by the names of the placeholders.

        Raises:
            BuildError: There is no such route, or a value is missing, unknown or not allowed.
            TypeError: The name is not a string.
        """
        route, topic = router_of(self).topic_for(name, values)
        if not absolute or route.options.no_prefix:
            return topic
        full: str = self._rs_subscribed.prefix.add(topic)
        return full

    def register_blueprint(
        self, blueprint: MqttBlueprint, *, prefix: str | None = None, name: str | None = None
    ) -> None:
        """Register the routes, handlers and hooks of a blueprint.

        Args:
            blueprint: The blueprint. It may be registered several times, with other names.
            prefix: The beginning of its rules, instead of its own prefix.
            name: The beginning of its routes' names, instead of its own name.

        Raises:
            TypeError: It is not a blueprint, or a handler in it does not match its route.
            ValueError: A blueprint of that name is registered already, or as with `topic`. In this
                case, nothing of the blueprint is registered.
        """
        register(blueprint, router_of(self), prefix, name)

    def _rs_add_route(
        self, rule: str, handler: Callable[..., Any], name: str | None, options: RouteOptions
    ) -> None:
        router_of(self).add(rule, handler, name, options)

    def _rs_add_sent(self, sent: Sent) -> None:
        router_of(self).sent.append(sent)

    def _rs_put_hook(self, name: str, put: Callable[[Hooks], None]) -> None:  # noqa: ARG002
        router_of(self).put_hook(put)


def router_of(mqtt: Any) -> Router:
    """Return the router of an extension, which is made with the first call."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is None:
        # Of two threads that come here at once, both use the one that was first.
        router = vars(mqtt).setdefault(_ROUTER, Router(mqtt, _adder(mqtt), _finder(mqtt)))
        app = vars(mqtt).get(_APP)
        if app is not None:
            begin_routes(mqtt, app)
    return router


def _adder(mqtt: Any) -> Callable[[str, Callable[..., Any], bool], Callable[[], None]]:
    # The application may assign another client.
    return lambda sub, handler, no_prefix: driving.add_handler(
        mqtt.client, sub, handler, no_prefix=no_prefix
    )


def _finder(mqtt: Any) -> Callable[[], Dispatcher | None]:
    def find() -> Dispatcher | None:
        parts = driving.parts(mqtt.client)
        return None if parts is None else parts.dispatcher

    return find


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


def routes_of(mqtt: Any) -> list[Route]:
    """Return the routes of an extension, in the order of registration."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    return [] if router is None else router.routes


def sent_of(mqtt: Any) -> list[Sent]:
    """Return what the application has declared to send, with `sends`."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    return [] if router is None else list(router.sent)


def with_routes(mqtt: Any, stats: Stats) -> Stats:
    """Add the counters of routes to those of a client."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is not None:
        stats["routes"] = router.stats()
    return stats


def leave_routes_to_parent(mqtt: Any) -> None:
    """Go on in a forked child."""
    router: Router | None = vars(mqtt).get(_ROUTER)
    if router is not None:
        router.forked()
