"""Types that JSON has as objects with certain keys: dataclasses and TypedDicts."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple, get_args, get_origin

from .errors import Mismatch, expected
from .generics import class_of, hints_of
from .shape import Definitions, Shape, name_of

#: Makes the shape of an annotation.
ShapeOf = Callable[[Any], Shape]


class Field(NamedTuple):
    """A key of an object."""

    name: str
    required: bool
    shape: Shape
    #: What stands in the schema beside that of the type.
    further: Mapping[str, Any]


def is_typed_dict(kind: Any) -> bool:
    """Whether a type is a TypedDict, of `typing` or of `typing_extensions`."""
    kind = class_of(kind)
    return isinstance(kind, type) and issubclass(kind, dict) and hasattr(kind, "__required_keys__")


def is_dataclass(kind: Any) -> bool:
    """Whether a type is a dataclass, and not an object of one."""
    kind = class_of(kind)
    return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def dataclass_shape(kind: Any, fields: list[Field]) -> Shape:
    """Return the shape of a dataclass.

    Args:
        kind: The dataclass, with arguments if it is generic.
        fields: Its fields. They may be put there later: one can be of the same type.
    """
    make = class_of(kind)

    def convert(value: Any) -> Any:
        found = _values(fields, value)
        try:
            return make(**found)
        except (ValueError, TypeError, AssertionError) as error:
            # `__post_init__` checks what types cannot say.
            raise Mismatch(str(error) or type(error).__name__) from error

    return Shape(convert, _schema_of(kind, fields))


def dataclass_fields(kind: Any, shape_of: ShapeOf) -> Iterator[Field]:
    """Return the fields of a dataclass.

    Args:
        kind: The dataclass, with arguments if it is generic.
        shape_of: Makes the shape of an annotation.

    Raises:
        TypeError: A field is of a type that JSON has no form for, or cannot be given by name.
    """
    given = [field for field in dataclasses.fields(class_of(kind)) if field.init]
    _check_parameters(class_of(kind), {field.name for field in given})
    hints = _hints(kind)
    for field in given:
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        shape = _field_shape(kind, field.name, hints, shape_of)
        yield Field(field.name, required, shape, _default(field.default))


def typed_dict_shape(kind: Any, fields: list[Field]) -> Shape:
    """Return the shape of a TypedDict: a dict that has its keys and no others.

    Args:
        kind: The TypedDict, with arguments if it is generic.
        fields: As for `dataclass_shape`.
    """
    return Shape(lambda value: _values(fields, value), _schema_of(kind, fields))


def typed_dict_fields(kind: Any, shape_of: ShapeOf) -> Iterator[Field]:
    """Return the keys of a TypedDict.

    Args:
        kind: The TypedDict, with arguments if it is generic.
        shape_of: As for `dataclass_fields`.

    Raises:
        TypeError: A key is of a type that JSON has no form for.
    """
    hints = _hints(kind)
    for name in hints:
        required = name in class_of(kind).__required_keys__
        # With postponed annotations `__required_keys__` does not know these.
        while (qualifier := _qualifier(hints[name])) is not None:
            required = {"Required": True, "NotRequired": False}.get(qualifier, required)
            [hints[name]] = get_args(hints[name])
        yield Field(name, required, _field_shape(kind, name, hints, shape_of), {})


def _check_parameters(kind: Any, names: set[str]) -> None:
    """Raise TypeError for a dataclass that cannot be made of its fields."""
    for parameter in inspect.signature(kind).parameters.values():
        variable = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        needed = parameter.default is parameter.empty and not variable
        by_name = parameter.kind is not parameter.POSITIONAL_ONLY
        if needed and not (parameter.name in names and by_name):
            raise TypeError(
                f"{kind.__qualname__} needs {parameter.name!r}, which is no field of it that can "
                "be given by name: no payload has it"
            )


def _values(fields: list[Field], value: Any) -> dict[str, Any]:
    """Return the values of the keys that are fields. Other keys are ignored."""
    if type(value) is not dict:
        raise expected("an object", value)
    found = {}
    name = ""
    try:
        for name, required, shape, _ in fields:
            if name in value:
                found[name] = shape.convert(value[name])
            elif required:
                raise Mismatch("missing")  # noqa: TRY301 - its place is noted below, too
    except Mismatch as error:
        raise error.inside(name)  # noqa: B904 - it is the same one
    return found


def _schema_of(kind: Any, fields: list[Field]) -> Callable[[Definitions], dict[str, Any]]:
    title = name_of(kind)

    def make(definitions: Definitions) -> dict[str, Any]:
        schema: dict[str, Any] = {"title": title, "type": "object"}
        description = inspect.cleandoc(kind.__doc__ or "")
        # A dataclass without a docstring has its signature there.
        if description and not description.startswith(f"{class_of(kind).__name__}("):
            schema["description"] = description
        schema["properties"] = {
            field.name: _with(field.shape.schema(definitions), field.further) for field in fields
        }
        required = [field.name for field in fields if field.required]
        if required:
            schema["required"] = required
        return schema

    return lambda definitions: definitions.reference(kind, title, lambda: make(definitions))


def _default(value: Any) -> dict[str, Any]:
    """Return what a schema says of a default, if JSON has that as it is."""
    plain = value is None or type(value) in (str, int, bool)
    return {"default": value} if plain or (type(value) is float and isfinite(value)) else {}


def _with(schema: dict[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with more in it: what stands beside a reference is not read."""
    return schema if "$ref" in schema else {**schema, **further}


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return hints_of(kind)
    except NameError as error:
        raise TypeError(
            f"{class_of(kind).__qualname__}: an annotation has a name that its module does not "
            f"have: {error}"
        ) from None


def _field_shape(kind: Any, name: str, hints: Mapping[str, Any], shape_of: ShapeOf) -> Shape:
    try:
        return shape_of(hints[name])
    except TypeError as error:
        raise TypeError(f"{class_of(kind).__qualname__}.{name}: {error}") from None


def _qualifier(annotation: Any) -> str | None:
    """Return what a TypedDict says of a key beside its type, as in ``NotRequired[int]``."""
    # `typing_extensions` has its own ones, by the same names.
    name = getattr(get_origin(annotation), "_name", None)
    return name if name in ("Required", "NotRequired", "ReadOnly") else None
