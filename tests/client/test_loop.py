"""`loop`: handlers are called in the caller's own thread, for a while."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_INVAL,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    Client,
)
from support.packets import MQTT311
from support.ports import closed_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import ScriptedBroker


def loop_until(client: Client, condition: Callable[[], Any]) -> None:
    """Call `loop` until something has happened."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "looped in vain"
        client.loop(0.1)


def test_handlers_run_in_the_thread_that_calls_loop(
    client: Client, scripted: ScriptedBroker
) -> None:
    calls: list[tuple[str, threading.Thread]] = []

    def note(what: str) -> Callable[..., None]:
        return lambda *_: calls.append((what, threading.current_thread()))

    client.on_connect, client.on_subscribe, client.on_publish = map(note, ("C", "S", "P"))
    client.on_message, client.on_disconnect = map(note, ("M", "D"))
    client.connect("127.0.0.1", scripted.port)
    client.subscribe("a")
    client.publish("a", "x", 1)
    loop_until(client, lambda: len(calls) == 3)
    scripted.publish("a", b"y", qos=1)
    loop_until(client, lambda: len(calls) == 4)
    scripted.wait_for("PUBACK")
    client.disconnect()
    assert [what for what, _ in calls] == ["C", "S", "P", "M", "D"]
    assert {thread for _, thread in calls} == {threading.main_thread()}
    assert not [thread for thread in threading.enumerate() if thread.name == "mqtt-dispatch"]


def test_nothing_is_called_between_two_loops(client: Client, scripted: ScriptedBroker) -> None:
    seen: list[bytes] = []
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    scripted.publish("a", b"1", qos=1)
    # The connection does its work without a loop.
    client.publish("b", "after", 1)
    scripted.wait_for("PUBLISH")
    assert not seen
    assert not scripted.of("PUBACK")
    loop_until(client, lambda: seen == [b"1"])
    scripted.wait_for("PUBACK")


def test_loop_waits_no_longer_than_it_may(client: Client, scripted: ScriptedBroker) -> None:
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)

    def seconds(timeout: float) -> float:
        begin = time.monotonic()
        assert client.loop(timeout) == MQTT_ERR_SUCCESS
        return time.monotonic() - begin

    # The first ones may find what is left of connecting.
    assert 0.19 < max(seconds(0.2) for _ in range(4)) < 2
    assert seconds(0) < 0.15


def test_loop_returns_as_soon_as_there_is_something(
    client: Client, scripted: ScriptedBroker
) -> None:
    seen: list[bytes] = []
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    timer = threading.Timer(0.1, scripted.publish, ["a", b"x"])
    timer.start()
    begin = time.monotonic()
    while not seen:
        client.loop(30)
    assert time.monotonic() - begin < 10
    timer.join()


@pytest.mark.parametrize("call", [Client.loop, Client.loop_forever])
def test_a_timeout_is_not_negative(client: Client, call: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="timeout -1"):
        call(client, -1)


def test_loop_without_a_connection_says_so_at_once(client: Client) -> None:
    begin = time.monotonic()
    assert client.loop(30) == MQTT_ERR_NO_CONN
    client.connect_async("127.0.0.1", closed_port())
    assert client.loop(30) == MQTT_ERR_NO_CONN
    assert time.monotonic() - begin < 5


def test_loop_says_why_the_connection_ended(client: Client, scripted: ScriptedBroker) -> None:
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    scripted.stop_listening()
    scripted.drop()
    codes = [client.loop(0.1)]
    while codes[-1] == MQTT_ERR_SUCCESS:
        codes.append(client.loop(0.1))
    assert codes[-1] == MQTT_ERR_CONN_LOST
    # The next attempt is still to come.
    assert client.loop(0.05) == MQTT_ERR_NO_CONN
    # As people do with paho: the connection is made again by hand.
    scripted.listen()
    assert client.reconnect() == MQTT_ERR_SUCCESS
    loop_until(client, client.is_connected)
    assert client.loop(0) == MQTT_ERR_SUCCESS


def test_a_lost_connection_is_made_again_in_the_meantime(
    client: Client, scripted: ScriptedBroker
) -> None:
    connected: list[int] = []
    client.on_connect = lambda _client, _userdata, _flags, rc: connected.append(rc)
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, lambda: len(connected) == 1)
    scripted.drop()
    loop_until(client, lambda: len(connected) == 2)


