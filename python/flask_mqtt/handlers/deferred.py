"""Keeps registrations of handlers that are made before the extension exists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .._core import validate_filter
from .slots import SLOTS, check_decorated

if TYPE_CHECKING:
    from collections.abc import Callable

    from .caller import Handler

#: The attributes of a client that hold a handler.
EVENTS = frozenset({*SLOTS, "on_message"})


class Registry(Protocol):
    """What handlers are registered with."""

    def set_handler(self, name: str, handler: Handler) -> object:
        """Have a handler called for an event, by the name of its attribute."""

    def add_route(self, sub: str, handler: Handler) -> object:
        """Have a handler called for the messages of a subscription."""


class Registrations:
    """Keeps registrations, and makes them with each registry that comes, in their order.

    As with a blueprint of Flask's, there are no more of them when the first registry has come: it
    would not get those.
    """

    def __init__(self) -> None:
        """Start without any."""
        self._made: list[Callable[[Registry], object]] = []
        self._is_applied = False

    def set_handler(self, name: str, handler: Handler) -> None:
        """Register a handler of an event.

        Args:
            name: That of the attribute, as in ``on_connect``.
            handler: The handler. With what it can be called is looked at by the registry.

        Raises:
            TypeError: There is no handler.
            ValueError: There is no such event.
            RuntimeError: A registry has come already.
        """
        if name not in EVENTS:
            raise ValueError(f"name {name!r}: it must be one of {', '.join(sorted(EVENTS))}")
        check_decorated(name, handler)
        self._make(name, lambda registry: registry.set_handler(name, handler))

    def add_route(self, sub: str, handler: Handler) -> None:
        """Register a handler of messages on some topics.

        Args:
            sub: A filter, which may be that of a shared subscription.
            handler: The handler, as with `set_handler`.

        Raises:
            TypeError: There is no handler, or the filter is no text.
            ValueError: The filter is malformed (MQTT 3.1.1, section 4.7).
            RuntimeError: A registry has come already.
        """
        if not isinstance(sub, str):
            raise TypeError(f"sub {sub!r}: it must be a filter, as in 'home/#'")
        validate_filter(sub)
        name = f"on_topic({sub!r})"
        check_decorated(name, handler)
        self._make(name, lambda registry: registry.add_route(sub, handler))

    def apply(self, registry: Registry) -> None:
        """Make all registrations with a registry.

        Args:
            registry: What it raises ends this.
        """
        self._is_applied = True
        for make in self._made:
            make(registry)

    def _make(self, name: str, make: Callable[[Registry], object]) -> None:
        if self._is_applied:
            raise RuntimeError(
                f"{name}: it is too late for this handler, the others are registered with an "
                f"extension already; register it before that, or with the extension"
            )
        self._made.append(make)
