"""Payloads as values of a type, whatever that comes from."""

from __future__ import annotations

import dataclasses
import enum
import json as json_module
import pickle
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, NewType, Optional, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import NotRequired, Required

from flask_mqtt.payloads import InvalidPayload, decoder_for

Celsius = NewType("Celsius", float)


class Unit(enum.Enum):
    CELSIUS = "C"
    KELVIN = "K"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Reading:
    value: float
    unit: Unit = Unit.CELSIUS
    tags: list[str] = dataclasses.field(default_factory=list)
    place: str | None = None
    made: ClassVar[int] = 0


@dataclasses.dataclass(frozen=True)
class Report:
    reading: Reading
    before: tuple[Reading, ...] = ()
    parent: Report | None = None


@dataclasses.dataclass
class Checked:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above\nhigh {self.high}\x1b[31m")


class Place(TypedDict):
    room: str
    floor: NotRequired[int]


class Partial(TypedDict, total=False):
    room: Required[str]
    floor: int


class Model(pydantic.BaseModel):
    value: float
    inner: list[int] = []


@pydantic.dataclasses.dataclass
class OfPydantic:
    value: int


class Record(msgspec.Struct):
    value: float
    inner: list[int] = []


@dataclasses.dataclass
class Mixed:
    model: Model
    record: Record


def decode(annotation: Any, payload: Any, *, json: bool = False) -> Any:
    decoder = decoder_for(annotation, json=json)
    assert decoder is not None
    return decoder.decode(payload)


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (Reading, b'{"value": 21.5}', Reading(21.5)),
        (Reading, b'{"value": 21}', Reading(21.0)),
        (Reading, '{"value": 1, "place": "Küche"}', Reading(1.0, place="Küche")),
        (Reading, bytearray(b'{"value": 1, "place": null}'), Reading(1.0)),
        (
            Reading,
            b' {"value": 1, "unit": "K", "tags": ["a"], "unknown": {}} ',
            Reading(1.0, Unit.KELVIN, ["a"]),
        ),
        (
            Report,
            b'{"reading":{"value":1},"before":[{"value":2}],"parent":{"reading":{"value":3}}}',
            Report(Reading(1.0), (Reading(2.0),), Report(Reading(3.0))),
        ),
        (Checked, b'{"low": 1, "high": 2.0}', Checked(1, 2)),
        (Place, b'{"room": "hall", "unknown": 1}', {"room": "hall"}),
        (Place, b'{"room": "hall", "floor": 1}', {"room": "hall", "floor": 1}),
        (Partial, b'{"room": "hall"}', {"room": "hall"}),
        (Model, b'{"value": "1.5"}', Model(value=1.5)),
        (OfPydantic, b'{"value": 1}', OfPydantic(1)),
        (Record, b'{"value": 1}', Record(1.0)),
        (
            Mixed,
            b'{"model": {"value": 1, "inner": [1]}, "record": {"value": 2}}',
            Mixed(Model(value=1, inner=[1]), Record(2.0)),
        ),
        (Model | Reading, b'{"value": 1}', Model(value=1)),
        (Reading | Model, b'{"value": 1}', Reading(1.0)),
        (Reading | None, b"null", None),
        (Optional[Reading], b"null", None),  # noqa: UP045 - the older way
        (Annotated[Reading, []], b'{"value": 1}', Reading(1.0)),
    ],
)
def test_a_payload_becomes_a_value_of_its_type(annotation: Any, payload: Any, value: Any) -> None:
    found = decode(annotation, payload)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (dict, b'{"a": [1, 2.5, "x", null, true]}', {"a": [1, 2.5, "x", None, True]}),
        (list, b"[]", []),
        (list[Reading], b'[{"value": 1}]', [Reading(1.0)]),
        (dict[str, Place], b'{"a": {"room": "b"}}', {"a": {"room": "b"}}),
        (dict | list, b"[1]", [1]),
    ],
)
def test_json_is_any_object_or_array_where_the_handler_says_so(
    annotation: Any, payload: bytes, value: Any
) -> None:
    assert decoder_for(annotation) is None
    assert decode(annotation, payload, json=True) == value


