"""Values as JSON, and back again."""

from __future__ import annotations

import dataclasses
import enum
import json
from datetime import date, datetime, time, timezone
from decimal import Decimal  # noqa: TC003 - looked up by the decoder
from typing import Any
from uuid import UUID  # noqa: TC003

import msgspec
import pydantic
import pytest
from flask import Flask
from flask.json.provider import DefaultJSONProvider
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mqtt import Properties
from flask_mqtt.payloads import decoder_for
from flask_mqtt.payloads.encoding import encode, is_json, with_content_type

PROVIDER = Flask("encoding").json


class Unit(enum.Enum):
    CELSIUS = "C"
    KELVIN = "K"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Model(pydantic.BaseModel):
    value: float = pydantic.Field(alias="Value")
    at: datetime | None = None


class Record(msgspec.Struct):
    value: float
    at: datetime | None = None


@pydantic.dataclasses.dataclass
class OfPydantic:
    value: int


@dataclasses.dataclass
class Part:
    text: str
    unit: Unit
    levels: frozenset[Level]


@dataclasses.dataclass
class Whole:
    number: int
    real: float
    yes: bool
    nothing: str | None
    parts: list[Part]
    by_name: dict[str, Part]
    pair: tuple[int, str]
    moment: datetime
    day: date
    hour: time
    number_of_many_digits: Decimal
    uuid: UUID
    model: Model
    record: Record


SECONDS = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1)).map(  # noqa: DTZ001
    lambda moment: moment.replace(microsecond=0, tzinfo=timezone.utc)
)
#: No halves of surrogate pairs: those are no text.
TEXT = st.text(st.characters(codec="utf-8"))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PARTS = st.builds(Part, TEXT, st.sampled_from(Unit), st.frozensets(st.sampled_from(Level)))
WHOLES = st.builds(
    Whole,
    number=st.integers(),
    real=FINITE,
    yes=st.booleans(),
    nothing=st.none() | TEXT,
    parts=st.lists(PARTS),
    by_name=st.dictionaries(TEXT, PARTS),
    pair=st.tuples(st.integers(), TEXT),
    moment=SECONDS,
    day=st.dates(date(1970, 1, 1)),
    hour=st.times(),
    number_of_many_digits=st.decimals(allow_nan=False, allow_infinity=False),
    uuid=st.uuids(),
    model=st.builds(lambda value, at: Model(Value=value, at=at), FINITE, st.none() | SECONDS),
    record=st.builds(Record, FINITE, st.none() | SECONDS),
)


@pytest.mark.slow
@settings(deadline=None, database=None)
@given(WHOLES)
def test_what_is_sent_is_read_back_as_it_was(whole: Whole) -> None:
    decoder = decoder_for(Whole)
    assert decoder is not None
    assert decoder.decode(encode(whole, PROVIDER)) == whole


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.slow
@settings(deadline=None, database=None)
@given(st.lists(JSON))
def test_plain_values_are_what_json_makes_of_them(value: list[Any]) -> None:
    decoder = decoder_for(list, json=True)
    assert decoder is not None
    assert decoder.decode(encode(value, PROVIDER)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Model(Value=1, at=datetime(2026, 1, 31, tzinfo=timezone.utc)),
         '{"Value": 1.0, "at": "2026-01-31T00:00:00Z"}'),
        (Record(1.0), '{"at": null, "value": 1.0}'),
        (OfPydantic(1), '{"value": 1}'),
        ({"inner": [Record(1.0), OfPydantic(2)]},
         '{"inner": [{"at": null, "value": 1.0}, {"value": 2}]}'),
        ([{Unit.KELVIN: (1, 2)}], '[{"K": [1, 2]}]'),
    ],
)  # fmt: skip
def test_models_are_sent_as_they_say(value: Any, text: str) -> None:
    assert is_json(value)
    assert encode(value, PROVIDER) == text


class Metric:
    pass


class Provider(DefaultJSONProvider):
    """That of an application with types of its own."""

    def default(self, o: Any) -> Any:
        return "a metric" if isinstance(o, (Metric, Unit)) else DefaultJSONProvider.default(o)


def test_the_application_says_how_its_types_are_written() -> None:
    provider = Provider(Flask("encoding"))
    assert encode([Metric(), Unit.KELVIN], provider) == '["a metric", "a metric"]'


def test_what_nobody_can_write_is_an_error() -> None:
    with pytest.raises(TypeError, match="Metric is not JSON serializable"):
        encode({"metric": Metric()}, PROVIDER)
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="Circular"):
        encode(endless, PROVIDER)


@pytest.mark.parametrize(
    "value", ["text", b"bytes", bytearray(b"x"), 1, 2.5, None, True, Part, Unit]
)
def test_other_values_are_no_json(value: Any) -> None:
    assert not is_json(value)


def test_the_content_type_is_set_where_the_application_has_set_none() -> None:
    wanted = {"ContentType": "application/json"}
    assert with_content_type(None) == wanted
    given_dict = {"MessageExpiryInterval": 5}
    assert with_content_type(given_dict) == {**given_dict, **wanted}
    assert given_dict == {"MessageExpiryInterval": 5}
    own = {"ContentType": "application/senml+json"}
    assert with_content_type(own) == own
    properties = Properties(3, MessageExpiryInterval=5)
    assert with_content_type(properties).json() == {"MessageExpiryInterval": 5, **wanted}
    assert properties.json() == {"MessageExpiryInterval": 5}
    properties.ContentType = "x"
    assert with_content_type(properties) is properties


def test_the_json_is_of_what_the_provider_makes_of_it() -> None:
    assert json.loads(encode({"day": date(2026, 1, 31)}, PROVIDER)) == {
        "day": "Sat, 31 Jan 2026 00:00:00 GMT"
    }
