"""The ``on_*`` attributes: handlers, and how many arguments each of them takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast, overload

if TYPE_CHECKING:
    from typing_extensions import Self

Handler = Callable[..., Any]
CallbackT = TypeVar("CallbackT")


class Fitted(NamedTuple):
    """A handler, and how many of the arguments of its event it gets with API version 1."""

    handler: Handler
    #: Before MQTT 5, and with it.
    before: int
    with_5: int


class HandlerSlot(Generic[CallbackT]):
    """An attribute that holds a handler. How it is called is found out once, when it is set."""

    def __init__(
        self, doc: str, usual: int, most: int | None = None, *, or_none: bool = False
    ) -> None:
        """Describe the event.

        Args:
            doc: How handlers are called, and when: the attribute's docstring.
            usual: How many arguments handlers have always had.
            most: How many there are with MQTT 5; a handler gets those that it takes.
            or_none: Whether a handler may also take no argument at all.
        """
        self.__doc__ = doc
        most = usual if most is None else most
        more = list(range(usual + 1, most + 1))
        self._usual = usual
        self._before = [usual, *more, *([0] if or_none else [])]
        self._with_5 = [*reversed(more), usual, *([0] if or_none else [])]

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name, under which the handler is kept too."""
        self._name = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> CallbackT | None: ...
    def __get__(self, instance: object | None, owner: type) -> Self | CallbackT | None:
        """Return the handler as it was set."""
        if instance is None:
            return self
        fitted: Fitted | None = getattr(instance, self._name)
        return None if fitted is None else cast("CallbackT", fitted.handler)

    def __set__(self, instance: Any, handler: CallbackT | None) -> None:
        """Look at a handler, and keep it."""
        check_handler(self._name[1:], handler)
        fitted = None if handler is None else self.fit(cast("Handler", handler))
        setattr(instance, self._name, fitted)
        instance._handlers_changed()  # noqa: SLF001 - the two belong together

    def fit(self, handler: Handler) -> Fitted:
        """Find out how a handler is called."""
        try:
            signature = inspect.signature(handler)
        except (TypeError, ValueError):
            return Fitted(handler, self._usual, self._usual)

        def first(counts: list[int]) -> int:
            # Where none fits, the call fails, and the log says with which handler.
            return next((count for count in counts if _takes(signature, count)), self._usual)

        return Fitted(handler, first(self._before), first(self._with_5))


def check_handler(name: str, handler: Any) -> None:
    """Raise TypeError for what nobody can call, before an event does."""
    if handler is not None and not callable(handler):
        raise TypeError(f"{name} {handler!r}: it must be a function, or None")


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True
