"""What a type means for JSON: how a value of it is made, and its JSON Schema."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Union, get_args, get_origin

#: What no name in a document has.
_NO_NAME = re.compile(r"[^\w.-]")


class Definitions:
    """The named schemas of a document, each of them once."""

    #: Where the document has them.
    PLACE = "#/components/schemas/"

    def __init__(self) -> None:
        """Start without any."""
        self.schemas: dict[str, dict[str, Any]] = {}
        self._names: dict[Any, str] = {}

    def reference(self, kind: Any, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a reference to the schema of a type, which may refer to itself.

        Args:
            kind: The type.
            name: What to call it. Another type of that name is called by its number, too.
            make: Makes its schema. Called once for a type.
        """
        if kind not in self._names:
            # That of a generic model has brackets.
            name = free = _NO_NAME.sub("_", name)
            number = 1
            while free in self.schemas:
                number += 1
                free = f"{name}{number}"
            self._names[kind] = free
            self.schemas[free] = {}
            self.schemas[free] = make()
        return {"$ref": f"{self.PLACE}{self._names[kind]}"}

    def take_in(self, schema: dict[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
        """Put in the parts of a schema, and return it.

        Args:
            schema: It refers to the parts by their names, as these do.
            parts: By name. One whose name another schema has gets a number, too.
        """
        numbers = dict.fromkeys(parts, 1)
        while True:
            names = {
                part: part if number == 1 else f"{part}{number}" for part, number in numbers.items()
            }
            renamed = {names[part]: _renamed(made, names) for part, made in parts.items()}
            clashing = [
                part
                for part, name in names.items()
                if self.schemas.get(name, renamed[name]) != renamed[name]
            ]
            if not clashing and len(renamed) == len(parts):
                break
            for part in clashing or parts:
                numbers[part] += 1
        self.schemas.update(renamed)
        made: dict[str, Any] = _renamed(schema, names)
        return made


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return a schema that refers to its parts by other names."""
    if isinstance(schema, dict):
        return {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(schema, (list, tuple)):
        return [_renamed(value, names) for value in schema]
    if isinstance(schema, str) and schema.startswith(Definitions.PLACE):
        name = schema.removeprefix(Definitions.PLACE)
        return f"{Definitions.PLACE}{names.get(name, name)}"
    return schema


class Shape(NamedTuple):
    """A type, as far as JSON is concerned."""

    #: Makes a value of the type of what JSON has, or raises `Mismatch`.
    convert: Callable[[Any], Any]
    #: Returns the schema of what JSON has.
    schema: Callable[[Definitions], dict[str, Any]]


def name_of(annotation: Any) -> str:
    """Return an annotation for people: ``Reading``, ``list[Reading]``."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return " | ".join(map(name_of, arguments))
    if isinstance(get_origin(annotation), type) and arguments:
        inner = ", ".join("..." if one is Ellipsis else name_of(one) for one in arguments)
        return f"{get_origin(annotation).__name__}[{inner}]"
    return str(annotation).replace("typing.", "")
