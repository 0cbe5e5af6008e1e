"""What a handler of a route takes besides the client and the message."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Collection, Iterable, MutableSequence, Reversible, Sequence
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from .._core import MQTTMessage
from ..handlers.callables import (
    does_nothing,
    own_signature,
    parameters,
    positional,
    stated_signature,
)
from ..handlers.naming import name_of
from ..handlers.slots import check_decorated
from ..payloads import Decoder, bare, decoder_for

_PARAMETER = inspect.Parameter

#: What takes any number of arguments.
_SEVERAL = (_PARAMETER.VAR_POSITIONAL, _PARAMETER.VAR_KEYWORD)

#: What a list is, with a type of what is in it.
_LISTS = (list, Sequence, MutableSequence, Collection, Iterable, Reversible)

#: What every handler gets by its place.
_BEFORE = 2


class Payload(NamedTuple):
    """The parameter that gets the decoded payload, and what decodes it."""

    name: str
    decoder: Decoder


def payload_of(handler: Any, rule: str, names: tuple[str, ...], *, json: bool) -> Payload | None:
    """Look at a handler when it is registered.

    Args:
        handler: What is called as ``handler(client, message, **values)``.
        rule: Of the route, for errors.
        names: Of the values.
        json: Whether a parameter annotated with dict or list is the payload too.

    Returns:
        Its parameter for the payload, or None.

    Raises:
        TypeError: It cannot be called so. The error names the parameter.
    """
    said = f"topic({rule!r})"
    check_decorated(said, handler)
    if not callable(handler):
        raise TypeError(f"{said} {type(handler).__name__}: the handler must be a function")
    said = f"{said} {name_of(handler)}"
    reason = does_nothing(handler, _BEFORE + len(names))
    if reason is not None:
        raise TypeError(f"{said}: {reason}")
    signature = own_signature(handler)
    if signature is None:
        return None
    stated = signature
    if any(one.kind is _PARAMETER.VAR_KEYWORD for one in signature.parameters.values()):
        # A decorator's, which passes on what it gets.
        stated = stated_signature(handler) or signature
    payload = _payload(said, handler, _others(handler, stated, names), json=json)
    _check(f"{said}{parameters(signature)}", signature, names, payload)
    return payload


def item_of(handler: Any, rule: str, *, json: bool) -> Payload | None:
    """Look at the handler of a batch when it is registered.

    Args:
        handler: What is called as ``handler(client, items)``.
        rule: Of the route, for errors.
        json: Whether the items may be dicts or lists.

    Returns:
        What the payload of each message is decoded as, if the annotation of the list says so.

    Raises:
        TypeError: It cannot be called so.
    """
    said = f"batch({rule!r})"
    check_decorated(said, handler)
    if not callable(handler):
        raise TypeError(f"{said} {type(handler).__name__}: the handler must be a function")
    said = f"{said} {name_of(handler)}"
    reason = does_nothing(handler, _BEFORE)
    if reason is not None:
        raise TypeError(f"{said}: {reason}")
    signature = own_signature(handler)
    if signature is None:
        return None
    try:
        signature.bind(*[None] * _BEFORE)
    except TypeError as error:
        raise TypeError(
            f"{said}{parameters(signature)}: it is called as handler(client, messages): {error}"
        ) from None
    stated = positional(stated_signature(handler) or signature)
    if len(stated) < _BEFORE:
        return None
    second = stated[_BEFORE - 1]
    annotation = bare(_annotations(said, handler).get(second.name))
    said = f"{said}: its parameter {second.name!r}"
    item = _item(said, annotation)
    if item is Any or (isinstance(item, type) and issubclass(item, MQTTMessage)):
        return None
    try:
        decoder = decoder_for(item, json=json)
        takes_json = decoder is None and decoder_for(item, json=True) is not None
    except TypeError as error:
        raise TypeError(f"{said}: {error}") from error
    if decoder is None:
        hint = ", which needs json=True" if takes_json else ""
        raise TypeError(
            f"{said} must be a list of messages or of a payload type{hint}; it is {annotation!r}"
        )
    return Payload(second.name, decoder)


def _item(said: str, annotation: Any) -> Any:
    """Return what a list of the annotation has in it: anything, if it does not say so."""
    if get_origin(annotation) in _LISTS:
        return get_args(annotation)[0]
    if any(_is_payload(one) for one in (annotation, *get_args(annotation))):
        raise TypeError(f"{said} gets a list, as in list[Reading]; it is {annotation!r}")
    return Any


def _is_payload(annotation: Any) -> bool:
    try:
        return annotation is not list and decoder_for(annotation, json=True) is not None
    except TypeError:
        return True


def result_of(handler: Any) -> Decoder | None:
    """Return the decoder of what a handler says that it returns, if that is a payload's type."""
    try:
        annotations = _annotations("", handler)
        return decoder_for(annotations.get("return"), json=True)
    except TypeError:
        return None


