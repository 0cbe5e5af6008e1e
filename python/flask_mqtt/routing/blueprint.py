"""Blueprints: routes and handlers of a module, registered with an extension later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from .declaring import Declarations
from .hooks import Hooks
from .patterns import Pattern, joined
from .route import RouteOptions
from .sent import Sent

if TYPE_CHECKING:
    from .route import Handler, Route
    from .router import Router

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Made:
    """What the registration of a blueprint has made so far, to undo it where a part fails."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.names: list[str] = []
        self.routes: list[Route] = []

    def undo(self, router: Router) -> None:
        """Take it from the routes of an extension."""
        for route in self.routes:
            router.remove(route)
        for name in self.names:
            router.leave_name(name)


@dataclass(frozen=True)
class Place:
    """Where a blueprint is registered: what its routes begin with, in topics and names."""

    router: Router
    #: With those of the blueprints that it is in.
    name: str
    prefix: str
    #: The hooks for its handlers, outermost first.
    scopes: tuple[Hooks, ...]
    made: Made
    #: The blueprints that it is in.
    outer: tuple[MqttBlueprint, ...] = ()

    def inside(self, name: str, prefix: str) -> Place:
        """Return the place of a blueprint in the one that is registered here."""
        prefix = joined(self.prefix, prefix) if prefix else self.prefix
        return replace(self, name=f"{self.name}.{name}", prefix=prefix)

    def add(self, rule: str, handler: Handler, name: str | None, options: RouteOptions) -> None:
        """Add a route of the blueprint."""
        rule = joined(self.prefix, rule)
        route = self.router.add(rule, handler, name, options, scopes=self.scopes, within=self.name)
        self.made.routes.append(route)

    def add_sent(self, sent: Sent) -> None:
        """Say what the blueprint sends."""
        pattern = Pattern(joined(self.prefix, sent.pattern.rule))
        name = None if sent.name is None else f"{self.name}.{sent.name}"
        self.router.sent.append(replace(sent, pattern=pattern, name=name))


