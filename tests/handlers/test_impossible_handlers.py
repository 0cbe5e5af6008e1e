"""What can never be called for its event is a TypeError where it is registered."""

from __future__ import annotations

import contextlib
import functools
import types
from typing import TYPE_CHECKING, Any

import pytest
from flask import Blueprint, Flask

from flask_mqtt import CallbackAPIVersion, Client, Mqtt
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from support.scripted import ScriptedBroker

ON_EVENT = ["connect", "disconnect", "subscribe", "unsubscribe", "publish", "log", "message"]
ON_CLIENT = [*ON_EVENT, "connect_fail", "pre_connect"]


def generator(client: Any, userdata: Any, message: Any) -> Iterator[int]:
    yield 1


async def async_generator(client: Any, userdata: Any, message: Any) -> AsyncIterator[int]:
    yield 1


def passing(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


def yielding(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        yield function(*args)

    return wrapper


class Yielding:
    def method(self, client: Any, userdata: Any, message: Any) -> Iterator[int]:
        yield 1

    @classmethod
    def of_class(cls, client: Any, userdata: Any, message: Any) -> Iterator[int]:
        yield 1

    def __call__(self, client: Any, userdata: Any, message: Any) -> Iterator[int]:
        yield 1

    def _more(self, more: Any, client: Any, userdata: Any, message: Any) -> Iterator[int]:
        yield 1

    partial = functools.partialmethod(_more, 1)


class Wrapping:
    """A decorator that is an object."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


GENERATORS: dict[str, Any] = {
    "a generator function": generator,
    "an async one": async_generator,
    "a decorated one": passing(generator),
    "an async one, decorated": passing(async_generator),
    "one decorated twice": passing(passing(generator)),
    "one in a decorator that is an object": Wrapping(generator),
    "one of the decorator's": yielding(print),
    "a context manager": contextlib.contextmanager(generator),
    "a partial": functools.partial(generator),
    "a method": Yielding().method,
    "a method of a class": Yielding.of_class,
    "a partial method": Yielding().partial,
    "an object with __call__": Yielding(),
    "a static method": staticmethod(generator),
    "a lambda": lambda *_: (yield),
}


@pytest.mark.parametrize("handler", GENERATORS.values(), ids=GENERATORS)
def test_a_generator_function_is_refused(handler: Any) -> None:
    mqtt = Mqtt()
    for register in (mqtt.on_message(), mqtt.on_topic("t"), mqtt.client.message_callback()):
        with pytest.raises(TypeError, match=r"a generator function.*write it without 'yield'"):
            register(handler)
    assert mqtt.client.on_message is None


@pytest.mark.parametrize("name", ON_CLIENT)
def test_a_generator_function_is_refused_for_every_event(name: str) -> None:
    def of_any(*_: Any) -> Iterator[int]:
        yield 1

    client = Client()
    with pytest.raises(TypeError, match=f"on_{name} .*of_any: it is a generator function"):
        setattr(client, f"on_{name}", of_any)
    assert getattr(client, f"on_{name}") is None


def test_a_decorator_that_goes_through_what_is_yielded_is_a_handler(
    scripted: ScriptedBroker,
) -> None:
    seen: list[int] = []

    def running(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> None:
            seen.extend(number for number in function(*args))

        return wrapper

    def listing(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> None:
            seen.extend(list(function(*args)))

        return wrapper

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_topic("a")(running(generator))
        mqtt.on_topic("b")(listing(generator))
        scripted.publish("a")
        scripted.publish("b")
        wait_until(lambda: seen == [1, 1])


def test_a_coroutine_of_old_is_run(scripted: ScriptedBroker) -> None:
    seen: list[int] = []

    @types.coroutine
    def handler(*_: Any) -> Any:
        seen.append(1)
        yield from ()

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(handler)
        scripted.publish("t")
        wait_until(lambda: seen)


@pytest.mark.parametrize("made", [generator, async_generator])
def test_a_generator_that_a_handler_returns_is_told_of(
    scripted: ScriptedBroker, made: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(lambda *_: made(None, None, None))
        scripted.publish("t")
        wait_until(lambda: "the handler returned a generator, which nothing runs" in caplog.text)


def test_a_generator_that_was_begun_is_not_told_of(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    begun = generator(None, None, None)
    next(begun)
    seen: list[int] = []
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_topic("a")(lambda *_: begun)
        mqtt.on_topic("b")(lambda *_: seen.append(1))
        scripted.publish("a")
        scripted.publish("b")
        wait_until(lambda: seen)
    assert "generator" not in caplog.text


class Handler:
    """Objects of it are handlers."""

    def __call__(self, client: Any, userdata: Any, message: Any) -> None: ...

    def method(self, client: Any, userdata: Any, message: Any) -> None: ...

    @classmethod
    def of_class(cls, client: Any, userdata: Any, message: Any) -> None: ...


class Taking(Handler):
    """Even an object of it is made where a handler is called."""

    def __init__(self, *parts: Any) -> None: ...


async def coroutine() -> None: ...


def _coroutine() -> Any:
    made = coroutine()
    made.close()
    return made


MESSAGE = r"called with \(client, userdata, message\)"
BAD: dict[str, tuple[Any, str]] = {
    "too few": (lambda message: None, rf"<lambda>\(message\): it is {MESSAGE}"),
    "none": (lambda: None, MESSAGE),
    "too many": (lambda client, userdata, message, more: None, MESSAGE),
    "too many beside any number": (lambda a, b, c, d, *args: None, MESSAGE),
    "a keyword": (lambda client, userdata, message, *, db: None, "nothing would be 'db'"),
    "a method of no object": (Handler.method, "the method of an object, as object.method"),
    "a class": (Handler, r"it is a class.*give the object, as in Handler\(\)"),
    "a class that takes anything": (Taking, r"give the object, as in Taking\(\)"),
    "a class method that is none yet": (vars(Handler)["of_class"], r"as Class\.method"),
    "a static method": (staticmethod(lambda message: None), MESSAGE),
    "a builtin function": ([].append, MESSAGE),
    "a coroutine": (_coroutine(), "leave out the parentheses after its name"),
    "a generator": (generator(1, 2, 3), "leave out the parentheses after its name"),
    "text": ("handler", "'handler': it must be a function"),
    "nothing": (None, "the decorator under @on_message has to return one"),
}


@pytest.mark.parametrize(("handler", "told"), BAD.values(), ids=BAD)
def test_what_cannot_be_called_for_a_message_is_refused(handler: Any, told: str) -> None:
    with pytest.raises(TypeError, match=f"^on_message .*{told}"):
        Mqtt().on_message()(handler)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("connect", r"\(client, userdata, flags, rc\[, properties\]\)"),
        ("disconnect", r"\(client, userdata, rc\[, properties\]\) or \(\)"),
        ("subscribe", r"\(client, userdata, mid, granted_qos\[, properties\]\)"),
        ("unsubscribe", r"\(client, userdata, mid\[, properties\[, reasoncodes\]\]\)"),
        ("publish", r"\(client, userdata, mid\[, properties\[, reasoncode\]\]\)"),
        ("log", r"\(client, userdata, level, buf\)"),
        ("message", r"\(client, userdata, message\)"),
        ("connect_fail", r"\(client, userdata\)"),
        ("pre_connect", r"\(client, userdata\)"),
    ],
)
def test_the_error_names_the_event_and_its_arguments(name: str, arguments: str) -> None:
    def six(a: Any, b: Any, c: Any, d: Any, e: Any, f: Any) -> None: ...

    client = Client()
    text = rf"^on_{name} .*six\(a, b, c, d, e, f\): it is called with {arguments},"
    with pytest.raises(TypeError, match=text):
        setattr(client, f"on_{name}", six)
    with pytest.raises(TypeError, match=text):
        getattr(client, f"{name}_callback")()(six)
    assert getattr(client, f"on_{name}") is None


def test_the_error_shows_no_default_which_may_be_a_secret() -> None:
    with pytest.raises(TypeError) as caught:
        Mqtt().on_message()(lambda message, token="geheim": None)
    assert "geheim" not in str(caught.value)


def test_version_2_has_other_arguments() -> None:
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_connect = lambda client, userdata, flags, reason_code, properties: None
    with pytest.raises(TypeError, match=r"\(client, userdata, flags, reason_code, properties\)"):
        client.on_connect = lambda client, userdata, flags, rc: None
    with pytest.raises(TypeError, match=r"\(client, userdata, flags, reason_code, properties\)"):
        client.on_disconnect = lambda: None
    client.on_message = lambda client, userdata, message: None


def test_a_method_of_a_subclass_is_looked_at_when_an_object_is_made() -> None:
    class Short(Client):
        def on_connect(self, flags: Any, rc: Any) -> None:  # type: ignore[override]
            """Without the client, and the userdata."""

    class Making(Client):
        def on_message(self, client: Any, userdata: Any, message: Any) -> Any:
            yield message

    class Late(Client):
        @property
        def on_connect(self) -> Any:  # type: ignore[override]
            return self.chosen  # type: ignore[attr-defined]

    with pytest.raises(TypeError, match=r"on_connect .*on_connect\(flags, rc\): it is called with"):
        Short()
    with pytest.raises(TypeError, match=r"on_message .*: it is a generator function"):
        Making()
    # What a property says is not asked for before the subclass has made it.
    Late()


@pytest.mark.parametrize("name", [*ON_EVENT, "topic"])
def test_a_decorator_of_the_extension_needs_parentheses(name: str) -> None:
    mqtt = Mqtt()
    for handler in (lambda *_: None, Handler(), staticmethod(print), vars(Handler)["of_class"]):
        with pytest.raises(
            TypeError, match=rf"^on_{name} needs parentheses: @mqtt\.on_{name}\(.*\)$"
        ):
            getattr(mqtt, f"on_{name}")(handler)


@pytest.mark.parametrize("name", [*ON_CLIENT, "topic"])
def test_a_decorator_of_a_client_needs_parentheses(name: str) -> None:
    text = rf"^{name}_callback needs parentheses: @client\.{name}_callback\(.*\)$"
    with pytest.raises(TypeError, match=text):
        getattr(Client(), f"{name}_callback")(print)


def create_app() -> Flask:
    return Flask("x")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("app", r"app 'app': it must be the Flask application, as in Mqtt\(app\)"),
        ("", "app ''"),
        (0, "app 0"),
        ({}, "app {}"),
        (Blueprint("x", "x"), "app <Blueprint 'x'>"),
        (Flask, r"as in Mqtt\(create_app\(\)\)"),
        (create_app, r"as in Mqtt\(create_app\(\)\)"),
    ],
    ids=["a name", "no text", "a number", "a dict", "a blueprint", "the class", "a factory"],
)
def test_what_is_no_application_is_refused(given: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Mqtt(given)
    with pytest.raises(TypeError, match=told):
        Mqtt().init_app(given)
