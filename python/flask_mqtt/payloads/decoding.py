"""Decoders: what makes a handler's argument of a payload."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, get_origin

from . import models
from .errors import InvalidPayload, Mismatch
from .objects import is_dataclass, is_typed_dict
from .parsing import as_bytes, parse
from .shape import Definitions, name_of
from .shapes import bare, members, shape_of

#: Decoders that are remembered. A payload is decoded once for all routes that have the same.
_REMEMBERED = 1_024


class Decoder:
    """Decodes payloads as a type says, and knows the JSON Schema of them."""

    def __init__(self, annotation: Any) -> None:
        """Make a decoder.

        Args:
            annotation: The type.

        Raises:
            TypeError: JSON has no form for a part of it.
        """
        self.annotation = annotation
        #: The type for people.
        self.name = name_of(annotation)
        self._shape = shape_of(annotation)
        self._decode_json = models.decoder_of(annotation)
        #: The last payload and its value: each route of a message asks for it. Read and written
        #: as a whole, since several threads decode.
        self._last: tuple[bytes, Any] | None = None
        #: How many routes there are. Only for several of them a payload is remembered: it lives on
        #: until the next one.
        self.routes = 0

    def decode(self, payload: Any) -> Any:
        """Return the value of a payload.

        Args:
            payload: Bytes of UTF-8, or a text.

        Raises:
            InvalidPayload: It is not JSON, or not of the type.
        """
        if self.routes < 2 or type(payload) is not bytes:  # noqa: PLR2004
            return self._decode(payload)
        last = self._last
        if last is None or last[0] is not payload:
            last = (payload, self._decode(payload))
            self._last = last
        return last[1]

    def schema(self, definitions: Definitions) -> dict[str, Any]:
        """Return the JSON Schema of the payloads.

        Args:
            definitions: Where the schemas of classes are put, for references.
        """
        return self._shape.schema(definitions)

    def _decode(self, payload: Any) -> Any:
        try:
            if self._decode_json is None:
                return self._shape.convert(parse(payload))
            return self._decode_json(as_bytes(payload))
        except Mismatch as error:
            raise error.as_invalid() from error
        except RecursionError as error:
            # Of a type that refers to itself.
            raise InvalidPayload("nested too deeply") from error


def decoder_for(annotation: Any, *, json: bool = False) -> Decoder | None:
    """Return the decoder of an annotation; the same one for the same annotation.

    Args:
        annotation: A dataclass, a TypedDict, a pydantic model or a msgspec Struct; a union of
            these. With ``json`` also a dict or list, with or without a type of what is in it.
        json: Whether the handler says that it takes JSON.

    Returns:
        The decoder, or None if the annotation is of another kind: it is no payload's.

    Raises:
        TypeError: JSON has no form for a part of the type.
    """
    if not _is_payload(annotation, json):
        return None
    annotation = bare(annotation)
    try:
        # Unions of the same members in another order are equal, but decode otherwise.
        return _decoder(annotation, name_of(annotation))
    except TypeError:
        # Something in it may have no hash.
        return Decoder(annotation)


@lru_cache(maxsize=_REMEMBERED)
def _decoder(annotation: Any, name: str) -> Decoder:  # noqa: ARG001 - a part of the key
    return Decoder(annotation)


def _is_payload(annotation: Any, json: bool) -> bool:
    kinds = [one for one in members(annotation) if one is not None and one is not type(None)]
    return bool(kinds) and all(_is_payload_class(kind, json) for kind in kinds)


def _is_payload_class(kind: Any, json: bool) -> bool:
    if json and (kind in (dict, list) or get_origin(kind) in (dict, list)):
        return True
    return models.is_model(kind) or is_dataclass(kind) or is_typed_dict(kind)
