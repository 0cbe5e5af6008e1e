"""The owner of an extension's routes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

from werkzeug.routing import Map

from ..paho.subscribeoptions import SubscribeOptions
from ..payloads.encoding import provider_of
from .building import build, unknown
from .converters import Converters
from .counts import Counts
from .dead_letters import DeadLetters
from .hooks import Hooks
from .invalid import InvalidMessages
from .later import Later, Means
from .overdue import Overdue
from .patterns import Pattern
from .responses import Responses
from .route import Handler, Route, RouteOptions
from .sending import Publishing
from .stages import Common, compose, entry

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from flask import Flask

    from .._core import Client as CoreClient
    from ..dispatch.dispatcher import Dispatcher
    from ..stats import RouteCounts
    from .invoke import Invoke
    from .sent import Sent

#: How a filter is subscribed to: the QoS, the options of MQTT 5 if there are any, and whether it is
#: without the prefix of the extension.
Subscription = tuple[int, SubscribeOptions | None, bool]

#: Of one filter, these have to be the same for all routes: a broker has one subscription to it.
_SAME = ("no_local", "retain_as_published", "retain_handling", "no_prefix")


class Host(Publishing, Protocol):
    """What has the routes: the extension."""

    @property
    def topics(self) -> Container[str]:
        """What is subscribed to."""

    def subscribe(
        self, topic: Any, qos: int = 0, options: Any = None, *, no_prefix: bool = False
    ) -> object:
        """Subscribe, now or with the next connection, and again after every reconnect."""


class _Begun:
    """A route whose messages are handled."""

    def __init__(
        self,
        dispatcher: Dispatcher | None,
        set_stages: Callable[[Invoke], None],
        later: Later,
    ) -> None:
        self.dispatcher = dispatcher
        self.set_stages = set_stages
        self.later = later
        self.undo: Callable[[], None] = lambda: None

    def end(self) -> None:
        self.undo()
        self.later.end()


class Router:
    """The routes: found by their names, subscribed to once for each filter.

    Until `open` they are only kept: the configuration says how to subscribe, and the application
    may have further converters.
    """

    def __init__(
        self,
        host: Host,
        add_handler: Callable[[str, Handler, bool], Callable[[], None]],
        dispatcher: Callable[[], Dispatcher | None],
    ) -> None:
        """Start without any.

        Args:
            host: What subscribes and publishes.
            add_handler: Has a handler called for the messages of a subscription, besides others:
                with a prefix of the extension's before its filter, or for True without. Returns
                what undoes that.
            dispatcher: Returns what calls handlers; None where something stands in for the client.
        """
        self._host = host
        self._dispatcher = dispatcher
        self._add_handler = add_handler
        #: Those for the rules.
        self.converters = Converters()
        #: What is called before and after the handlers of all routes.
        self.hooks = Hooks()
        #: What becomes of the messages.
        self.counts = Counts()
        #: What the application says that it publishes.
        self.sent: list[Sent] = []
        self._dead_letters = DeadLetters(host, self.counts)
        self._common = Common(
            self.counts,
            InvalidMessages(self.counts, self._dead_letters),
            Responses(host, self.counts, lambda: provider_of(self._app)),
        )
        self._app: Any = None
        self._overdue = Overdue(self._core, self.counts)
        self._is_open = False
        #: Guards what follows. Nothing of the application's is called while it is held, but for
        #: finalizers, which may come at any time: so the thread that has it may take it again.
        self._lock = threading.RLock()
        self._routes: list[Route] = []
        #: Those whose messages are handled, and what changes that.
        self._begun: dict[Route, _Begun] = {}
        self._named: dict[str, list[Route]] = {}
        #: By what is subscribed to for them.
        self._of_filter: dict[str, list[Route]] = {}
        #: The names of blueprints.
        self._blueprints: set[str] = set()
        #: How that was subscribed to.
        self._subscribed: dict[str, Subscription] = {}

    @property
    def routes(self) -> list[Route]:
        """The routes, in the order of registration."""
        with self._lock:
            return list(self._routes)

    def add(
        self,
        rule: str,
        handler: Handler,
        name: str | None,
        options: RouteOptions,
        *,
        scopes: tuple[Hooks, ...] | None = None,
        within: str = "",
    ) -> Route:
        """Add a route, and subscribe if `open` was called.

        Args:
            rule: A topic with placeholders.
            handler: Called as ``handler(client, message, **values)``.
            name: What `topic_for` finds it by; None for the handler's own name.
            options: What else is said of it.
            scopes: The hooks for it, outermost first; None for those of the extension.
            within: The name of its blueprint.

        Raises:
            TypeError: The handler cannot be called for it.
            ValueError: The rule is malformed, or contradicts another route.
        """
        pattern = Pattern(rule)
        scopes = (self.hooks,) if scopes is None else scopes
        route = Route.of(pattern, handler, name, options, scopes, within)
        # A converter that is not known yet may come with the application.
        if self._is_open or pattern.is_known(self.converters):
            self._bind(pattern)
        with self._lock:
            self._check_name(route)
            if pattern.is_bound:
                self._want(route)
            self._routes.append(route)
            if route.name is not None:
                self._named.setdefault(route.name, []).append(route)
            is_open = self._is_open
        if is_open:
            try:
                self._begin(route)
                self._subscribe(route.filter)
            except BaseException:
                self.remove(route)
                raise
        return route

    def remove(self, route: Route) -> None:
        """Forget a route. What was subscribed to for it stays so.

        Args:
            route: The route. One that is not there is left alone.
        """
        with self._lock:
            self._routes = [one for one in self._routes if one is not route]
            for table, key in ((self._named, route.name), (self._of_filter, route.filter)):
                left = [one for one in table.get(key or "", ()) if one is not route]
                if left:
                    table[key or ""] = left
                else:
                    table.pop(key or "", None)
            begun = self._begun.pop(route, None)
        if begun is not None:
            begun.end()

    def put_hook(self, put: Callable[[Hooks], None]) -> None:
        """Have something called before or after the handlers of all routes.

        Args:
            put: Puts it among the hooks.
        """
        put(self.hooks)
        with self._lock:
            begun = list(self._begun.items())
        for route, entered in begun:
            entered.set_stages(compose(route, self._common, entered.later))

    def take_name(self, name: str) -> None:
        """Note the name of a blueprint.

        Args:
            name: The name, with those of the blueprints that it is in.

        Raises:
            ValueError: Another one has it.
        """
        with self._lock:
            if name in self._blueprints:
                raise ValueError(
                    f"blueprint {name!r}: a blueprint of this name is registered already; pass "
                    "another name="
                )
            self._blueprints.add(name)

    def leave_name(self, name: str) -> None:
        """Forget the name of a blueprint."""
        with self._lock:
            self._blueprints.discard(name)

    def open(self, app: Flask) -> None:
        """Handle the messages of all routes, and subscribe. Doing so again goes on with the rest.

        Args:
            app: The application, whose converters may be used.

        Raises:
            ValueError: A route has a converter that nobody knows, or contradicts another one, or
                wants what the version of MQTT does not have.
        """
        self._app = app
        url_map = getattr(app, "url_map", None)
        if isinstance(url_map, Map):
            self.converters.use(url_map)
        self._is_open = True
        routes = self.routes
        for route in routes:
            self._begin(route)
        for filter_ in dict.fromkeys(route.filter for route in routes):
            self._subscribe(filter_)

    def stats(self) -> RouteCounts:
        """Return how many routes there are, and what became of their messages."""
        counts = self.counts.shown()
        with self._lock:
            counts["routes"] = len(self._routes)
        return counts

    def topic_for(self, name: str, values: dict[str, Any]) -> tuple[Route, str]:
        """Return the route of a name that has these values, and its topic: `building.build`."""
        if not isinstance(name, str):
            raise TypeError(f"topic_for({name!r}): it must be the name of a route, a str")
        with self._lock:
            routes = list(self._named.get(name, ()))
            names = [] if routes else list(self._named)
        if not routes:
            raise unknown(name, names)
        for route in routes:
            if not route.pattern.is_bound:
                self._bind(route.pattern)
        return build(name, routes, values)

    def forked(self) -> None:
        """Be usable in a forked child: another thread of the parent's may have had the lock."""
        self._lock = threading.RLock()
        self.counts.forked()
        self._overdue.forked()

    def _core(self) -> CoreClient | None:
        dispatcher = self._dispatcher()
        return None if dispatcher is None else dispatcher.core

    def _bind(self, pattern: Pattern) -> None:
        pattern.bind(self.converters)

    def _check_name(self, route: Route) -> None:
        """Look whether another route was given the same name. The caller has the lock."""
        for other in self._named.get(route.name or "", ()) if route.is_named else ():
            if other.is_named and other.handler is not route.handler:
                raise ValueError(
                    f"name {route.name!r}: the route {other.pattern.rule!r} has it already, so "
                    f"{route.pattern.rule!r} needs another one"
                )

    def _want(self, route: Route) -> None:
        """Have a route subscribed to with others of its filter. The caller has the lock."""
        if route.options.dead_letter is not None:
            self._dead_letters.expect(
                route.pattern.rule, route.pattern.filter, route.options.dead_letter
            )
        others = self._of_filter.setdefault(route.filter, [])
        if route in others or not route.options.subscribes:
            return
        for name in _SAME if others else ():
            wanted, other = getattr(route.options, name), getattr(others[0].options, name)
            if wanted != other:
                raise ValueError(
                    f"the routes {others[0].pattern.rule!r} and {route.pattern.rule!r} have the "
                    f"filter {route.filter!r}, so they share a subscription, but {name} is "
                    f"{other!r} for the first and {wanted!r} for the second"
                )
        others.append(route)

    def _begin(self, route: Route) -> None:
        """Have the messages of a route handled, if the client does not do so yet."""
        if not route.pattern.is_bound:
            self._bind(route.pattern)
        handle, set_stages = entry(route, self._common)
        dispatcher = self._dispatcher()
        means = Means(dispatcher, self.counts, self._dead_letters, self._overdue)
        begun = _Begun(dispatcher, set_stages, Later(route, means))
        with self._lock:
            self._want(route)
            before = self._begun.get(route)
            if before is None or before.dispatcher is not dispatcher:
                self._begun[route] = begun
            is_new = self._begun[route] is begun
        if not is_new:
            begun.later.end()
            return
        if before is not None:
            # `reinitialise` has forgotten it, or the application has put another client there.
            before.end()
        # A hook may have come before it was there.
        set_stages(compose(route, self._common, begun.later))
        begun.undo = self._add_handler(route.filter, handle, route.options.no_prefix)

    def _subscribe(self, filter_: str) -> None:
        """Subscribe with what is wanted, until no other thread has wanted more meanwhile."""
        wanted = self._wanted(filter_)
        with self._lock:
            made = self._subscribed.get(filter_)
        if made == wanted and filter_ in self._host.topics:
            return
        while wanted is not None:
            subscribed, (qos, options, no_prefix) = wanted, wanted
            how: dict[str, Any] = {"qos": qos} if options is None else {"options": options}
            if no_prefix:
                how["no_prefix"] = True
            self._host.subscribe(filter_, **how)
            with self._lock:
                self._subscribed[filter_] = subscribed
            wanted = self._wanted(filter_)
            if wanted == subscribed:
                return

    def _wanted(self, filter_: str) -> Subscription | None:
        """Return how the routes of a filter want it to be subscribed to; None without any."""
        with self._lock:
            routes = list(self._of_filter.get(filter_, ()))
        if not routes:
            return None
        qos = max(route.options.qos for route in routes)
        options = routes[0].options
        return qos, options.subscribe_options(qos), options.no_prefix
