"""The slots of handlers: what each event brings, and how many arguments a handler takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from .callables import (
    does_nothing,
    own_signature,
    parameters,
    positional,
    stated_signature,
    takes,
    takes_any_number,
    takes_plainly,
)
from .naming import name_of

Handler = Callable[..., Any]
OwnerT = TypeVar("OwnerT")
ReturnT = TypeVar("ReturnT")
P = ParamSpec("P")

#: If one of these is given as a handler, the error shows its value; otherwise only a name.
_PLAIN = (str, int, float, bool, type(None))

#: What handlers of messages are called with.
MESSAGE = "(client, userdata, message)"


class Fitted(NamedTuple):
    """A handler, and how many of the arguments of its event it gets with API version 1."""

    handler: Handler
    #: Before MQTT 5, and with it.
    before: int
    with_5: int


class HandlerSlot:
    """A place for a handler: what its event brings, and how many of that each handler takes."""

    def __init__(
        self,
        name: str,
        arguments: str,
        more: str = "",
        version_2: str | None = None,
        *,
        or_none: bool = False,
        more_for_all: bool = True,
    ) -> None:
        """Describe the event.

        Args:
            name: Of the attribute, as in ``on_connect``.
            arguments: The names of what handlers have always been called with.
            more: What there is besides with MQTT 5; a handler gets of it what it takes.
            version_2: What version 2 of the callback API calls them with, where that is different.
            or_none: Whether a handler may also take no argument at all.
            more_for_all: Whether with MQTT 5 a handler that takes any number gets all there is, as
                from paho's client.
        """
        self.name = name
        self._usual = _count(arguments)
        self._most = self._usual + _count(more)
        self._or_none = or_none
        self._any_number_with_5 = self._most if more_for_all else self._usual
        self._version_2 = self._usual if version_2 is None else _count(version_2)
        optional = "".join(f"[, {one}" for one in more.split(", ")) + "]" * _count(more)
        none = " or ()" if or_none else ""
        self._shown = f"({arguments}{optional if more else ''}){none}"
        self._shown_2 = self._shown if version_2 is None else f"({version_2})"

    def check(self, handler: Any, *, version_1: bool) -> None:
        """Look whether a handler can be called for the event.

        Args:
            handler: The handler.
            version_1: Whether that is done as in version 1 of the callback API.

        Raises:
            TypeError: It cannot.
        """
        if version_1:
            counts = [*range(self._usual, self._most + 1), *([0] if self._or_none else [])]
            check_handler(self.name, handler, self._shown, counts)
        else:
            check_handler(self.name, handler, self._shown_2, [self._version_2])

    def fit(self, handler: Handler) -> Fitted:
        """Find out how many arguments a handler gets with version 1.

        One that takes any number gets the usual ones: what it does with them cannot be seen.
        """
        signature = own_signature(handler)
        if signature is None or takes_any_number(signature):
            return Fitted(handler, self._usual, self._any_number(stated_signature(handler)))
        more = self._usual + _places_for_more(signature, self._usual)
        none = [0] if self._or_none else []
        every = range(self._usual, self._most + 1)
        wanted = [count for count in reversed(every) if count <= more]

        def first(counts: list[int]) -> int:
            return next((count for count in counts if takes(signature, count)), self._usual)

        return Fitted(handler, first([*every, *none]), first([*wanted, *every, *none]))

    def _any_number(self, stated: inspect.Signature | None) -> int:
        """Return how many arguments a handler gets with MQTT 5 that takes any number of them."""
        if stated is None or takes_any_number(stated):
            return self._any_number_with_5
        # A decorator that adds nothing passes on what it gets, and one that does adds other things.
        names = [parameter.name for parameter in positional(stated)[self._usual :]]
        meant = sum("prop" in name.lower() for name in names[:1]) and len(names)
        return min(self._usual + meant, self._most)


def _count(arguments: str) -> int:
    return len(arguments.split(", ")) if arguments else 0


def _places_for_more(signature: inspect.Signature, usual: int) -> int:
    """Count the parameters beyond the usual ones that wait for something.

    Another default than None is how a function keeps a value of its own: ``lambda ..., n=n``.
    """
    count = 0
    for parameter in positional(signature)[usual:]:
        if parameter.default not in (inspect.Parameter.empty, None):
            break
        count += 1
    return count


def check_handler(name: str, handler: Any, arguments: str, counts: list[int]) -> None:
    """Look at a handler when it is registered, before an event does.

    Args:
        name: What it is a handler of.
        handler: What was given.
        arguments: What it is called with, for people.
        counts: With how many arguments it may be called.

    Raises:
        TypeError: It cannot be called so, or a call would not run it.
    """
    if not callable(handler):
        given = repr(handler) if type(handler) in _PLAIN else name_of(handler)
        raise TypeError(f"{name} {given}: it must be a function, {_instead(handler)}")
    reason = does_nothing(handler, counts[0])
    if reason is not None:
        raise TypeError(f"{name} {name_of(handler)}: {reason}")
    if any(takes_plainly(handler, count) for count in counts):
        return
    signature = own_signature(handler)
    if signature is None or any(takes(signature, count) for count in counts):
        return
    text = f"{name} {name_of(handler)}{parameters(signature)}: it is called with {arguments}"
    raise TypeError(f"{text}, {_hint(signature)}")


def check_decorated(name: str, handler: Any) -> None:
    """Raise TypeError where a decorator has got no function: None would leave the event without."""
    if handler is None:
        raise TypeError(
            f"{name} None: there is no function; the decorator under @{name} has to return one"
        )


def _instead(given: Any) -> str:
    if inspect.iscoroutine(given) or inspect.isgenerator(given) or inspect.isasyncgen(given):
        return "and not what calling it returned: leave out the parentheses after its name"
    if isinstance(given, classmethod):
        return "and becomes one when the class exists: register it after that, as Class.method"
    return "or None"


def _hint(signature: inspect.Signature) -> str:
    first = next(iter(signature.parameters), "")
    if first in ("self", "cls"):
        instead = "register the method of an object, as object.method"
        return f"so {first!r} would be the client: {instead}"
    for parameter in signature.parameters.values():
        by_name = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if by_name and parameter.default is parameter.empty:
            return f"so nothing would be {parameter.name!r}: give it with functools.partial"
    return "so it must have these parameters; functools.partial gives it others"


def with_parentheses(
    example: str,
) -> Callable[
    [Callable[Concatenate[OwnerT, P], ReturnT]], Callable[Concatenate[OwnerT, P], ReturnT]
]:
    """Have a method that returns a decorator refuse to be one itself: ``@mqtt.on_connect``.

    Args:
        example: How it is to be used.
    """

    def decorate(
        method: Callable[Concatenate[OwnerT, P], ReturnT],
    ) -> Callable[Concatenate[OwnerT, P], ReturnT]:
        @functools.wraps(method)
        def checked(self: OwnerT, /, *args: P.args, **kwargs: P.kwargs) -> ReturnT:
            given = args[0] if args else None
            if callable(given) or isinstance(given, (classmethod, property)):
                raise TypeError(f"{method.__name__} needs parentheses: @{example}")
            return method(self, *args, **kwargs)

        return checked

    return decorate


_SLOTS = (
    HandlerSlot(
        "on_connect",
        "client, userdata, flags, rc",
        more="properties",
        version_2="client, userdata, flags, reason_code, properties",
    ),
    HandlerSlot("on_connect_fail", "client, userdata"),
    HandlerSlot("on_pre_connect", "client, userdata"),
    HandlerSlot(
        "on_disconnect",
        "client, userdata, rc",
        more="properties",
        version_2="client, userdata, flags, reason_code, properties",
        or_none=True,
    ),
    HandlerSlot(
        "on_subscribe",
        "client, userdata, mid, granted_qos",
        more="properties",
        version_2="client, userdata, mid, reason_codes, properties",
    ),
    HandlerSlot(
        "on_unsubscribe",
        "client, userdata, mid",
        more="properties, reasoncodes",
        version_2="client, userdata, mid, reason_codes, properties",
    ),
    HandlerSlot(
        "on_publish",
        "client, userdata, mid",
        more="properties, reasoncode",
        version_2="client, userdata, mid, reason_code, properties",
        more_for_all=False,
    ),
    HandlerSlot("on_log", "client, userdata, level, buf"),
    HandlerSlot("on_socket_open", "client, userdata, sock"),
    HandlerSlot("on_socket_close", "client, userdata, sock"),
)

#: All but `on_message`, which gets no more with MQTT 5, by their names.
SLOTS = {slot.name: slot for slot in _SLOTS}
