"""The shape of any annotation that JSON has a form for."""

from __future__ import annotations

import enum
import types
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin

from . import models
from .errors import Mismatch, expected
from .generics import class_of, filled, meanings_of
from .objects import (
    Field,
    dataclass_fields,
    dataclass_shape,
    is_dataclass,
    is_typed_dict,
    typed_dict_fields,
    typed_dict_shape,
)
from .scalars import SCALARS, of_enum, of_values
from .shape import Definitions, Shape, name_of

#: What makes a value of the list that JSON has.
_ARRAYS: dict[Any, Callable[[list[Any]], Any]] = {
    list: list,
    Sequence: list,
    MutableSequence: list,
    set: set,
    frozenset: frozenset,
}

_MAPPINGS = (dict, Mapping, MutableMapping)


def shape_of(annotation: Any) -> Shape:
    """Return the shape of an annotation.

    Raises:
        TypeError: JSON has no form for it; the text names the part of it that is meant.
    """
    try:
        return _Shapes().of(annotation)
    except RecursionError:
        raise TypeError(
            f"{name_of(annotation)} contains itself without end: only a class can be a part of "
            "itself"
        ) from None


def bare(annotation: Any) -> Any:
    """Return an annotation without what only names it or is noted beside it."""
    while True:
        named = class_of(annotation)
        if get_origin(annotation) in (Annotated, Final):
            annotation = get_args(annotation)[0]
        elif isinstance(annotation, NewType):
            annotation = annotation.__supertype__
        elif type(named).__name__ == "TypeAliasType":
            # ``type Name = ...``, of Python 3.12 or of `typing_extensions`; it may be generic.
            meanings = meanings_of(named.__type_params__, get_args(annotation))
            annotation = filled(named.__value__, meanings)
        else:
            return annotation


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; of any other annotation, itself."""
    annotation = bare(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(inner for member in get_args(annotation) for inner in members(member))
    return (annotation,)


class _Shapes:
    """Makes shapes. Of a class that refers to itself there is one."""

    def __init__(self) -> None:
        self._known: dict[Any, Shape] = {}

    def of(self, annotation: Any) -> Shape:
        alternatives = members(annotation)
        if len(alternatives) > 1:
            return self._union(alternatives)
        annotation = alternatives[0]
        origin = get_origin(annotation)
        if origin is Literal:
            return of_values(get_args(annotation))
        if origin is None and isinstance(annotation, type):
            return self._class(annotation)
        if origin is None and annotation in SCALARS:
            return SCALARS[annotation]
        return self._generic(origin or annotation, get_args(annotation), annotation)

    def _class(self, kind: Any) -> Shape:
        if kind in _ARRAYS or kind in _MAPPINGS or kind is tuple:
            return self._generic(kind, (), kind)
        known = SCALARS.get(kind) or self._known.get(kind) or models.shape_of(kind)
        if known is not None:
            return known
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return of_enum(kind)
        fields: list[Field] = []
        if is_dataclass(kind):
            shape, found = dataclass_shape(kind, fields), dataclass_fields(kind, self.of)
        elif is_typed_dict(kind):
            shape, found = typed_dict_shape(kind, fields), typed_dict_fields(kind, self.of)
        else:
            raise _no_form(kind)
        # Before its fields are looked at, which may be of the same type.
        self._known[kind] = shape
        fields.extend(found)
        return shape

    def _generic(self, origin: Any, arguments: tuple[Any, ...], annotation: Any) -> Shape:
        if origin in _ARRAYS:
            return _array(self.of(*arguments or (Any,)), _ARRAYS[origin], origin)
        if origin in _MAPPINGS:
            key, value = arguments or (str, Any)
            if bare(key) not in (str, Any):
                raise TypeError(f"{annotation}: the keys of an object of JSON are texts")
            return _mapping(self.of(value))
        if origin is tuple:
            if not arguments and annotation != tuple[()]:
                return _array(SCALARS[Any], tuple, origin)
            if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004 - tuple[X, ...]
                return _array(self.of(arguments[0]), tuple, origin)
            return _tuple([self.of(argument) for argument in arguments if argument != ()])
        if isinstance(origin, type):
            # A class that is generic itself.
            return self._class(annotation)
        raise _no_form(annotation)

    def _union(self, alternatives: tuple[Any, ...]) -> Shape:
        null = any(one is None or one is type(None) for one in alternatives)
        others = [one for one in alternatives if one is not None and one is not type(None)]
        shapes = [self.of(one) for one in others]
        names = " or ".join(name_of(one) for one in others) + (" or null" if null else "")

        def convert_one(value: Any) -> Any:
            return None if value is None and null else shapes[0].convert(value)

        def convert(value: Any) -> Any:
            if value is None and null:
                return None
            for shape in shapes:
                with suppress(Mismatch):
                    return shape.convert(value)
            raise expected(names, value)

        def schema(definitions: Definitions) -> dict[str, Any]:
            schemas = [shape.schema(definitions) for shape in shapes]
            return {"anyOf": [*schemas, {"type": "null"}] if null else schemas}

        return Shape(convert if len(shapes) > 1 else convert_one, schema)


def _array(items: Shape, make: Callable[[list[Any]], Any], kind: Any) -> Shape:
    unique = kind in (set, frozenset)

    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise expected("an array", value)
        made = _items(value, [items] * len(value))
        try:
            return made if make is list else make(made)
        except TypeError:
            raise Mismatch("an item cannot be in a set") from None

    def schema(definitions: Definitions) -> dict[str, Any]:
        array = {"type": "array", "items": items.schema(definitions)}
        return {**array, "uniqueItems": True} if unique else array

    return Shape(convert, schema)


def _tuple(shapes: list[Shape]) -> Shape:
    count = len(shapes)

    def convert(value: Any) -> Any:
        if type(value) is not list:
            raise expected("an array", value)
        if len(value) != count:
            raise Mismatch(f"expected an array of {count}, got one of {len(value)}")
        return tuple(_items(value, shapes))

    def schema(definitions: Definitions) -> dict[str, Any]:
        return {
            "type": "array",
            "items": [shape.schema(definitions) for shape in shapes],
            "minItems": count,
            "maxItems": count,
        }

    return Shape(convert, schema)


def _items(value: list[Any], shapes: list[Shape]) -> list[Any]:
    made: list[Any] = []
    try:
        for item, shape in zip(value, shapes, strict=True):
            made.append(shape.convert(item))
    except Mismatch as error:
        raise error.inside(len(made))  # noqa: B904 - it is the same one
    return made


def _mapping(values: Shape) -> Shape:
    def convert(value: Any) -> Any:
        if type(value) is not dict:
            raise expected("an object", value)
        made = {}
        key = ""
        try:
            for key, item in value.items():
                made[key] = values.convert(item)
        except Mismatch as error:
            raise error.inside(key)  # noqa: B904 - it is the same one
        return made

    def schema(definitions: Definitions) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": values.schema(definitions)}

    return Shape(convert, schema)


def _no_form(annotation: Any) -> TypeError:
    return TypeError(f"JSON has no form for {name_of(annotation)}: see docs/payloads.md")