def test_loop_and_loop_start_are_not_for_the_same_time(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.connect("127.0.0.1", scripted.port)
    assert client.loop_start() == MQTT_ERR_SUCCESS
    assert client.loop() == MQTT_ERR_INVAL
    assert client.loop_start() == MQTT_ERR_INVAL
    assert client.loop_stop() == MQTT_ERR_SUCCESS
    assert client.loop_stop() == MQTT_ERR_INVAL
    assert client.loop(0) == MQTT_ERR_SUCCESS


def test_loop_start_and_loop_take_turns(client: Client, scripted: ScriptedBroker) -> None:
    seen: list[tuple[bytes, str]] = []

    def on_message(_client: Client, _userdata: Any, message: Any) -> None:
        seen.append((message.payload, threading.current_thread().name))

    client.on_message = on_message
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    for number in range(6):
        here = number % 2 == 0
        if not here:
            client.loop_start()
        scripted.publish("a", b"%d" % number, qos=1)
        if here:
            loop_until(client, lambda: len(seen) == number + 1)  # noqa: B023 - used at once
        else:
            wait_until(lambda: len(seen) == number + 1)  # noqa: B023 - used at once
            client.loop_stop()
    names = ["MainThread", "mqtt-dispatch"] * 3
    assert seen == [(b"%d" % number, name) for number, name in enumerate(names)]


def test_what_a_handler_can_call_in_loop(client: Client, scripted: ScriptedBroker) -> None:
    answers: list[Any] = []

    def on_connect(client: Client, *_: Any) -> None:
        answers.append((client.loop(0), client.loop_forever(), client.loop_start()))
        answers.append(client.loop_stop())
        answers.append(client.subscribe("a")[0])
        answers.append(client.disconnect())

    client.on_connect = on_connect
    client.on_disconnect = lambda _client, _userdata, rc: answers.append(rc)
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, lambda: len(answers) == 5)
    assert answers == [(MQTT_ERR_INVAL,) * 3, MQTT_ERR_INVAL, 0, 0, 0]
    scripted.wait_for("DISCONNECT")


def test_loop_stop_after_disconnect_waits_for_on_disconnect(
    client: Client, scripted: ScriptedBroker
) -> None:
    calls: list[str] = []
    client.on_connect = lambda *_: calls.append("connect")
    client.on_disconnect = lambda *_: calls.append("disconnect")
    for _ in range(20):
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.disconnect()
        assert client.loop_stop() == MQTT_ERR_SUCCESS
        assert client.loop_stop() == MQTT_ERR_INVAL
    assert calls == ["connect", "disconnect"] * 20


def test_on_disconnect_follows_where_a_handler_disconnects_and_stops(
    client: Client, scripted: ScriptedBroker
) -> None:
    ended = threading.Event()

    def end(*_: Any) -> None:
        client.disconnect()
        client.loop_stop()

    client.on_connect = end
    client.on_disconnect = lambda *_: ended.set()
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    assert ended.wait(20)
    assert client.loop_stop() == MQTT_ERR_INVAL


def test_the_thread_is_stopped_and_started_by_a_handler(
    client: Client, scripted: ScriptedBroker
) -> None:
    running_now: list[bytes] = []
    seen: list[bytes] = []

    def on_message(client: Client, _userdata: Any, message: Any) -> None:
        running_now.append(message.payload)
        assert len(running_now) == 1, "two handlers at the same time"
        if message.payload == b"1":
            assert client.loop_stop() == MQTT_ERR_SUCCESS
            assert client.loop(0) == MQTT_ERR_INVAL
            assert client.loop_start() == MQTT_ERR_SUCCESS
            # The new thread would have the time to take the next message.
            time.sleep(0.2)
        running_now.pop()
        seen.append(message.payload)

    client.on_message = on_message
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    for number in range(5):
        scripted.publish("a", b"%d" % number, qos=1)
    wait_until(lambda: seen == [b"0", b"1", b"2", b"3", b"4"])
    scripted.wait_for("PUBACK", 5)