def _others(
    handler: Any, signature: inspect.Signature, names: tuple[str, ...]
) -> list[inspect.Parameter]:
    """Return the parameters that nothing gives a value to but the payload."""
    given = {*names, *(one.name for one in positional(signature)[:_BEFORE])}
    while isinstance(handler, functools.partial):
        given.update(handler.keywords)
        handler = handler.func
    by_name = (_PARAMETER.POSITIONAL_OR_KEYWORD, _PARAMETER.KEYWORD_ONLY)
    return [
        one
        for one in signature.parameters.values()
        if one.kind in by_name and one.name not in given
    ]


def _payload(
    said: str, handler: Any, others: list[inspect.Parameter], *, json: bool
) -> Payload | None:
    if not others:
        return None
    annotations = _annotations(said, handler)
    found: list[Payload] = []
    for one in others:
        try:
            decoder = decoder_for(annotations.get(one.name), json=json)
        except TypeError as error:
            raise TypeError(f"{said}: its parameter {one.name!r}: {error}") from error
        if decoder is not None:
            found.append(Payload(one.name, decoder))
    if len(found) > 1:
        names = " and ".join(repr(one.name) for one in found)
        raise TypeError(f"{said}: its parameters {names} are both annotated for the payload")
    return found[0] if found else None


def _annotations(said: str, handler: Any) -> dict[str, Any]:
    while isinstance(handler, functools.partial):
        handler = handler.func
    if not inspect.isroutine(handler):
        handler = type(handler).__call__
    function = inspect.unwrap(handler)
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError) as error:
        raise TypeError(f"{said}: its annotations cannot be looked up: {error}") from error


def _check(
    said: str, signature: inspect.Signature, names: tuple[str, ...], payload: Payload | None
) -> None:
    given = [*names, *([payload.name] if payload else [])]
    try:
        signature.bind(*[None] * _BEFORE, **dict.fromkeys(given))
    except TypeError:
        raise TypeError(f"{said}: {_reason(signature, names, payload)}") from None


def _reason(signature: inspect.Signature, names: tuple[str, ...], payload: Payload | None) -> str:
    kinds = {one.kind for one in signature.parameters.values()}
    first = [one.name for one in positional(signature)[:_BEFORE]]
    called = f"handler({', '.join(['client', 'message', *(f'{name}=…' for name in names)])})"
    if len(first) < _BEFORE and _PARAMETER.VAR_POSITIONAL not in kinds:
        return f"it is called as {called}, so it must begin with two parameters for these"
    if first[:1] in (["self"], ["cls"]):
        return f"{first[0]!r} would be the client: register the method of an object, object.method"
    reasons = (_reason_for_name(name, signature, first) for name in names)
    given = {*first, *names, *([payload.name] if payload else [])}
    left = (
        one.name
        for one in signature.parameters.values()
        if one.default is one.empty and one.kind not in _SEVERAL and one.name not in given
    )
    lacking = (
        f"it would get no value for its parameter {name!r}: that is neither a placeholder of the "
        "rule nor annotated with a payload type"
        for name in left
    )
    found = next(filter(None, reasons), None) or next(lacking, None)
    return found or f"it cannot be called as {called}"


def _reason_for_name(name: str, signature: inspect.Signature, first: list[str]) -> str | None:
    if name in first:
        return (
            f"{name!r} is the value of a placeholder, and must come after the parameters for the "
            "client and the message"
        )
    found = signature.parameters.get(name)
    if found is not None and found.kind is _PARAMETER.POSITIONAL_ONLY:
        return f"its parameter {name!r} is positional-only, and values are given by name"
    kinds = {one.kind for one in signature.parameters.values()}
    if found is None and _PARAMETER.VAR_KEYWORD not in kinds:
        return f"it has no parameter {name!r}, for the value of the placeholder <{name}>"
    return None