class MqttBlueprint(Declarations):
    """Collects routes, handlers and hooks, as a Flask blueprint collects views.

    :meth:`Mqtt.register_blueprint` registers them. After that, the blueprint accepts no more.
    """

    def __init__(self, name: str, *, prefix: str = "") -> None:
        """Make a blueprint.

        Args:
            name: The beginning of its routes' names, as in ``sensors.temperature``.
            prefix: The beginning of all its rules. It may contain placeholders.

        Raises:
            TypeError: The name or the prefix is not a string.
            ValueError: The name is empty or contains a dot, or the prefix is malformed.
        """
        self.name = _checked_name(name)
        self.prefix = _checked_prefix(prefix)
        self._hooks = Hooks()
        self._declared: list[Callable[[Place], None]] = []
        self._is_registered = False

    def on_topic(self, topic: str, *, no_prefix: bool = False) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, message)``. It does not subscribe.

        Args:
            topic: A filter, to which the blueprint's prefix is added.
            no_prefix: The filter is for full topics, without ``MQTT_PREFIX``.

        Raises:
            TypeError: The filter is missing.
            ValueError: It is malformed.
        """
        if not isinstance(topic, str):
            raise TypeError("on_topic needs a filter: @blueprint.on_topic('home/+')")
        share = None
        if topic.startswith("$share/"):
            _, share, topic = f"{topic}/".split("/", 2)
            topic = topic.removesuffix("/")
        options = RouteOptions(subscribes=False, share=share, no_prefix=no_prefix)
        return self._rs_registrar(topic, None, options)

    def register_blueprint(
        self, blueprint: MqttBlueprint, *, prefix: str | None = None, name: str | None = None
    ) -> None:
        """Register another blueprint in this one, whose prefix and name come first.

        Args:
            blueprint: The other blueprint.
            prefix: A prefix instead of its own.
            name: A name instead of its own.

        Raises:
            TypeError: It is not a blueprint.
            ValueError: It is this blueprint, or a name or prefix is malformed.
            RuntimeError: This blueprint is registered already.
        """
        name, prefix = checked(blueprint, name, prefix)
        if blueprint is self:
            raise ValueError(f"blueprint {self.name!r}: it cannot be registered in itself")
        self._declare(
            f"register_blueprint({name!r})",
            lambda place: blueprint.make(place.inside(name, prefix)),
        )

    def make(self, place: Place) -> None:
        """Make what was collected.

        Args:
            place: Where.

        Raises:
            TypeError: A handler cannot be called for its route.
            ValueError: The name is taken, a route contradicts another one, or the blueprint is in
                itself.
        """
        if self in place.outer:
            raise ValueError(f"blueprint {place.name!r}: it is registered in itself")
        place.router.take_name(place.name)
        place.made.names.append(place.name)
        self._is_registered = True
        scopes, outer = (*place.scopes, self._hooks), (*place.outer, self)
        inner = replace(place, scopes=scopes, outer=outer)
        for declare in self._declared:
            declare(inner)

    def _rs_add_route(
        self, rule: str, handler: Handler, name: str | None, options: RouteOptions
    ) -> None:
        if name is not None and "." in str(name):
            raise ValueError(
                f"name {name!r}: it must not contain a dot: the blueprint's name is put before it"
            )
        # What is wrong without looking at other prefixes is said at once.
        Pattern(joined(self.prefix, rule))
        self._declare(f"topic({rule!r})", lambda place: place.add(rule, handler, name, options))

    def _rs_add_sent(self, sent: Sent) -> None:
        self._declare(f"sends({sent.pattern.rule!r})", lambda place: place.add_sent(sent))

    def _rs_put_hook(self, name: str, put: Callable[[Hooks], None]) -> None:
        self._check_open(name)
        put(self._hooks)

    def _declare(self, name: str, declare: Callable[[Place], None]) -> None:
        self._check_open(name)
        self._declared.append(declare)

    def _check_open(self, name: str) -> None:
        if self._is_registered:
            raise RuntimeError(
                f"{name}: the blueprint {self.name!r} is registered already; do this before "
                "register_blueprint()"
            )


def register(
    blueprint: MqttBlueprint, router: Router, prefix: str | None, name: str | None
) -> None:
    """Register a blueprint with the routes of an extension. Where a part fails, nothing is.

    Args:
        blueprint: The blueprint.
        router: The routes.
        prefix: In the place of its own.
        name: In the place of its own.
    """
    name, prefix = checked(blueprint, name, prefix)
    made = Made()
    try:
        blueprint.make(Place(router, name, prefix, (router.hooks,), made))
    except BaseException:
        made.undo(router)
        raise


def checked(blueprint: MqttBlueprint, name: str | None, prefix: str | None) -> tuple[str, str]:
    """Return the name and the prefix to register a blueprint with.

    Args:
        blueprint: The blueprint.
        name: In the place of its own.
        prefix: In the place of its own.

    Raises:
        TypeError: It is no blueprint, or one of them is no text.
        ValueError: One of them is malformed.
    """
    if not isinstance(blueprint, MqttBlueprint):
        raise TypeError(
            f"blueprint of type {type(blueprint).__name__}: it must be an MqttBlueprint"
        )
    return (
        blueprint.name if name is None else _checked_name(name),
        blueprint.prefix if prefix is None else _checked_prefix(prefix),
    )


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"name {name!r}: it must be a str")
    if not name or "." in name:
        raise ValueError(f"name {name!r}: it must not be empty or contain a dot")
    return name


def _checked_prefix(prefix: str) -> str:
    if not isinstance(prefix, str):
        raise TypeError(f"prefix {prefix!r}: it must be a str, as in 'sensors/<site>'")
    if prefix:
        Pattern(joined(prefix, "x"))
    return prefix