def test_a_handler_that_fails_is_logged_and_the_next_one_runs(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytes] = []

    def on_message(_client: Client, _userdata: Any, message: Any) -> None:
        seen.append(message.payload)
        raise ValueError("on purpose")

    client.on_message = on_message
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    scripted.publish("a", b"1", qos=1)
    scripted.publish("a", b"2", qos=1)
    with caplog.at_level(logging.ERROR, "flask_mqtt"):
        loop_until(client, lambda: len(seen) == 2)
    scripted.wait_for("PUBACK", 2)
    assert sum("on_message failed" in text for text in caplog.messages) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_goes_through_loop_and_the_rest_waits(
    client: Client, scripted: ScriptedBroker, error: type[BaseException]
) -> None:
    seen: list[bytes] = []

    def on_message(_client: Client, _userdata: Any, message: Any) -> None:
        seen.append(message.payload)
        if message.payload == b"1":
            raise error

    client.on_message = on_message
    client.connect("127.0.0.1", scripted.port)
    loop_until(client, client.is_connected)
    for payload in (b"1", b"2", b"3"):
        scripted.publish("a", payload, qos=1)
    with pytest.raises(error):
        loop_until(client, lambda: False)
    loop_until(client, lambda: len(seen) == 3)
    assert seen == [b"1", b"2", b"3"]
    scripted.wait_for("PUBACK", 2)
    # The first one was not handled: the broker keeps it for the next connection.
    assert [packet.mid for packet in scripted.of("PUBACK")] == [2, 3]


def settle(client: Client) -> None:
    """Have everything that there is fetched: nothing more comes by itself."""
    loop_until(client, client.is_connected)
    while client._parts.dispatcher.run_here(0):
        pass


#: What wakes the thread that calls handlers, though there is nothing to call them for.
WAKE_UPS: dict[str, Callable[[Client], Any]] = {
    "on_message": lambda client: setattr(client, "on_message", print),
    "on_subscribe": lambda client: setattr(client, "on_subscribe", print),
    "topic": lambda client: client.message_callback_add("a/#", print),
    "removed": lambda client: client.message_callback_remove("a/#"),
    "settings": lambda client: client.reconnect_delay_set(1, 20),
    "logger": lambda client: client.disable_logger(),
    "wake": lambda client: client._parts.holder.core.wake(),
}


@pytest.mark.parametrize("change", WAKE_UPS.values(), ids=WAKE_UPS)
def test_a_wake_up_without_an_event_does_not_end_a_loop(
    client: Client, scripted: ScriptedBroker, change: Callable[[Client], Any]
) -> None:
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    for timeout in (0.02, 0.05):
        change(client)
        begin = time.monotonic()
        assert client.loop(timeout) == MQTT_ERR_SUCCESS
        assert time.monotonic() - begin >= timeout


def test_wake_ups_while_it_waits_do_not_end_a_loop(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    timers = [threading.Timer(after, client._parts.holder.core.wake) for after in (0.02, 0.05, 0.1)]
    for timer in timers:
        timer.start()
    begin = time.monotonic()
    assert client.loop(0.3) == MQTT_ERR_SUCCESS
    assert time.monotonic() - begin >= 0.3
    for timer in timers:
        timer.join()


def test_every_loop_calls_a_handler_where_one_event_comes_for_each(
    client: Client, scripted: ScriptedBroker
) -> None:
    seen: list[bytes] = []
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    client.message_callback_add("a", lambda _c, _u, message: seen.append(message.payload))
    for number in range(20):
        client.on_message = lambda *_: None
        timer = threading.Timer(0.02, scripted.publish, ["a", b"x"])
        timer.start()
        client.loop(10)
        assert len(seen) == number + 1
        timer.join()


def test_a_loop_calls_a_late_on_connect_and_returns(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    seen: list[int] = []
    client.on_connect = lambda _client, _userdata, _flags, rc: seen.append(rc)
    begin = time.monotonic()
    client.loop(30)
    assert seen == [0]
    assert time.monotonic() - begin < 10


def test_a_loop_that_waits_returns_when_another_thread_ends_the_connection(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    timer = threading.Timer(0.1, client.close)
    timer.start()
    begin = time.monotonic()
    assert client.loop(30) == MQTT_ERR_NO_CONN
    assert time.monotonic() - begin < 10
    timer.join()


def test_what_a_handler_left_behind_is_handled_by_the_next_loop_at_once(
    client: Client, scripted: ScriptedBroker
) -> None:
    seen: list[bytes] = []

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        seen.append(message.payload)
        if message.payload == b"1":
            raise KeyboardInterrupt

    client.on_message = handle
    client.connect("127.0.0.1", scripted.port)
    settle(client)
    scripted.send(MQTT311.publish("a", b"1") + MQTT311.publish("a", b"2"))
    with pytest.raises(KeyboardInterrupt):
        client.loop(10)
    begin = time.monotonic()
    client.loop(30)
    assert seen == [b"1", b"2"]
    assert time.monotonic() - begin < 10
