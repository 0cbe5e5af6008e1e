"""Two threads that do the same at once, each at the moment that matters."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_INVAL,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    Client,
    Mqtt,
)
from flask_mqtt.dispatch import threads
from flask_mqtt.dispatch.own_threads import Turn
from flask_mqtt.extension import driving
from flask_mqtt.waiting import WakeUps
from support.apps import make_app
from support.ports import closed_port
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.scripted import ScriptedBroker

pytestmark = [pytest.mark.alone, pytest.mark.slow]


@pytest.fixture
def client(scripted: ScriptedBroker) -> Iterator[Client]:
    with closing(Client()) as client:
        client.connect("127.0.0.1", scripted.port)
        yield client


def elsewhere(call: Callable[[], Any]) -> Any:
    """Call something in another thread, and return what it returns or raises."""
    results: list[Any] = []

    def work() -> None:
        try:
            results.append(call())
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    return results[0]


def check_handlers(scripted: ScriptedBroker, client: Client) -> None:
    """Check that messages have handlers called, in one thread."""
    seen: list[str] = []
    client.on_message = lambda *_: seen.append(threading.current_thread().name)
    wait_until(client.is_connected)
    for _ in range(3):
        scripted.publish("a", qos=1)
    scripted.wait_for("PUBACK", 3)
    assert seen == ["mqtt-dispatch"] * 3
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("mqtt-dispatch") == 1


def test_loop_start_between_the_look_and_the_beginning_of_loop(
    scripted: ScriptedBroker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[int] = []
    have_ended = client._parts.dispatcher._threads._own.have_ended

    def start_then(deadline: float) -> bool:
        codes.append(elsewhere(client.loop_start))
        return have_ended(deadline) or True

    monkeypatch.setattr(client._parts.dispatcher._threads._own, "have_ended", start_then)
    code = client.loop(0)
    monkeypatch.undo()
    assert (codes, code) == ([MQTT_ERR_SUCCESS], MQTT_ERR_INVAL)
    check_handlers(scripted, client)
    assert client.loop_stop() == MQTT_ERR_SUCCESS


@pytest.mark.parametrize("other", ["loop_start", "loop"])
def test_another_thread_between_the_look_and_the_beginning_of_loop_start(
    scripted: ScriptedBroker, client: Client, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    codes: list[int] = []

    class Late(WakeUps):
        def __init__(self, core: Any) -> None:
            super().__init__(core)
            monkeypatch.setattr(threads, "WakeUps", WakeUps)
            call = client.loop_start if other == "loop_start" else lambda: client.loop(0)
            codes.append(elsewhere(call))

    monkeypatch.setattr(threads, "WakeUps", Late)
    code = client.loop_start()
    if other == "loop_start":
        assert (codes, code) == ([MQTT_ERR_SUCCESS], MQTT_ERR_INVAL)
    else:
        # It was over before.
        assert (codes, code) == ([MQTT_ERR_SUCCESS], MQTT_ERR_SUCCESS)
    check_handlers(scripted, client)


def test_loop_and_loop_start_at_any_moment(scripted: ScriptedBroker, client: Client) -> None:
    for _ in range(200):
        both = threading.Barrier(2)
        codes: list[int] = []

        def loop() -> None:
            both.wait(5)  # noqa: B023 - joined below
            codes.append(client.loop(0))  # noqa: B023

        thread = threading.Thread(target=loop)
        thread.start()
        both.wait(5)
        code = client.loop_start()
        thread.join()
        # Where the loop came first, it may be over by then.
        assert code in (MQTT_ERR_SUCCESS, MQTT_ERR_INVAL)
        assert codes in ([MQTT_ERR_SUCCESS], [MQTT_ERR_INVAL])
        assert MQTT_ERR_SUCCESS in (code, *codes)
        assert client._parts.dispatcher.started is (code == MQTT_ERR_SUCCESS)
        if code == MQTT_ERR_SUCCESS:
            assert client.loop_stop() == MQTT_ERR_SUCCESS
    client.loop_start()
    check_handlers(scripted, client)


def test_a_start_while_a_thread_that_ends_tells_of_it(
    scripted: ScriptedBroker, client: Client
) -> None:
    dispatcher = client._parts.dispatcher

    class Replacing(Turn):
        """Another one is in its place as soon as somebody has looked at it."""

        def tell(self) -> None:
            dispatcher._threads._own.turn = Turn()
            super().tell()

    failures: list[Any] = []
    hook, threading.excepthook = threading.excepthook, failures.append
    try:
        client.loop_start()
        dispatcher._threads._own.turn = Replacing()
        client.loop_stop()
        dispatcher._threads._own.turn = Replacing()
        client.loop_start()
        check_handlers(scripted, client)
    finally:
        threading.excepthook = hook
    assert failures == []


def test_two_init_app_of_the_same_application_make_one_connection(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt, both = driving.adopt, threading.Event()
    inside: list[threading.Thread] = []

    def adopt_late(*arguments: Any, **options: Any) -> Any:
        inside.append(threading.current_thread())
        if len(set(inside)) == 2:
            both.set()
        else:
            # The other one comes here too, or waits for this one.
            both.wait(0.3)
        return adopt(*arguments, **options)

    monkeypatch.setattr(driving, "adopt", adopt_late)
    app, mqtt = make_app(scripted.port), Mqtt()
    threads = [threading.Thread(target=mqtt.init_app, args=(app,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    wait_until(lambda: mqtt.connected)
    mqtt.close()
    assert scripted.connections == 1
    assert len(scripted.of("CONNECT")) == 1


@pytest.mark.parametrize("call", ["connect", "reconnect", "disconnect"])
def test_a_connect_has_the_result_of_its_own_attempt(call: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        closing(Client(transport="websockets")) as client,
    ):
        results: list[Any] = []
        port = silent.getsockname()[1]
        first = threading.Thread(
            target=lambda: results.append(elsewhere(lambda: client.connect("127.0.0.1", port)))
        )
        first.start()
        # It waits for a handshake now.
        accepted, _ = silent.accept()
        with accepted:
            if call == "disconnect":
                client.disconnect()
            else:
                closed = closed_port()
                client._parts.settings.aim("127.0.0.1", closed, 60, "", 0, 3, None)
                again = {
                    "connect": lambda: client.connect("127.0.0.1", closed),
                    "reconnect": client.reconnect,
                }
                with pytest.raises(ConnectionRefusedError):
                    again[call]()
            first.join(10)
        assert results == [MQTT_ERR_NO_CONN]
