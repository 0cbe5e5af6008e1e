"""Types of pydantic and msgspec, where the application has them: each decodes its own."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

from .errors import InvalidPayload, Mismatch, path_of
from .generics import class_of
from .parsing import parse
from .shape import Definitions, Shape, name_of

#: What may begin a number that no float can have. Each expression begins with a character that is
#: searched for quickly. For 20 models in 1 KB, these take 2 µs, decoding 15 µs, and one expression
#: for these, NaN and Infinity would also take 15 µs.
_LARGE = (re.compile(rb"e\+?\d{3}"), re.compile(rb"E\+?\d{3}"))

#: A number that no float can have, without an exponent, has 309 digits or more. Of these, at least
#: three in a row remain where every 103rd byte of the payload is taken.
_STEP = 103
_DIGITS = re.compile(rb"\d{3}")

#: Of one payload, decoded without Python between the JSON and the model.
DecodeJson = Callable[[bytes], Any]


def is_model(kind: Any) -> bool:
    """Whether a type is a pydantic model or dataclass, or a msgspec Struct."""
    return _is_pydantic(kind) or _is_struct(kind)


def decoder_of(kind: Any) -> DecodeJson | None:
    """Return what decodes payloads of a model; None for any other type.

    It raises `InvalidPayload`.
    """
    if _is_pydantic(kind):
        return _pydantic_decoder(kind)
    if _is_struct(kind):
        return _struct_decoder(kind)
    return None


def shape_of(kind: Any) -> Shape | None:
    """Return the shape of a model, as a part of another type; None for any other type."""
    if _is_pydantic(kind):
        return _pydantic_shape(kind)
    if _is_struct(kind):
        return _struct_shape(kind)
    return None


def to_builtins(value: Any) -> Any:
    """Return what JSON has for an object of a model; anything else as it is."""
    kind: Any = type(value)
    if _is_pydantic(kind):
        return _adapter(kind).dump_python(value, mode="json", by_alias=True)
    if _is_struct(kind):
        msgspec: Any = sys.modules["msgspec"]
        return msgspec.to_builtins(value)
    return value


# A type of theirs exists only where they were imported.


def _is_pydantic(kind: Any) -> bool:
    return (
        "pydantic" in sys.modules
        and isinstance(class_of(kind), type)
        and hasattr(class_of(kind), "__pydantic_validator__")
    )


@lru_cache(maxsize=256)
def _adapter(kind: Hashable) -> Any:
    pydantic: Any = sys.modules["pydantic"]
    return pydantic.TypeAdapter(kind)


def _is_struct(kind: Any) -> bool:
    msgspec = sys.modules.get("msgspec")
    kind = class_of(kind)
    return msgspec is not None and isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _pydantic_decoder(kind: Any) -> DecodeJson:
    pydantic: Any = sys.modules["pydantic"]
    validate = _adapter(kind).validate_json
    failure = pydantic.ValidationError

    def decode(payload: bytes) -> Any:
        if _may_have_no_number(payload):
            # pydantic takes these for numbers.
            parse(payload)
        try:
            return validate(payload)
        except failure as error:
            reason, path = _first(error)
            raise InvalidPayload(reason, path_of(path)) from error

    return decode


def _may_have_no_number(payload: bytes) -> bool:
    return (
        b"NaN" in payload
        or b"Infinity" in payload
        or any(large.search(payload) for large in _LARGE)
        or _DIGITS.search(payload[::_STEP]) is not None
    )


def _pydantic_shape(kind: Any) -> Shape:
    pydantic: Any = sys.modules["pydantic"]
    adapter = _adapter(kind)

    def convert(value: Any) -> Any:
        try:
            # As JSON: a strict model takes a text for a date there, and not from Python.
            return adapter.validate_json(json.dumps(value))
        except pydantic.ValidationError as error:
            reason, path = _first(error)
            raise Mismatch(reason, path_of(path)[1:]) from error

    def schema(definitions: Definitions) -> dict[str, Any]:
        made: dict[str, Any] = adapter.json_schema(ref_template=f"{Definitions.PLACE}{{model}}")
        made = definitions.take_in(made, made.pop("$defs", {}))
        # A model that refers to itself is among its definitions already.
        return made if "$ref" in made else definitions.reference(kind, name_of(kind), lambda: made)

    return Shape(convert, schema)


def _first(error: Any) -> tuple[str, list[str | int]]:
    """Return the reason and the place of the first of pydantic's errors."""
    errors = error.errors(include_url=False, include_context=False)
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{' '.join(errors[0]['msg'].split())}{more}", list(errors[0]["loc"])


def _struct_decoder(kind: Any) -> DecodeJson:
    msgspec: Any = sys.modules["msgspec"]
    decode_json = msgspec.json.Decoder(kind).decode

    def decode(payload: bytes) -> Any:
        try:
            return decode_json(payload)
        except msgspec.MsgspecError as error:
            reason, path = _split(error)
            raise InvalidPayload(reason, f"${path}") from error

    return decode


def _struct_shape(kind: Any) -> Shape:
    msgspec: Any = sys.modules["msgspec"]

    def convert(value: Any) -> Any:
        try:
            return msgspec.convert(value, kind, str_keys=True)
        except msgspec.MsgspecError as error:
            reason, path = _split(error)
            raise Mismatch(reason, path) from error

    def schema(definitions: Definitions) -> dict[str, Any]:
        [made], found = msgspec.json.schema_components(
            [kind], ref_template=f"{Definitions.PLACE}{{name}}"
        )
        return definitions.take_in(made, found)

    return Shape(convert, schema)


def _split(error: Exception) -> tuple[str, str]:
    """Return the reason and the path, without its ``$``, of an error of msgspec's."""
    reason, _, path = str(error).partition(" - at `$")
    return reason, path.rstrip("`")
