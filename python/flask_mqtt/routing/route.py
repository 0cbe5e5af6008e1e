"""A route: a rule, its handler, and its options."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from ..handlers.slots import MESSAGE, check_handler
from ..paho.subscribeoptions import SubscribeOptions
from .batches import Batching
from .dead_letters import check_template
from .overdue import check_timeout
from .retries import Retry
from .signature import item_of, payload_of

if TYPE_CHECKING:
    from .hooks import Hooks
    from .patterns import Pattern
    from .signature import Payload

Handler = Callable[..., Any]


def check_qos(qos: object) -> None:
    """Look at a QoS.

    Raises:
        TypeError: It is no whole number.
        ValueError: There is no such QoS.
    """
    if not isinstance(qos, int) or isinstance(qos, bool):
        raise TypeError(f"qos {qos!r}: it must be 0, 1 or 2")
    if not 0 <= qos <= 2:  # noqa: PLR2004 - at most once, at least once, exactly once
        raise ValueError(f"qos {qos!r}: it must be 0, 1 or 2")


def check_bool(name: str, value: object) -> None:
    """Look at an option that is on or off.

    Args:
        name: What it is called.
        value: What it is.

    Raises:
        TypeError: It is neither True nor False.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} {value!r}: it must be True or False")


@dataclass(frozen=True)
class RouteOptions:
    """What is said of a route besides its rule and its handler."""

    #: The highest QoS wanted: 0, 1 or 2.
    qos: int = 0
    #: For MQTT 5, as in `SubscribeOptions`.
    no_local: bool = False
    retain_as_published: bool = False
    retain_handling: int = 0
    #: The group of a shared subscription, or None.
    share: str | None = None
    #: Whether a parameter annotated with dict or list gets the payload.
    json: bool = False
    #: Whether the rule is one of full topics, where the extension has a prefix.
    no_prefix: bool = False
    #: The topic on which messages are published that the route cannot handle, or None.
    dead_letter: str | None = None
    #: Whether what the handler returns is published as a response.
    response: bool = False
    #: False for what is as `on_topic`: it gets ``(client, userdata, message)``, and no values.
    subscribes: bool = True
    #: When a batch of messages is complete; None for a handler that gets each alone.
    batching: Batching | None = None
    #: How often the handler is called again after a failure; None for never.
    retry: Retry | None = None
    #: After how many seconds a call of the handler is reported, or None for never.
    timeout: float | None = None

    def __post_init__(self) -> None:
        """Look at the values.

        Raises:
            TypeError: One has another type.
            ValueError: One is not allowed.
        """
        check_qos(self.qos)
        for name in ("no_local", "retain_as_published", "json", "no_prefix", "response"):
            check_bool(name, getattr(self, name))
        self.subscribe_options(self.qos)
        if self.share is not None:
            self._check_share(self.share)
        if self.retry is not None and not isinstance(self.retry, Retry):
            raise TypeError(f"retry {self.retry!r}: it must be a Retry, as in Retry(times=3)")
        if self.dead_letter is not None:
            check_template(self.dead_letter)
        if self.timeout is not None:
            check_timeout(self.timeout)

    def _check_share(self, share: object) -> None:
        if not isinstance(share, str):
            raise TypeError(f"share {share!r}: it must be the name of a group, or None")
        if not share or any(one in share for one in "/+#\0"):
            raise ValueError(
                f"share {share!r}: the name of a group must not be empty or contain '/', '+' or "
                "'#' (MQTT 5.0, section 4.8.2)"
            )
        if self.no_local:
            raise ValueError(
                f"share {share!r} and no_local: not allowed together (MQTT 5.0, section 3.8.3.1)"
            )

    def subscribe_options(self, qos: int) -> SubscribeOptions | None:
        """Return the options of the subscription that only MQTT 5 has, or None without any.

        Args:
            qos: The QoS, which another route of the filter may want higher.
        """
        wanted = self.no_local, self.retain_as_published, self.retain_handling
        made = SubscribeOptions(qos, *wanted)
        return made if any(wanted) else None


@dataclass(frozen=True, eq=False)
class Route:
    """What messages of a pattern's topics are given to."""

    pattern: Pattern
    handler: Handler
    #: What `topic_for` finds it by; None for what has no name of its own, as a lambda.
    name: str | None
    #: Whether the application has given that name.
    is_named: bool
    options: RouteOptions
    #: What is called before and after the handler: the extension's, and those of blueprints.
    scopes: tuple[Hooks, ...]
    #: The parameter of the handler that gets the decoded payload.
    payload: Payload | None = None

    @classmethod
    def of(
        cls,
        pattern: Pattern,
        handler: Handler,
        name: str | None,
        options: RouteOptions,
        scopes: tuple[Hooks, ...],
        within: str,
    ) -> Route:
        """Make a route of what an application says.

        Args:
            pattern: Its rule.
            handler: Its handler.
            name: Its name; None for that of the handler.
            options: Its options.
            scopes: The hooks for it, outermost first.
            within: The name of its blueprint, or empty.

        Raises:
            TypeError: The handler cannot be called for it, or the name is no text.
            ValueError: The name is empty.
        """
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name {name!r}: it must be a str")
        if name == "":
            raise ValueError("name '': it must not be empty")
        if options.batching is not None:
            payload = item_of(handler, pattern.rule, json=options.json)
            own = _name_of(handler) if name is None else name
        elif options.subscribes:
            payload = payload_of(handler, pattern.rule, pattern.names, json=options.json)
            own = _name_of(handler) if name is None else name
        else:
            payload = own = None
            check_handler(f"on_topic({pattern.rule!r})", handler, MESSAGE, [3])
        if own is not None and within:
            own = f"{within}.{own}"
        return cls(pattern, handler, own, name is not None, options, scopes, payload)

    @property
    def filter(self) -> str:
        """What is subscribed to, with the group of a shared subscription."""
        share = self.options.share
        plain = self.pattern.filter
        return plain if share is None else f"$share/{share}/{plain}"


def _name_of(handler: Any) -> str | None:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not isinstance(handler, (FunctionType, MethodType)):
        return None
    return handler.__name__ if handler.__name__.isidentifier() else None
