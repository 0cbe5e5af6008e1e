"""What a callable takes when it is called, and whether a call of it would do anything."""

from __future__ import annotations

import dis
import functools
import inspect
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

#: How a function goes through what a generator yields: by its code, or with one of these.
_ITERATING = {"GET_ITER", "GET_AITER", "GET_YIELD_FROM_ITER", "GET_ANEXT"}
_RUNNING = {"next", "anext", "send", "asend", "list", "tuple", "set", "dict", "deque"}

#: So many decorators around a function are looked through.
_MOST_DECORATORS = 100


def own_signature(handler: Any) -> inspect.Signature | None:
    """Return what a callable takes itself, whatever the function takes that it may be around.

    A decorator can add arguments to those that it gets, and leave some out. `functools.wraps` says
    nothing about that, but copies what the inner function says about itself, `__signature__`
    included: so what is in a function's code counts.

    Args:
        handler: What can be called.

    Returns:
        The signature, or None where it cannot be told.
    """
    kind = type(handler)
    if kind is MethodType:
        return _without_first(own_signature(handler.__func__))
    if isinstance(handler, functools.partial):
        return _partial_signature(handler, own_signature(handler.func))
    if kind is staticmethod:
        handler = handler.__func__
    if type(handler) is FunctionType:
        handler = _as_written(handler)
    elif not isinstance(handler, type):
        call = _call_of(kind)
        if call is not None:
            return _without_first(own_signature(call))
        # An object that is around a function, and not written in Python, tells what that one takes.
        if getattr(handler, "__wrapped__", None) is not None:
            return None
    if type(handler) is BuiltinFunctionType and type(handler.__self__) is ModuleType:
        return _signature_of_builtin(handler)
    return _signature(handler)


