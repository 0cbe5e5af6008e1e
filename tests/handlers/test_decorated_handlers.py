"""Handlers that are called through something else: decorators, methods, partials, mocks."""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flask_mqtt import CallbackAPIVersion, Client, Mqtt
from support.apps import make_app
from support.running import closing, connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DATABASE = object()


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def adding_last(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args, DATABASE)

    return wrapper


def adding_first(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(client: Any, userdata: Any, message: Any) -> Any:
        return function(DATABASE, client, userdata, message)

    return wrapper


def only_the_last(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(client: Any, userdata: Any, message: Any) -> Any:
        return function(message)

    return wrapper


def copying_what_it_says(function: Callable[..., Any]) -> Callable[..., Any]:
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return adding_last(function)


class Adding:
    """A decorator that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, client: Any, userdata: Any, message: Any) -> Any:
        return self.function(DATABASE, client, userdata, message)


def asynchronous(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function(*args, DATABASE)

    return wrapper


def twice(function: Callable[..., Any]) -> Callable[..., Any]:
    return passing(adding_last(function))


def handled(decorate: Decorator, broker: ScriptedBroker) -> tuple[Any, ...]:
    """Return what the decorated function was called with for a message."""
    calls: list[tuple[Any, ...]] = []
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_message()(decorate(calls))  # type: ignore[arg-type]
        broker.publish("t", b"x")
        wait_until(lambda: calls, what="the handler was called")
    return calls[0]


def names(arguments: tuple[Any, ...]) -> str:
    """Name what a function was called with."""
    known = {Client: "client", type(None): "userdata", object: "database"}
    return " ".join(known.get(type(argument), "message") for argument in arguments)


def _four(calls: Any) -> Callable[..., Any]:
    def handler(client: Any, userdata: Any, message: Any, database: Any) -> None:
        calls.append((client, userdata, message, database))

    return handler


def _one(calls: Any) -> Callable[..., Any]:
    def handler(message: Any) -> None:
        calls.append((message,))

    return handler


def _any(calls: Any) -> Callable[..., Any]:
    def handler(*args: Any) -> None:
        calls.append(args)

    return handler


def _keyword(calls: Any) -> Callable[..., Any]:
    def handler(client: Any, userdata: Any, message: Any, *, database: Any) -> None:
        calls.append((client, userdata, message, database))

    return handler


def _with_default(calls: Any) -> Callable[..., Any]:
    return lambda client, userdata, message, database=DATABASE: calls.append(
        (client, userdata, message, database)
    )


class Owner:
    def __init__(self, calls: Any) -> None:
        self.calls = calls

    @adding_last
    def method(self, client: Any, userdata: Any, message: Any, database: Any) -> None:
        self.calls.append((client, userdata, message, database))

    def _both(self, database: Any, client: Any, userdata: Any, message: Any) -> None:
        self.calls.append((client, userdata, message, database))

    partial = functools.partialmethod(_both, DATABASE)

    @staticmethod
    def of(calls: Any) -> Any:
        return staticmethod(_any(calls))

    @functools.singledispatchmethod
    def dispatched(self, client: Any, userdata: Any, message: Any) -> None:
        self.calls.append((client, userdata, message))

    @adding_last
    def __call__(self, client: Any, userdata: Any, message: Any, database: Any) -> None:
        self.calls.append((client, userdata, message, database))


class Job:
    """An object for each message."""

    def __init__(self, calls: Any, client: Any, userdata: Any, message: Any) -> None:
        calls.append((client, userdata, message))


def _jobs(calls: Any) -> type:
    class Ours(Job):
        def __init__(self, *args: Any) -> None:
            super().__init__(calls, *args)

    return Ours


ALL = "client userdata message"
HANDLERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a decorator that passes on": (lambda calls: passing(_any(calls)), ALL),
    "a decorator that adds the last": (lambda calls: adding_last(_four(calls)), f"{ALL} database"),
    "a decorator that adds the first": (
        lambda calls: adding_first(_any(calls)),
        f"database {ALL}",
    ),
    "a decorator that leaves out": (lambda calls: only_the_last(_one(calls)), "message"),
    "a decorator that copies a signature": (
        lambda calls: copying_what_it_says(_four(calls)),
        f"{ALL} database",
    ),
    "a decorator that is an object": (lambda calls: Adding(_any(calls)), f"database {ALL}"),
    "two decorators": (lambda calls: twice(_four(calls)), f"{ALL} database"),
    "an async decorator": (lambda calls: asynchronous(_four(calls)), f"{ALL} database"),
    "a partial": (lambda calls: functools.partial(_any(calls), DATABASE), f"database {ALL}"),
    "a partial with a keyword": (
        lambda calls: functools.partial(_keyword(calls), database=DATABASE),
        f"{ALL} database",
    ),
    "a partial of a decorated one": (
        lambda calls: functools.partial(passing(_any(calls)), DATABASE),
        f"database {ALL}",
    ),
    "a decorated partial": (
        lambda calls: passing(functools.partial(_any(calls), DATABASE)),
        f"database {ALL}",
    ),
    "a decorated method": (lambda calls: Owner(calls).method, f"{ALL} database"),
    "a partial method": (lambda calls: Owner(calls).partial, f"{ALL} database"),
    "a single dispatch method": (lambda calls: Owner(calls).dispatched, ALL),
    "an object with a decorated __call__": (Owner, f"{ALL} database"),
    "a static method": (Owner.of, ALL),
    "a class": (_jobs, ALL),
    "a default of its own": (_with_default, f"{ALL} database"),
    "a single dispatch": (lambda calls: functools.singledispatch(_any(calls)), ALL),
    "a mock": (lambda calls: mock.MagicMock(side_effect=_any(calls)), ALL),
    "an async mock": (lambda calls: mock.AsyncMock(side_effect=_any(calls)), ALL),
}


@pytest.mark.parametrize(("decorate", "expected"), HANDLERS.values(), ids=HANDLERS)
def test_what_the_outer_callable_takes_decides(
    scripted: ScriptedBroker, decorate: Decorator, expected: str
) -> None:
    assert names(handled(decorate, scripted)) == expected


EVENTS = {
    "connect": 4,
    "disconnect": 3,
    "subscribe": 4,
    "unsubscribe": 3,
    "publish": 3,
    "log": 4,
    "message": 3,
}


def test_any_number_of_arguments_means_the_usual_number_of_each_event(
    scripted: ScriptedBroker,
) -> None:
    counts: dict[str, int] = {}

    def noting(name: str) -> Callable[..., None]:
        def wants_nothing() -> None: ...

        @functools.wraps(wants_nothing)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            assert not kwargs
            counts[name] = len(args)

        return wrapper

    with connected(make_app(scripted.port)) as mqtt:
        for name in EVENTS:
            getattr(mqtt, f"on_{name}")()(noting(name))
        mqtt.subscribe("t")
        mqtt.publish("t")
        mqtt.unsubscribe("t")
        scripted.publish("t")
        wait_until(lambda: len(counts) == len(EVENTS) - 1)
    assert counts == EVENTS


def test_what_is_not_written_in_python_is_called_with_the_usual_number(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    items: queue.Queue[Any] = queue.Queue()
    with connected(make_app(scripted.port)) as mqtt:
        # As in the original: the client is put, and the others are `block` and `timeout`.
        mqtt.on_topic("put")(items.put)
        mqtt.on_topic("cached")(functools.lru_cache(lambda *_: None))
        scripted.publish("put")
        scripted.publish("cached")
        assert items.get(timeout=20) is mqtt.client
        wait_until(lambda: "unhashable type: 'flask_mqtt.MQTTMessage'" in caplog.text)


SIGNATURES: dict[str, tuple[Callable[..., Any], tuple[int, int]]] = {
    "as always": (lambda client, userdata, flags, rc: None, (4, 4)),
    "with properties": (lambda client, userdata, flags, rc, properties: None, (5, 5)),
    "with properties or without": (
        lambda client, userdata, flags, rc, properties=None: None,
        (4, 5),
    ),
    "with something of its own": (lambda client, userdata, flags, rc, n=1: None, (4, 4)),
    "with any number": (lambda *args: None, (4, 5)),
    "decorated, as always": (passing(lambda client, userdata, flags, rc: None), (4, 4)),
    "decorated, with properties": (
        passing(lambda client, userdata, flags, rc, properties: None),
        (4, 5),
    ),
    "decorated, with what the decorator adds": (
        adding_last(lambda client, userdata, flags, rc, database: None),
        (4, 4),
    ),
    "a decorated method": (
        passing(lambda self, client, userdata, flags, rc: None).__get__(object()),
        (4, 4),
    ),
    "a decorated method with properties": (
        passing(lambda self, client, userdata, flags, rc, properties: None).__get__(object()),
        (4, 5),
    ),
    "a partial of a decorated one": (
        functools.partial(passing(lambda database, client, userdata, flags, rc: None), DATABASE),
        (4, 4),
    ),
    "a mock": (mock.MagicMock(), (4, 5)),
}


@pytest.mark.parametrize(("handler", "expected"), SIGNATURES.values(), ids=SIGNATURES)
def test_with_mqtt_5_a_handler_gets_the_properties_where_it_has_a_place_for_them(
    broker: Mosquitto, handler: Callable[..., Any], expected: tuple[int, int]
) -> None:
    for version, count in zip((4, 5), expected, strict=True):
        seen: list[int] = []

        def noting(*args: Any, seen: list[int] = seen) -> None:
            seen.append(len(args))

        mqtt = Mqtt()
        with mock.patch.object(
            mqtt.client._parts.dispatcher, "call", lambda _handler, *a: noting(*a)
        ):
            mqtt.on_connect()(handler)
            mqtt.init_app(make_app(broker.port, protocol_version=version))
            with mqtt:
                wait_until(lambda: seen)  # noqa: B023 - used at once
        assert seen == [count]


def test_version_2_gives_a_decorated_handler_all_five(broker: Mosquitto) -> None:
    seen: list[int] = []

    def on_connect(*args: Any) -> None:
        seen.append(len(args))

    with closing(Client(CallbackAPIVersion.VERSION2)) as client:
        client.on_connect = passing(on_connect)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(lambda: seen)
    assert seen == [5]