UTC_NOON = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("annotation", "payload", "value"),
    [
        (Any, b'"x"', "x"),
        (object, b"1", 1),
        (None, b"null", None),
        (bool, b"true", True),
        (int, b"3.0", 3),
        (float, b"3", 3.0),
        (Celsius, b"3", 3.0),
        (str, rb'"\ud83d\ude00"', "😀"),
        (Decimal, b"1.10", Decimal("1.1")),
        (Decimal, b'"1.10"', Decimal("1.10")),
        (UUID, b'"12345678123456781234567812345678"', UUID(int=0x12345678123456781234567812345678)),
        (datetime, b'"2026-01-31T12:00:00Z"', UTC_NOON),
        (datetime, b'"2026-01-31T12:00:00+00:00"', UTC_NOON),
        (datetime, b'"2026-01-31T12:00:00"', datetime(2026, 1, 31, 12)),  # noqa: DTZ001
        (datetime, b'"Sat, 31 Jan 2026 12:00:00 GMT"', UTC_NOON),
        (date, b'"2026-01-31"', date(2026, 1, 31)),
        (date, b'"Sat, 31 Jan 2026 00:00:00 GMT"', date(2026, 1, 31)),
        (time, b'"12:30:00"', time(12, 30)),
        (Level, b"2", Level.HIGH),
        (Literal["on", 1], b"1", 1),
        (tuple[int, str], b'[1, "a"]', (1, "a")),
        (tuple[()], b"[]", ()),
        (tuple, b"[1]", (1,)),
        (set[int], b"[1, 1]", {1}),
        (frozenset[int], b"[1]", frozenset({1})),
        (Sequence[int], b"[1]", [1]),
        (Mapping[str, int], b'{"a": 1}', {"a": 1}),
        (int | str, b'"a"', "a"),
        (int | float, b"1.5", 1.5),
        (list[int | None], b"[1, null]", [1, None]),
    ],
)
def test_each_type_has_its_form_in_json(annotation: Any, payload: bytes, value: Any) -> None:
    kind = dataclasses.make_dataclass("Kind", [("part", annotation)])
    found = decode(kind, b'{"part": ' + payload + b"}").part
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("annotation", "payload", "text"),
    [
        (Reading, b"", "$: not JSON: the payload is empty"),
        (Reading, b" ", "$: not JSON: the payload is empty"),
        (Reading, b'{"value": 1', "$: not JSON: Expecting ',' delimiter at line 1, column 12"),
        (Reading, b"{} {}", "$: not JSON: Extra data at line 1, column 4"),
        (Reading, b"\xff", "$: no UTF-8: invalid start byte at byte 0"),
        (Reading, '{"value": 1}'.encode("utf-16"), "$: no UTF-8: invalid start byte at byte 0"),
        (Reading, 1, "$: expected bytes or a text, got int"),
        (Model, 1, "$: expected bytes or a text, got int"),
        (Reading, b'{"value": NaN}', "$: not JSON: NaN is not a number"),
        (Model, b'{"value": NaN}', "$: not JSON: NaN is not a number"),
        (Model, b'{"value": -Infinity}', "$: not JSON: -Infinity is not a number"),
        (Record, b'{"value": NaN}', "$: JSON is malformed: invalid character (byte 10)"),
        (Reading, b'{"value": 1e999}', "$: not JSON: a number is too large"),
        (Reading, b'{"value": 1' + b"0" * 400 + b"}", "$.value: the number is too large"),
        (Reading, rb'{"value": 1, "place": "\ud800"}', "$: a text has half of a surrogate pair"),
        (Reading, b"[]", "$: expected an object, got an array"),
        (Reading, b"null", "$: expected an object, got null"),
        (Reading, b"{}", "$.value: missing"),
        (Reading, b'{"value": "x"}', "$.value: expected a number, got 'x'"),
        (Reading, b'{"value": true}', "$.value: expected a number, got true"),
        (Reading, b'{"value": {}}', "$.value: expected a number, got an object"),
        (Reading, b'{"value": 1, "place": 5}', "$.place: expected a string, got 5"),
        (Reading, b'{"value": 1, "tags": "a"}', "$.tags: expected an array, got 'a'"),
        (Reading, b'{"value": 1, "tags": [1]}', "$.tags[0]: expected a string, got 1"),
        (Reading, b'{"value": 1, "unit": "F"}', "$.unit: expected 'C' or 'K', got 'F'"),
        (Reading, b'{"value": 1, "unit": []}', "$.unit: expected 'C' or 'K', got an array"),
        (
            Report,
            b'{"reading": {"value": 1}, "before": [{"value": 1}, {"value": ""}]}',
            "$.before[1].value: expected a number, got ''",
        ),
        (Checked, b'{"low": 2, "high": 1}', r"$: low 2 is above high 1\x1b[31m"),
        (Checked, b'{"low": 1.5, "high": 2}', "$.low: expected an integer, got 1.5"),
        (Place, b'{"floor": 1}', "$.room: missing"),
        (Partial, b'{"floor": 1}', "$.room: missing"),
        (Place, b'{"room": "", "floor": "1"}', "$.floor: expected an integer, got '1'"),
        (Model, b'{"value": 1, "inner": [1, "x"]}',
         "$.inner[1]: Input should be a valid integer, unable to parse string as an integer"),
        (Model, b'{"inner": 1}', "$.value: Field required (and 1 more)"),
        (Model, b"{", "$: Invalid JSON: EOF while parsing an object at line 1 column 1"),
        (Record, b'{"value": 1, "inner": [1, "x"]}', "$.inner[1]: Expected `int`, got `str`"),
        (Record, b"[]", "$: Expected `object`, got `array`"),
        (
            Mixed,
            b'{"model": {"value": 1, "inner": 1}, "record": {"value": 2}}',
            "$.model.inner: Input should be a valid array",
        ),
        (
            Mixed,
            b'{"model": {"value": 1}, "record": {"value": 2, "inner": [""]}}',
            "$.record.inner[0]: Expected `int`, got `str`",
        ),
        (Reading | Place, b"1", "$: expected Reading or Place, got 1"),
    ],
)  # fmt: skip
def test_an_error_says_where_and_what(annotation: Any, payload: Any, text: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        decode(annotation, payload)
    assert str(caught.value) == text
    assert text == f"{caught.value.path}: {caught.value.reason}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


@pytest.mark.parametrize(
    ("annotation", "payload", "reason"),
    [
        (Decimal, b'"NaN"', "expected a decimal number, got 'NaN'"),
        (Decimal, b'"x"', "expected a decimal number, got 'x'"),
        (Decimal, b"true", "expected a decimal number, got true"),
        (UUID, b'"x"', "expected a UUID, got 'x'"),
        (datetime, b'"Fri, 99 Foo 2026"', "expected a date and time, as 2026-01-31T12:00:00Z, "),
        (datetime, b"1", "expected a date and time, as 2026-01-31T12:00:00Z, got 1"),
        (date, b'"2026-13-01"', "expected a date, as 2026-01-31, got '2026-13-01'"),
        (time, b'""', "expected a time, as 12:00:00, got ''"),
        (Level, b"true", "expected 1 or 2, got true"),
        (Literal[1], b"true", "expected 1, got true"),
        (Literal[True], b"1", "expected true, got 1"),
        (None, b"0", "expected null, got 0"),
        (bool, b"0", "expected true or false, got 0"),
        (tuple[int, str], b"[1]", "expected an array of 2, got one of 1"),
        (tuple[()], b"[1]", "expected an array of 0, got one of 1"),
        (set[Any], b"[[]]", "an item cannot be in a set"),
        (int, b'"' + b"x" * 500 + b'"', f"expected an integer, got '{'x' * 58}…"),
        (str, b"1" + b"0" * 4000, "expected a string, got a very large number"),
        (int, rb'"\u001b[31m\n"', r"expected an integer, got '\x1b[31m\n'"),
    ],
)
def test_each_type_says_what_it_expects(annotation: Any, payload: bytes, reason: str) -> None:
    kind = dataclasses.make_dataclass("Kind", [("part", annotation)])
    with pytest.raises(InvalidPayload) as caught:
        decode(kind, b'{"part": ' + payload + b"}")
    assert caught.value.path == "$.part"
    assert caught.value.reason.startswith(reason)
    assert len(caught.value.reason) < 200
    assert caught.value.reason.isprintable()


def test_a_key_of_the_payload_is_shown_so_that_it_fits_a_log() -> None:
    key = "\\u001b" + "y" * 500
    with pytest.raises(InvalidPayload) as caught:
        decode(dict[str, int], f'{{"{key}": ""}}', json=True)
    assert caught.value.path.startswith(r"$['\x1byyy")
    assert len(caught.value.path) < 70


@pytest.mark.parametrize("annotation", [dict[str, Any], Report, Model, Record])
@pytest.mark.parametrize("text", ['{"parent":', '{"inner":[', "["])
def test_a_payload_may_be_nested_as_deeply_as_it_wants(annotation: Any, text: str) -> None:
    with pytest.raises(InvalidPayload):
        decode(annotation, text * 200_000, json=True)


def test_a_type_that_refers_to_itself_ends_where_the_stack_does() -> None:
    depth = sys.getrecursionlimit() // 2
    payload = '{"reading": {"value": 1}, "parent":' * depth + "null" + "}" * depth
    with pytest.raises(InvalidPayload, match="nested too deeply"):
        decode(Report, payload)


def test_a_long_path_is_shortened_in_the_middle() -> None:
    payload = '{"reading": {"value": 1}, "parent":' * 100 + "1" + "}" * 100
    with pytest.raises(InvalidPayload) as caught:
        decode(Report, payload)
    assert len(caught.value.path) == 201
    assert caught.value.path.startswith("$.parent.parent.")
    assert caught.value.path.endswith(".parent.parent")


def test_of_a_key_that_is_there_twice_the_last_value_counts() -> None:
    assert decode(Reading, b'{"value": 1, "value": 2}') == Reading(2.0)


#: JSON, and what is nearly JSON: it reaches further into the decoders than any bytes.
PARTS = st.sampled_from(
    [
        *'{}[]",: ',
        *("null", "true", "1", "-1.5", "1e999", "NaN", "Infinity"),
        *('"value"', '"inner"', '"parent"', '"reading"', '"tags"'),
        *(r"\ud800", r"\u0000", "\0", "é"),
    ]
)
PAYLOADS = st.binary() | st.lists(PARTS, max_size=40).map(lambda parts: "".join(parts).encode())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["value", "unit", "tags", "place", "reading", "parent", "room"]), inner
        )
    ),
).map(lambda value: json_module.dumps(value).encode())
ANNOTATIONS = [Reading, Report, Checked, Place, Model, Record, Mixed, Reading | Place, dict, list]


@pytest.mark.slow
@settings(deadline=None, database=None)
@given(st.sampled_from(ANNOTATIONS), PAYLOADS | VALUES)
def test_whatever_a_peer_sends_is_a_value_or_an_invalid_payload(
    annotation: Any, payload: bytes
) -> None:
    told = ""
    try:
        decode(annotation, payload, json=True)
    except InvalidPayload as error:
        told = str(error)
    assert told.isprintable()
    assert len(told) < 1_000