def _signature(handler: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


#: It is made from text, which takes a third of a millisecond. They live as long as their module.
_signature_of_builtin = functools.lru_cache(maxsize=32)(_signature)


def stated_signature(handler: Any) -> inspect.Signature | None:
    """Return what the function takes that a callable says to be around: the innermost.

    Args:
        handler: What can be called.

    Returns:
        The signature, or None where there is no such function, or it cannot be told.
    """
    kind = type(handler)
    if kind is staticmethod:
        return stated_signature(handler.__func__)
    if kind is MethodType:
        return _without_first(stated_signature(handler.__func__))
    if isinstance(handler, functools.partial):
        return _partial_signature(handler, stated_signature(handler.func))
    if isinstance(handler, type):
        return None
    inner = getattr(handler, "__wrapped__", None)
    if inner is None:
        call = None if kind is FunctionType else _call_of(kind)
        return None if call is None else _without_first(stated_signature(call))
    for _ in range(_MOST_DECORATORS):
        inner = getattr(inner, "__wrapped__", None) or inner
    return own_signature(inner)


def takes_plainly(handler: Any, count: int) -> bool:
    """Whether a callable is a function that takes so many positional arguments and nothing else.

    It takes a tenth of the time of a look at its signature, which tells where this does not.
    """
    if type(handler) is not FunctionType or _partial_method(handler) is not None:
        return False
    code = handler.__code__
    least = code.co_argcount - len(handler.__defaults__ or ())
    required = code.co_kwonlyargcount - len(handler.__kwdefaults__ or ())
    return least <= count <= code.co_argcount and not required


def takes(signature: inspect.Signature, count: int) -> bool:
    """Whether a callable can be called with so many positional arguments and nothing else."""
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def takes_any_number(signature: inspect.Signature | None) -> bool:
    """Whether the signature leaves open how many arguments a callable wants: ``*args``, or none."""
    return signature is None or any(
        parameter.kind is inspect.Parameter.VAR_POSITIONAL
        for parameter in signature.parameters.values()
    )


def positional(signature: inspect.Signature) -> list[inspect.Parameter]:
    """Return the parameters that have a place in the order of arguments."""
    return [
        parameter for parameter in signature.parameters.values() if parameter.kind in _POSITIONAL
    ]


def parameters(signature: inspect.Signature) -> str:
    """Return the parameters of a callable for people: no defaults, which may be secrets."""
    stars: dict[object, str] = {
        inspect.Parameter.VAR_POSITIONAL: "*",
        inspect.Parameter.VAR_KEYWORD: "**",
    }
    names = [
        f"{stars.get(parameter.kind, '')}{parameter.name}"
        for parameter in signature.parameters.values()
    ]
    return f"({', '.join(names)})"


def does_nothing(handler: Any, count: int) -> str | None:
    """Look whether a call would only make something that nobody uses.

    Args:
        handler: What can be called.
        count: With how many arguments it is to be called.

    Returns:
        Why, or None where a call does something.
    """
    if isinstance(handler, type):
        call = _call_of(handler)
        signature = None if call is None else _without_first(own_signature(call))
        if signature is None or not takes(signature, count):
            return None
        return (
            "it is a class, and calling it only makes an object: give the object, as in "
            f"{handler.__name__}()"
        )
    outer = None
    for function in _functions(handler):
        if outer is not None and _iterates(outer):
            # It may well run a generator function that it is around.
            return None
        outer = function
        flags = function.__code__.co_flags
        if flags & inspect.CO_ASYNC_GENERATOR or (
            flags & inspect.CO_GENERATOR and not flags & inspect.CO_ITERABLE_COROUTINE
        ):
            return (
                "it is a generator function, and calling it runs nothing: write it without "
                "'yield', or give a function that iterates over it"
            )
    return None


def _functions(handler: Any) -> Iterator[FunctionType]:
    """Go through the functions that a call leads to, as far as that is said."""
    for _ in range(_MOST_DECORATORS):
        kind = type(handler)
        if kind in (staticmethod, MethodType):
            handler = handler.__func__
        elif isinstance(handler, functools.partial):
            handler = handler.func
        elif kind is FunctionType:
            yield handler
            method = _partial_method(handler)
            handler = getattr(method or handler, "func" if method else "__wrapped__", None)
        elif isinstance(handler, type) or handler is None:
            return
        else:
            call = _call_of(kind)
            if call is not None:
                yield from _functions(call)
            handler = getattr(handler, "__wrapped__", None)


def _call_of(kind: type) -> FunctionType | None:
    """Return the `__call__` of a class if it is written in Python."""
    found = (vars(base)["__call__"] for base in kind.__mro__ if "__call__" in vars(base))
    call = next(found, None)
    return call if isinstance(call, FunctionType) else None


def _partial_method(function: FunctionType) -> functools.partialmethod[Any] | None:
    """Return what a function was made by, if that was `functools.partialmethod`."""
    # Its name before Python 3.13, and since.
    method = getattr(function, "_partialmethod", None)
    return getattr(function, "__partialmethod__", method)


def _iterates(function: FunctionType) -> bool:
    code = function.__code__
    return not _RUNNING.isdisjoint(code.co_names) or any(
        instruction.opname in _ITERATING for instruction in dis.get_instructions(code)
    )


def _as_written(function: FunctionType) -> FunctionType:
    """Copy a function without its attributes: annotations may name what does not exist."""
    if _partial_method(function) is not None:
        return function
    name, closure = function.__name__, function.__closure__
    copy = FunctionType(function.__code__, {}, name, function.__defaults__, closure)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _without_first(signature: inspect.Signature | None) -> inspect.Signature | None:
    """Return the signature without the first argument, which is the object."""
    if signature is None or not positional(signature):
        return signature
    _, *others = signature.parameters.values()
    return signature.replace(parameters=others)


def _partial_signature(
    handler: functools.partial[Any], signature: inspect.Signature | None
) -> inspect.Signature | None:
    """Return the signature without the arguments that a partial gives."""
    if signature is None:
        return None

    def stand_in() -> None: ...

    stand_in.__signature__ = signature  # type: ignore[attr-defined]
    try:
        return inspect.signature(functools.partial(stand_in, *handler.args, **handler.keywords))
    except ValueError:
        # It was given too much.
        return None
