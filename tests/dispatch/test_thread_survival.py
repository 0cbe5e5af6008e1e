"""Threads that call handlers go on, whatever the application's objects and hooks raise."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import appcontext_popped, appcontext_pushed, appcontext_tearing_down

from flask_mqtt import Client, Mqtt
from support.apps import make_app
from support.going_on import goes_on
from support.running import closing, connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker


class Wicked:
    """What raises in threads of the package's, whatever is asked of it."""

    def __init__(self, error: BaseException) -> None:
        object.__setattr__(self, "error", error)

    def _fail(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise object.__getattribute__(self, "error")

    def __repr__(self) -> str:
        self._fail()
        return "wicked"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        self._fail()
        return self is other

    def __hash__(self) -> int:
        self._fail()
        return 1

    def __bool__(self) -> bool:
        self._fail()
        return True

    def __getattr__(self, name: str) -> Any:
        self._fail()
        raise AttributeError(name)

    def __del__(self) -> None:
        self._fail()

    @property
    def __class__(self) -> Any:
        self._fail()
        return type(self)

    @__class__.setter
    def __class__(self, _value: Any) -> None: ...


class WickedHandler(Wicked):
    """A handler of that kind, which raises and returns such things."""

    def __call__(self, _client: Any, _userdata: Any, message: Any) -> Any:
        if message.payload == b"raise":
            self._fail()
        return Wicked(object.__getattribute__(self, "error"))


class WickedError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit(5)

    __repr__ = __str__


@pytest.fixture
def collected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Have what the test has left collected here: in a thread of another test, it would raise."""
    yield
    # The tracebacks of these refer to it.
    caplog.get_records("call").clear()
    gc.collect()


@pytest.mark.usefixtures("collected")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_objects_that_raise_whatever_is_asked_of_them(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    app = make_app(scripted.port, handler_threads=threads)
    with connected(app) as mqtt:
        mqtt.client.user_data_set(Wicked(error))
        mqtt.client.message_callback_add("bad/#", WickedHandler(error))
        mqtt.client.message_callback_add("worse/#", lambda *_: exec("raise E", {"E": WickedError}))
        payloads = [b"raise", b"return"] * 3
        for number, payload in enumerate(payloads):
            scripted.publish(f"bad/{number}", payload, qos=1)
            scripted.publish(f"worse/{number}", payload, qos=1)
        scripted.wait_for("PUBACK", 12)
        goes_on(scripted, mqtt.client, threads)


@pytest.mark.parametrize(
    "signal", [appcontext_pushed, appcontext_popped, appcontext_tearing_down, None]
)
def test_teardown_functions_and_receivers_of_flask(
    scripted: ScriptedBroker, threads: int, error: BaseException, signal: Any
) -> None:
    app = make_app(scripted.port, handler_threads=threads)
    armed = True

    def receive(*_: Any, **__: Any) -> None:
        if armed and threading.current_thread() is not threading.main_thread():
            raise error.with_traceback(None)

    if signal is None:
        app.teardown_appcontext(receive)
    else:
        signal.connect(receive, app)
    with connected(app) as mqtt:
        mqtt.on_topic("bad/#")(lambda *_: None)
        for number in range(4):
            scripted.publish(f"bad/{number}", qos=1)
        scripted.wait_for("PUBACK", 4)
        armed = False
        goes_on(scripted, mqtt.client, threads)


def test_headers_for_a_websocket_and_what_is_called_before_an_attempt(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    def headers(*_: Any) -> dict[str, str]:
        raise error.with_traceback(None)

    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.01)
    with connected(app) as mqtt:
        # They are asked for, though this connection has no use for them.
        mqtt.client.ws_set_options(headers=headers)
        mqtt.client.on_pre_connect = headers
        scripted.drop()
        scripted.wait_connected(2)
        goes_on(scripted, mqtt.client, threads)


def test_hooks_of_a_subclass_and_what_the_extension_looks_at(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    armed, told = False, []

    def trap() -> None:
        if armed and threading.current_thread() is not threading.main_thread():
            raise error.with_traceback(None)

    class Trapped(Mqtt):
        @property
        def connected(self) -> bool:
            return True

        @connected.setter
        def connected(self, value: bool) -> None:
            trap()

    class Trap(dict[str, Any]):
        def get(self, *arguments: Any) -> Any:
            trap()
            return super().get(*arguments)

        def items(self) -> Any:
            trap()
            return super().items()

    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.01)
    with Trapped(app) as mqtt:
        wait_until(mqtt.client.is_connected)
        mqtt.topics = Trap()
        mqtt.subscribe("a")
        mqtt.on_connect()(lambda *_: told.append("connect"))
        mqtt.on_disconnect()(lambda *_: told.append("disconnect"))
        wait_until(lambda: told == ["connect"])
        armed = True
        scripted.drop()
        scripted.wait_connected(2)
        # The application's handlers are called all the same.
        wait_until(lambda: told == ["connect", "disconnect", "connect"])
        goes_on(scripted, mqtt.client, threads)
        armed = False


def test_handlers_that_are_properties_of_a_subclass(
    scripted: ScriptedBroker, threads: int, error: BaseException
) -> None:
    armed = False

    class Trapped(Client):
        def _get(self) -> Any:
            if armed and threading.current_thread() is not threading.main_thread():
                raise error.with_traceback(None)

        on_connect = on_disconnect = on_subscribe = on_unsubscribe = on_log = property(_get)
        on_connect_fail = on_pre_connect = on_socket_open = on_socket_close = property(_get)

    with closing(Trapped()) as client:
        client.configure(handler_threads=threads, reconnect_delay_min=0.01)
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        armed = True
        client.subscribe("a")
        scripted.wait_for("SUBSCRIBE")
        scripted.drop()
        scripted.wait_connected(2)
        goes_on(scripted, client, threads)
        armed = False
