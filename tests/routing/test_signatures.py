"""Handlers of routes are looked at when they are registered."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import pytest

from flask_mqtt import Mqtt

# What handlers take is the subject: they do nothing, and their names are those of placeholders.
# ruff: noqa: A002, A006


@dataclass
class Reading:
    value: float


class Handlers:
    def method(self, client: Any, message: Any, id: int) -> None: ...

    @classmethod
    def of_class(cls, client: Any, message: Any, id: int) -> None: ...

    @staticmethod
    def static(client: Any, message: Any, id: int) -> None: ...

    def __call__(self, client: Any, message: Any, id: int) -> None: ...


class Wanting:
    def __call__(self, client: Any, message: Any) -> None: ...


def plain(client: Any, message: Any, id: int) -> None: ...


async def coroutine(client: Any, message: Any, id: int) -> None: ...


def any_names(c: Any, m: Any, id: int) -> None: ...


def keyword_only(client: Any, message: Any, *, id: int) -> None: ...


def first_positional_only(client: Any, message: Any, /, id: int) -> None: ...


def starred(*args: Any, id: int) -> None: ...


def keywords(client: Any, message: Any, **values: Any) -> None: ...


def anything(*args: Any, **values: Any) -> None: ...


def with_default(
    client: Any, message: Any, id: int, more: int = 3, *, other: Any = None
) -> None: ...


def of_four(first: Any, client: Any, message: Any, id: int) -> None: ...


def with_payload(client: Any, message: Any, id: int, reading: Reading) -> None: ...


def payload_first(client: Any, message: Any, reading: Reading, *, id: int) -> None: ...


def passing_on(function: Any) -> Any:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return around


def adding(function: Any) -> Any:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        return function("first", *args, **kwargs)

    return around


GOOD = [
    plain,
    coroutine,
    any_names,
    keyword_only,
    first_positional_only,
    starred,
    keywords,
    anything,
    with_default,
    with_payload,
    payload_first,
    lambda client, message, id: None,
    lambda *_, id: None,
    Handlers().method,
    Handlers.of_class,
    Handlers.static,
    Handlers(),
    functools.partial(of_four, "first"),
    functools.partial(plain),
    functools.partial(with_payload, reading=Reading(1.0)),
    passing_on(plain),
    passing_on(with_payload),
    adding(of_four),
]


@pytest.mark.parametrize("handler", GOOD)
def test_a_handler_that_can_be_called(handler: Any) -> None:
    assert Mqtt().topic("a/<int:id>")(handler) is handler


def test_what_gets_the_payload() -> None:
    mqtt = Mqtt()
    for handler, name in [
        (with_payload, "reading"),
        (passing_on(with_payload), "reading"),
        (functools.partial(with_payload), "reading"),
        # It has a value.
        (functools.partial(with_payload, reading=Reading(1.0)), None),
        (plain, None),
        (anything, None),
    ]:
        mqtt.topic("a/<int:id>")(handler)
        payload = vars(mqtt)["_rs_router"].routes[-1].payload
        assert (payload and payload.name) == name


def missing(client: Any, message: Any) -> None: ...


def misspelt(client: Any, message: Any, ident: int) -> None: ...


def one_more(client: Any, message: Any, id: int, more: int) -> None: ...


def one_more_by_name(client: Any, message: Any, id: int, *, more: int) -> None: ...


def one_more_beside_all(client: Any, message: Any, more: int, **values: Any) -> None: ...


def positional_only(client: Any, message: Any, id: int, /) -> None: ...


def only_one(client: Any, *, id: int) -> None: ...


def none() -> None: ...


def only_keywords(**values: Any) -> None: ...


def too_early(id: int, client: Any, message: Any) -> None: ...


def starred_without(client: Any, message: Any, *args: Any) -> None: ...


def generator(client: Any, message: Any, id: int) -> Any:
    yield


async def async_generator(client: Any, message: Any, id: int) -> Any:
    yield


def two_payloads(client: Any, message: Any, id: int, one: Reading, two: Reading) -> None: ...


def no_such_type(client: Any, message: Any, id: int, reading: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821


BAD = [
    (missing, "it has no parameter 'id', for the value of the placeholder <id>"),
    (lambda client, message: None, "it has no parameter 'id'"),
    (misspelt, "it has no parameter 'id'"),
    (Wanting(), "it has no parameter 'id'"),
    (print, "it has no parameter 'id'"),
    (starred_without, "it has no parameter 'id'"),
    (one_more, "it would get no value for its parameter 'more'"),
    (one_more_by_name, "it would get no value for its parameter 'more'"),
    (one_more_beside_all, "it would get no value for its parameter 'more'"),
    (of_four, "it would get no value for its parameter 'message'"),
    (positional_only, "its parameter 'id' is positional-only"),
    (only_one, "it must begin with two parameters"),
    (none, "it must begin with two parameters"),
    (only_keywords, "it must begin with two parameters"),
    (too_early, "'id' is the value of a placeholder, and must come after"),
    (functools.partial(plain, "client"), "'id' is the value of a placeholder, and must come after"),
    (Handlers.method, "'self' would be the client: register the method of an object"),
    (Handlers, "it is a class"),
    (generator, "it is a generator function"),
    (async_generator, "it is a generator function"),
    (two_payloads, "its parameters 'one' and 'two' are both annotated for the payload"),
    (no_such_type, "its annotations cannot be looked up: .*'Nowhere'"),
    (None, "there is no function"),
    (5, "the handler must be a function"),
    ("plain", "the handler must be a function"),
    (vars(Handlers)["of_class"], "the handler must be a function"),
]


@pytest.mark.parametrize(("handler", "said"), BAD)
def test_a_handler_that_cannot_be_called_names_what_is_wrong(handler: Any, said: str) -> None:
    mqtt = Mqtt()
    with pytest.raises(TypeError, match=rf"topic\('a/<int:id>'\) .*{said}"):
        mqtt.topic("a/<int:id>")(handler)
    assert mqtt.stats()["routes"]["routes"] == 0


def test_the_handler_is_named() -> None:
    with pytest.raises(TypeError, match=r" test_signatures\.missing\(client, message\): it has no"):
        Mqtt().topic("a/<int:id>")(missing)


def test_parentheses_are_missing() -> None:
    with pytest.raises(TypeError, match=r"topic needs parentheses: @mqtt.topic\('sens"):
        Mqtt().topic(plain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"qos": 3}, ValueError, "qos 3: it must be 0, 1 or 2"),
        ({"qos": -1}, ValueError, "qos -1"),
        ({"qos": True}, TypeError, "qos True"),
        ({"qos": "1"}, TypeError, "qos '1'"),
        ({"no_local": "x"}, TypeError, "no_local 'x'"),
        ({"retain_handling": 3}, ValueError, "retainHandling 3"),
        ({"share": ""}, ValueError, "share '': the name of a group"),
        ({"share": "a/b"}, ValueError, "share 'a/b'"),
        ({"share": "+"}, ValueError, "share '\\+'"),
        ({"share": 5}, TypeError, "share 5"),
        ({"share": "g", "no_local": True}, ValueError, "share 'g' and no_local"),
        ({"name": ""}, ValueError, "name ''"),
        ({"name": 5}, TypeError, "name 5"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        Mqtt().topic("a/<id>", **options)(plain)
