"""Handlers in the log: by name, and nothing of theirs is shown or run for that."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from werkzeug.local import LocalProxy

from flask_mqtt import Mqtt
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from support.scripted import ScriptedBroker

TOKEN = "token-hunter2"


def fail(*_arguments: Any, **_named: Any) -> None:
    raise RuntimeError("broken")


class Service:
    """An object that shows its secret, as a dataclass does."""

    def __repr__(self) -> str:
        return f"Service({TOKEN})"

    def handle(self, *_: Any) -> None:
        fail()

    @classmethod
    def of_class(cls, *_: Any) -> None:
        fail()

    def _more(self, *_: Any) -> None:
        fail()

    partial = functools.partialmethod(_more, TOKEN)


class Calling(Service):
    def __call__(self, *_: Any) -> None:
        fail()


def _raise(error: type[BaseException]) -> Callable[..., Any]:
    def raise_it(*_: Any) -> Any:
        raise error(TOKEN)

    return raise_it


class Hostile:
    """What raises, whatever it is asked."""

    __repr__ = __str__ = _raise(SystemExit)
    __module__ = property(_raise(OSError))
    __name__ = property(_raise(OSError))

    def __getattribute__(self, name: str) -> Any:
        if name == "__qualname__":
            raise KeyboardInterrupt(TOKEN)
        return object.__getattribute__(self, name)

    def __call__(self, *_: Any) -> None:
        fail()


class Elusive:
    """What makes up attributes, and shows what it has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__q"):
            return TOKEN
        raise AttributeError(name)

    def __call__(self, *_: Any) -> None:
        fail()


class Meta(type):
    __repr__ = _raise(ValueError)

    def __getattribute__(cls, name: str) -> Any:
        if name in ("__qualname__", "__module__", "__name__"):
            raise ValueError(TOKEN)
        return type.__getattribute__(cls, name)

    def __call__(cls, *_: Any) -> None:
        fail()


class Made(metaclass=Meta):
    pass


class Shouting(str):
    __slots__ = ()

    __str__ = __repr__ = __format__ = _raise(ValueError)


def shouting(*_: Any) -> None:
    fail()


def forged(*_: Any) -> None:
    fail()


shouting.__qualname__ = Shouting("shouting")
forged.__qualname__ = "forged\n2026-01-01 CRITICAL \x1b[31m\x85\u2028\u202e"

HANDLERS: dict[str, tuple[Any, str]] = {
    "a function": (fail, "test_naming.fail"),
    "a partial": (functools.partial(fail, token=TOKEN), "test_naming.fail"),
    "a partial of one": (functools.partial(functools.partial(fail, TOKEN), 1), "test_naming.fail"),
    "a partial of a method": (functools.partial(Service().handle, TOKEN), "Service.handle"),
    "a method of a partial": (types.MethodType(functools.partial(fail), TOKEN), "test_naming.fail"),
    "a method": (Service().handle, "test_naming.Service.handle"),
    "a method of a class": (Service.of_class, "test_naming.Service.of_class"),
    "a partial method": (Service().partial, "test_naming.Service._more"),
    "an object": (Calling(), "test_naming.Calling"),
    "a partial of an object": (functools.partial(Calling(), TOKEN), "test_naming.Calling"),
    "one that raises": (Hostile(), "Hostile"),
    "a partial of one that raises": (functools.partial(Hostile(), TOKEN), "Hostile"),
    "one that makes up attributes": (Elusive(), "test_naming.Elusive"),
    "a class of another kind": (Made, "test_naming.Made"),
    "a cached function": (functools.lru_cache(fail), "test_naming.fail"),
    "a proxy": (LocalProxy(lambda: fail), "werkzeug.local.LocalProxy"),
    "a mock": (mock.Mock(side_effect=fail, name=TOKEN), "unittest.mock.Mock"),
    "a name that shouts": (shouting, "test_naming.shouting"),
    "a name with line breaks": (forged, r"forged\n2026-01-01 CRITICAL \x1b[31m\x85\u2028\u202e"),
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_handler_that_fails_has_its_name_in_the_log_and_nothing_else(
    kind: str, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    # Not as parameters: pytest would ask them for their repr.
    handler, name = HANDLERS[kind]

    def failed() -> list[logging.LogRecord]:
        return [item for item in caplog.records if item.__dict__.get("mqtt_handler")]

    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(handler)
        mqtt.client.on_unsubscribe = handler
        scripted.publish("t", b"x")
        wait_until(lambda: len(failed()) == 1)
        mqtt.client.unsubscribe("t")
        wait_until(lambda: len(failed()) == 2)
    for record in failed():
        assert name in record.getMessage()
        assert name in record.__dict__["mqtt_handler"]
        assert record.getMessage().isprintable()
        shown = [record.getMessage(), record.__dict__["mqtt_handler"]]
        assert TOKEN not in "".join(shown)


def test_a_name_is_not_shown_at_any_length(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    def handle(*_: Any) -> None:
        fail()

    handle.__qualname__ = "x" * 1_000_000
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(handle)
        scripted.publish("t", b"x")
        wait_until(lambda: "xxx… failed" in caplog.text)
    assert all(len(record.getMessage()) < 400 for record in caplog.records)


@pytest.mark.parametrize(
    "handler",
    [
        functools.partial(lambda token, message: None, TOKEN),
        Service(),
        Hostile,
        mock.NonCallableMock(name=TOKEN),
        {"token": TOKEN},
        TOKEN.encode(),
    ],
    ids=lambda handler: type(handler).__name__,
)
def test_the_error_where_a_handler_is_refused_shows_nothing_else_either(handler: Any) -> None:
    with pytest.raises(TypeError, match=r"^on_message ") as caught:
        Mqtt().on_message()(handler)
    assert TOKEN not in str(caught.value)
