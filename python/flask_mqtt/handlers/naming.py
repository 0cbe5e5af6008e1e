"""What handlers are called in the log: what their code says, and without running any of it."""

from __future__ import annotations

import functools
import inspect
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType, MethodType
from typing import Any

#: So many partials and methods around a function are looked through.
_MOST_AROUND = 100

#: Most characters that are shown.
_MOST_SHOWN = 200

_OF_C = (GetSetDescriptorType, MemberDescriptorType)


def name_of(handler: Any) -> str:
    """Return the name of a handler with its module, for people.

    That of the function where it is in a `functools.partial` or a method, and that of the class
    where it is another object. No `repr` is asked for: the arguments of a partial, or what an
    object has, may be secrets. Nothing of the object's own runs, so nothing raises.
    """
    for _ in range(_MOST_AROUND):
        inner = _inside(handler)
        if inner is None:
            break
        handler = inner
    kind = type(handler)
    if kind is FunctionType:
        return _line(_text(handler.__module__), _text(handler.__qualname__))
    if issubclass(kind, type):
        return _line(_of_class(handler, "__module__"), _of_class(handler, "__qualname__"))
    if name := _stated(handler, "__qualname__"):
        return _line(_stated(handler, "__module__"), name)
    return _line(_of_class(kind, "__module__"), _of_class(kind, "__qualname__"))


def _inside(handler: Any) -> Any:
    """Return what a callable is around, or None."""
    kind = type(handler)
    if kind in (MethodType, staticmethod, classmethod):
        return handler.__func__
    if issubclass(kind, functools.partial):
        return vars(functools.partial)["func"].__get__(handler)
    if kind is FunctionType:
        # What `functools.partialmethod` makes; its name before Python 3.13, and since.
        values = handler.__dict__
        method = values.get("__partialmethod__", values.get("_partialmethod"))
        return vars(method).get("func") if type(method) is functools.partialmethod else None
    return None


def _stated(handler: Any, name: str) -> str:
    """Return an attribute of an object if it is plain data: getting it must not run its code."""
    value = inspect.getattr_static(handler, name, None)
    if type(value) in _OF_C:
        value = value.__get__(handler)
    return _text(value)


def _of_class(kind: type, name: str) -> str:
    """Return what a class is called, whatever its metaclass says."""
    return _text(vars(type)[name].__get__(kind))


def _text(value: Any) -> str:
    # A subclass may show itself in another way.
    return str.__str__(value) if issubclass(type(value), str) else ""


def _line(module: str, name: str) -> str:
    text = f"{module}.{name}" if module not in ("", "builtins") else name
    text = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return text if text.isprintable() else repr(text)
