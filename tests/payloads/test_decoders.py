"""Decoders: for which types there are some, and who shares one."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any, Literal, TypedDict

import msgspec
import pytest

from flask_mqtt.payloads import decoder_for


@dataclasses.dataclass
class Reading:
    value: float


@dataclasses.dataclass
class Span:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(self.low)


class Place(TypedDict):
    room: str


class Record(msgspec.Struct):
    value: float


class Plain:
    pass


@dataclasses.dataclass
class Outside:
    plain: Plain


@dataclasses.dataclass
class Binary:
    inner: list[bytes]


@dataclasses.dataclass
class WithInitVar:
    value: int
    more: dataclasses.InitVar[int]


@dataclasses.dataclass
class Keyed:
    by_number: dict[int, str]


@dataclasses.dataclass
class Odd:
    a: Literal[b"x"]


@dataclasses.dataclass
class Unknown:
    value: DoesNotExist  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Outside, "Outside.plain: JSON has no form for Plain"),
        (Binary, r"Binary.inner: JSON has no form for bytes"),
        (WithInitVar, "WithInitVar needs 'more', which is no field"),
        (Keyed, r"Keyed.by_number: dict\[int, str\]: the keys of an object of JSON are texts"),
        (Unknown, "Unknown: an annotation has a name that its module does not have: .*DoesNotEx"),
        (Odd, r"Odd.a: Literal\[b'x'\]: JSON has no such value"),
    ],
)
def test_a_type_that_json_has_no_form_for_is_refused_at_once(annotation: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        decoder_for(annotation)


@pytest.mark.parametrize("annotation", [int, str, bytes, dict, list, Any, None, Plain, "Reading"])
def test_other_annotations_are_no_payloads(annotation: Any) -> None:
    assert decoder_for(annotation) is None


def test_a_type_has_one_decoder() -> None:
    assert decoder_for(Reading) is decoder_for(Reading)
    assert decoder_for(Reading | Place) is not decoder_for(Place | Reading)


def test_so_many_decoders_are_remembered() -> None:
    first = decoder_for(Reading)
    for _ in range(1_024):
        decoder_for(type("Model", (Record,), {}))
    assert decoder_for(Reading) is not first


def test_routes_of_one_message_have_its_payload_decoded_once() -> None:
    kind = dataclasses.make_dataclass("Counted", [("value", int)])
    decoder = decoder_for(kind)
    assert decoder is not None
    first, second = (bytes(bytearray(b'{"value": 1}')) for _ in range(2))
    assert decoder.decode(first) is not decoder.decode(first), "one route asks once"
    decoder.routes = 2
    assert decoder.decode(first) is decoder.decode(first)
    assert decoder.decode(second) is not decoder.decode(first), "another message"
    changed = bytearray(first)
    assert decoder.decode(changed).value == 1
    changed[-2:-1] = b"2"
    assert decoder.decode(changed).value == 2


def test_threads_that_share_a_decoder_get_what_is_theirs() -> None:
    decoder = decoder_for(Span)
    assert decoder is not None
    decoder.routes += 2
    wrong: list[Any] = []

    def run(number: int) -> None:
        payload = f'{{"low": {number}, "high": {number}}}'.encode()
        wrong.extend(
            one for one in (decoder.decode(payload) for _ in range(2_000)) if one.low != number
        )

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decoder.routes -= 2
    assert wrong == []
