"""Generic types: what their annotations mean once their parameters are known."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints


def class_of(annotation: Any) -> Any:
    """Return the class of an annotation: ``Page`` of ``Page[int]``, and ``Page`` of itself."""
    return get_origin(annotation) or annotation


def hints_of(annotation: Any) -> dict[str, Any]:
    """Return the annotations of a class, with what the parameters stand for in their place.

    Args:
        annotation: A dataclass or a TypedDict, with arguments or without.

    Raises:
        NameError: An annotation has a name that the module does not have.
    """
    kind = class_of(annotation)
    found = get_type_hints(kind, include_extras=True)
    meanings = meanings_of(getattr(kind, "__parameters__", ()), get_args(annotation))
    hints = {name: filled(hint, meanings) for name, hint in found.items()}
    # A TypedDict counts those of its bases among its own.
    own = () if issubclass(kind, dict) else inspect.get_annotations(kind)
    # What comes first in the list of bases counts.
    for base in reversed(kind.__dict__.get("__orig_bases__", kind.__bases__)):
        # `Generic[T]` and `Protocol[T]` only say what the parameters are.
        if class_of(base).__module__ not in ("typing", "typing_extensions"):
            inherited = hints_of(filled(base, meanings))
            hints.update((name, inherited[name]) for name in inherited if name not in own)
    return hints


def meanings_of(parameters: Iterable[Any], arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """Return what the parameters of a generic class or alias stand for.

    Args:
        parameters: Its parameters.
        arguments: What it was given. Without any, each parameter is as free as it may be.
    """
    if arguments:
        return dict(zip(parameters, arguments, strict=False))
    return {one: _freest(one) for one in parameters if isinstance(one, TypeVar)}


def filled(annotation: Any, meanings: Mapping[Any, Any]) -> Any:
    """Return an annotation with what its parameters stand for in their place."""
    if isinstance(annotation, TypeVar):
        return meanings.get(annotation, annotation)
    # A class without arguments has parameters, too: those are its own.
    if get_origin(annotation) is None:
        return annotation
    free = getattr(annotation, "__parameters__", ())
    return annotation[tuple(meanings.get(one, one) for one in free)] if free else annotation


def _freest(parameter: TypeVar) -> Any:
    if parameter.__constraints__:
        return Union[parameter.__constraints__]  # noqa: UP007 - as many as there are
    return Any if parameter.__bound__ is None else parameter.__bound__
