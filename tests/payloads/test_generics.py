"""Generic types and aliases, and models inside other types."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
import pydantic
import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]
from typing_extensions import NotRequired, TypeAliasType, TypedDict

from flask_mqtt.payloads import InvalidPayload, decoder_for
from flask_mqtt.payloads.shape import Definitions

T = TypeVar("T")
Number = TypeVar("Number", bound=float)
Word = TypeVar("Word", str, bool)


@dataclass
class Reading:
    value: float


@dataclass
class Page(Generic[T]):
    items: list[T]
    first: T | None = None
    after: Page[T] | None = None


@dataclass
class Counted(Page[T]):
    count: int = 0


@dataclass
class Lists(Page[list[T]], Generic[T]):
    """Its T is not that of Page."""

    one: T | None = None


@dataclass
class Readings(Page[Reading]):
    first: str = ""  # type: ignore[assignment]


@dataclass(frozen=True)
class Pair(Generic[Number, Word]):
    number: Number
    word: Word
    limit: Final[int] = 3


class Envelope(TypedDict, Generic[T]):
    data: T
    note: NotRequired[Annotated[T, "anything"]]


class Record(msgspec.Struct, Generic[T]):
    data: T


class Model(pydantic.BaseModel, Generic[T]):
    data: T


@pydantic.dataclasses.dataclass
class OfPydantic(Generic[T]):
    data: T


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)

    when: datetime
    id: uuid.UUID
    place: tuple[int, int] = (0, 0)


class Numbered(msgspec.Struct):
    names: dict[int, str]
    data: bytes = b""


@dataclass
class Holder:
    strict: Strict
    numbered: Numbered


Alias = TypeAliasType("Alias", Reading)
AliasOfList = TypeAliasType("AliasOfList", list[T], type_params=(T,))

ID = uuid.UUID(int=7)
STRICT = {"when": "2026-01-31T12:00:00Z", "id": str(ID), "place": [1, 2]}
IS_STRICT = Strict(when=datetime(2026, 1, 31, 12, tzinfo=timezone.utc), id=ID, place=(1, 2))


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (Page[Reading], {"items": [{"value": 1}]}, Page([Reading(1.0)])),
        (
            Page[int],
            {"items": [1], "after": {"items": [2], "first": 2}},
            Page([1], after=Page([2], 2)),
        ),
        (Page, {"items": ["x", 1]}, Page(["x", 1])),
        (Page[Page[int]], {"items": [{"items": [1]}]}, Page([Page([1])])),
        (Counted[Reading], {"items": [{"value": 1}], "count": 1}, Counted([Reading(1.0)], count=1)),
        (Lists[int], {"items": [[1]], "one": 2}, Lists([[1]], one=2)),
        (Readings, {"items": [{"value": 1}], "first": "x"}, Readings([Reading(1.0)], "x")),
        (Pair[int, str], {"number": 1, "word": "x"}, Pair(1, "x")),
        (Pair, {"number": 1.5, "word": True, "limit": 4}, Pair(1.5, True, 4)),
        (Envelope[Reading], {"data": {"value": 1}, "x": 1}, {"data": Reading(1.0)}),
        (Envelope[int] | None, {"data": 1, "note": 2}, {"data": 1, "note": 2}),
        (Record[int], {"data": 1}, Record(1)),
        (Record[Reading] | None, {"data": {"value": 1}}, Record(Reading(1.0))),
        (Model[int], {"data": 1}, Model[int](data=1)),
        (OfPydantic[int], {"data": 1}, OfPydantic(1)),
        (list[Page[Record[int]]], [{"items": [{"data": 1}]}], [Page([Record(1)])]),
        (Alias, {"value": 1}, Reading(1.0)),
        (AliasOfList[Reading], [{"value": 1}], [Reading(1.0)]),
        (AliasOfList, [1], [1]),
        # As if it were the whole payload: with the model's rules for JSON.
        (Strict, STRICT, IS_STRICT),
        (Strict | None, STRICT, IS_STRICT),
        (Numbered | None, {"names": {"1": "a"}, "data": "aGk="}, Numbered({1: "a"}, b"hi")),
        (
            Holder,
            {"strict": STRICT, "numbered": {"names": {"1": "a"}}},
            Holder(IS_STRICT, Numbered({1: "a"})),
        ),
    ],
)
def test_a_generic_type_is_decoded_with_its_arguments(
    annotation: Any, payload: Any, value: Any
) -> None:
    decoder = decoder_for(annotation, json=True)
    assert decoder is not None
    assert decoder.decode(json.dumps(payload)) == value
    definitions = Definitions()
    schema = decoder.schema(definitions)
    Draft7Validator({**schema, "components": {"schemas": definitions.schemas}}).validate(payload)


@pytest.mark.parametrize(
    ("annotation", "payload", "text"),
    [
        (Page[int], {"items": ["x"]}, "$.items[0]: expected an integer, got 'x'"),
        (Page[Reading], {"items": [{}]}, "$.items[0].value: missing"),
        (Counted[int], {"items": [1], "first": "x"}, "$.first: expected an integer, got 'x'"),
        (Lists[int], {"items": [1]}, "$.items[0]: expected an array, got 1"),
        (Readings, {"items": [{}]}, "$.items[0].value: missing"),
        (Pair, {"number": "x", "word": "x"}, "$.number: expected a number, got 'x'"),
        (Pair, {"number": 1, "word": 1}, "$.word: expected str or bool, got 1"),
        (Envelope[int], {"data": 1, "note": "x"}, "$.note: expected an integer, got 'x'"),
        (Record[int], {"data": "x"}, "$.data: Expected `int`, got `str`"),
        (Model[float], b'{"data": 1e999}', "$: not JSON: a number is too large"),
        (Model[float], b'{"data": 1E+999}', "$: not JSON: a number is too large"),
        (OfPydantic[float], b'{"data": -Infinity}', "$: not JSON: -Infinity is not a number"),
    ],
)
def test_an_argument_is_checked_as_any_type(annotation: Any, payload: Any, text: str) -> None:
    decoder = decoder_for(annotation)
    assert decoder is not None
    with pytest.raises(InvalidPayload) as caught:
        decoder.decode(payload if isinstance(payload, bytes) else json.dumps(payload))
    assert str(caught.value) == text


@pytest.mark.parametrize("place", range(0, 400, 7))
def test_pydantic_gets_no_number_of_more_digits_than_a_float_has(place: int) -> None:
    decoder = decoder_for(Model[float])
    assert decoder is not None
    payload = b'{"x": "' + b"." * place + b'", "data": ' + b"1" * 400 + b".5}"
    with pytest.raises(InvalidPayload, match="a number is too large"):
        decoder.decode(payload)


@dataclass
class Endless(Generic[T]):
    """Each of its parts is of another type than it is itself."""

    value: T
    inner: Endless[list[T]] | None = None
    more: list[Any] = field(default_factory=list)


def test_a_type_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"Endless\[int\] contains itself without end"):
        decoder_for(Endless[int])
