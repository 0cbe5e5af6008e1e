"""Before an attempt to connect: on_pre_connect, and settings that have changed."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from flask import current_app, g

from flask_mqtt import Client, Mqtt
from support.apps import make_app
from support.running import lose
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.packets import Connect, Packet

pytestmark = pytest.mark.usefixtures("short_delays")

HOST = "127.0.0.1"

NOT_ASKED = "handlers did not respond within"


def connects(broker: ScriptedBroker) -> list[Connect]:
    return [packet.connect for packet in broker.of("CONNECT") if packet.connect is not None]


def names(broker: ScriptedBroker) -> list[str | None]:
    return [connect.username for connect in connects(broker)]


def number_attempts(client: Client) -> list[str]:
    """Have each attempt use its number as the user name, and return the threads that asked."""
    threads: list[str] = []

    def before(caller: Client, _userdata: Any) -> None:
        assert caller is client
        threads.append(threading.current_thread().name)
        caller.username_pw_set(str(len(threads)))

    client.on_pre_connect = before
    return threads


# -- on_pre_connect -------------------------------------------------------------------------------


def test_what_it_sets_holds_for_the_attempt_that_follows(
    client: Client, scripted: ScriptedBroker
) -> None:
    threads = number_attempts(client)
    client.connect(HOST, scripted.port)
    client.loop_start()
    for attempt in (2, 3):
        lose(scripted, client)
        scripted.wait_for("CONNECT", attempt)
    wait_until(client.is_connected)
    client.reconnect()
    scripted.wait_for("CONNECT", 4)
    assert names(scripted) == ["1", "2", "3", "4"]
    here = threading.current_thread().name
    assert threads == [here, "mqtt-dispatch", "mqtt-dispatch", here]


def test_the_first_attempt_of_connect_async_is_on_the_thread_of_the_handlers(
    client: Client, scripted: ScriptedBroker
) -> None:
    threads = number_attempts(client)
    client.connect_async(HOST, scripted.port)
    assert threads == []
    client.loop_start()
    scripted.wait_for("CONNECT")
    assert names(scripted) == ["1"]
    assert threads == ["mqtt-dispatch"]


def test_one_that_fails_is_logged_and_the_attempt_is_made(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(_client: Client, _userdata: Any) -> None:
        raise RuntimeError("no password today")

    client.on_pre_connect = failing
    client.connect(HOST, scripted.port)
    client.loop_start()
    lose(scripted, client)
    scripted.wait_for("CONNECT", 2)
    records = [item for item in caplog.records if "failing failed" in item.getMessage()]
    assert len(records) == 2
    assert "no password today" in caplog.text


def test_it_runs_in_an_application_context_with_the_user_data(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, reconnect_delay_min=0.05)
    seen: list[tuple[str, Any]] = []
    mqtt = Mqtt()
    mqtt.client.user_data_set("mine")
    mqtt.client.on_pre_connect = lambda _client, userdata: seen.append((current_app.name, userdata))
    mqtt.init_app(app)
    with mqtt:
        lose(scripted, mqtt.client)
        wait_until(lambda: len(seen) == 2)
    assert seen == [("tests", "mine")] * 2


def test_a_handler_that_connects_keeps_its_own_context(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    after: list[str] = []
    with Mqtt(app) as mqtt:

        def on_pre_connect(_client: Client, _userdata: Any) -> None:
            # Something on `g` ends the context of a handler.
            g.seen = True

        def on_message(caller: Client, _userdata: Any, _message: Any) -> None:
            caller.reconnect()
            after.append(current_app.name)

        mqtt.client.on_pre_connect = on_pre_connect
        mqtt.client.on_message = on_message
        wait_until(lambda: mqtt.connected)
        scripted.publish("t", b"x")
        wait_until(lambda: after)
    assert after == ["tests"]


def test_without_one_any_more_nobody_is_asked(client: Client, scripted: ScriptedBroker) -> None:
    threads = number_attempts(client)
    client.connect(HOST, scripted.port)
    client.loop_start()
    client.on_pre_connect = None
    for attempt in (2, 3):
        lose(scripted, client)
        scripted.wait_for("CONNECT", attempt)
    assert names(scripted) == ["1", "1", "1"]
    assert len(threads) == 1


# -- changed settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (lambda client: client.username_pw_set("bob", "x"), lambda made: made.username == "bob"),
        (lambda client: client.will_set("w", "gone"), lambda made: made.will[0] == "w"),
        (lambda client: client.configure(keepalive=7), lambda made: made.keepalive == 7),
    ],
    ids=["username_pw_set", "will_set", "configure"],
)
def test_what_a_handler_changes_holds_for_the_next_automatic_attempt(
    client: Client,
    scripted: ScriptedBroker,
    change: Callable[[Client], None],
    changed: Callable[[Connect], bool],
) -> None:
    has_changed = threading.Semaphore(0)

    def on_disconnect(*_: Any) -> None:
        change(client)
        has_changed.release()

    client.on_disconnect = on_disconnect
    client.connect(HOST, scripted.port)
    client.loop_start()
    for attempt in (2, 3):
        wait_until(client.is_connected)
        # An attempt does not wait for this handler.
        scripted.stop_listening()
        scripted.drop()
        assert has_changed.acquire(timeout=10)
        scripted.listen()
        scripted.wait_for("CONNECT", attempt)
    _, *later = connects(scripted)
    assert len(later) == 2
    assert all(changed(connect) for connect in later)


def test_a_token_that_was_refused_is_replaced_by_the_handler(
    client: Client, scripted: ScriptedBroker
) -> None:
    def refuse(broker: ScriptedBroker, packet: Packet) -> bool:
        # The next attempt does not wait for the handler.
        if packet.kind == "CONNECT" and packet.connection == 1:
            broker.stop_listening()
        return False

    def on_connect(caller: Client, _userdata: Any, _flags: Any, rc: int) -> None:
        if rc:
            caller.username_pw_set("me", "new")
            scripted.listen()

    scripted.connack = [5, 0]
    scripted.hook = refuse

    client.on_connect = on_connect
    client.username_pw_set("me", "old")
    client.connect(HOST, scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    assert [connect.password for connect in connects(scripted)] == [b"old", b"new"]


def test_another_broker_is_where_the_next_attempt_goes(
    client: Client, scripted: ScriptedBroker
) -> None:
    with ScriptedBroker() as other:
        client.connect(HOST, scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.configure(broker_port=other.port)
        scripted.drop()
        other.wait_for("CONNECT")
    assert scripted.connections == 1


def test_settings_that_contradict_each_other_are_logged_and_those_before_hold(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client.username_pw_set("ann")
    client.connect(HOST, scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    client.username_pw_set("bob")
    client.configure(tls_enabled=True, tls_keyfile="client.key")
    lose(scripted, client)
    scripted.wait_for("CONNECT", 2)
    wait_until(client.is_connected)
    assert names(scripted) == ["ann", "ann"]
    # It is told when the attempt has its answer, so it may come after the CONNECT.
    refused = "The new settings are invalid; keeping the previous ones"
    wait_until(lambda: "tls_certfile is not" in caplog.text)
    assert refused in caplog.messages

    client.configure(tls_enabled=False, tls_keyfile=None)
    lose(scripted, client)
    scripted.wait_for("CONNECT", 3)
    assert names(scripted)[2] == "bob"


def test_what_was_set_before_connect_needs_no_question(
    client: Client, scripted: ScriptedBroker
) -> None:
    # Nobody would answer: no thread calls handlers.
    client.username_pw_set("ann")
    client.configure(connection_timeout=30)
    client.connect(HOST, scripted.port)
    lose(scripted, client)
    scripted.wait_for("CONNECT", 2)
    assert names(scripted) == ["ann", "ann"]


def test_a_disconnect_and_another_connect_leave_nothing_to_ask(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.configure(connection_timeout=30)
    client.connect(HOST, scripted.port)
    client.username_pw_set("bob")
    client.disconnect()
    client.reconnect()
    lose(scripted, client)
    scripted.wait_for("CONNECT", 3)
    assert names(scripted) == [None, "bob", "bob"]


# -- nobody answers -------------------------------------------------------------------------------


def test_where_no_thread_calls_handlers_the_settings_before_hold_after_a_while(
    client: Client, scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client.configure(connection_timeout=0.2)
    client.connect(HOST, scripted.port)
    wait_until(client.is_connected)
    client.username_pw_set("bob")
    lose(scripted, client)
    scripted.wait_for("CONNECT", 2)
    wait_until(client.is_connected)
    # The question is still open, so the answer comes as soon as somebody gives one.
    client.loop_start()
    wait_until(lambda: any(text.startswith(NOT_ASKED) for text in caplog.messages))
    lose(scripted, client)
    scripted.wait_for("CONNECT", 3)
    assert names(scripted) == [None, None, "bob"]
    assert sum(text.startswith(NOT_ASKED) for text in caplog.messages) == 1


def test_a_handler_that_blocks_holds_up_an_attempt_no_longer_than_the_timeout(
    client: Client, scripted: ScriptedBroker
) -> None:
    go_on, blocked = threading.Event(), threading.Event()

    def blocking(*_: Any) -> None:
        blocked.set()
        assert go_on.wait(10)

    client.configure(connection_timeout=0.2)
    threads = number_attempts(client)
    client.on_disconnect = blocking
    client.connect(HOST, scripted.port)
    client.loop_start()
    lose(scripted, client)
    assert blocked.wait(20)
    scripted.wait_for("CONNECT", 2)
    assert names(scripted) == ["1", "1"]
    go_on.set()
    # What was asked late is answered late, for the attempt after it.
    wait_until(lambda: len(threads) == 2)
    lose(scripted, client)
    scripted.wait_for("CONNECT", 3)
    assert names(scripted)[2] in ("2", "3")


def test_a_disconnect_does_not_wait_for_the_answer(
    client: Client, scripted: ScriptedBroker
) -> None:
    asked = threading.Event()
    client.configure(connection_timeout=30)
    client.connect(HOST, scripted.port)
    client.on_pre_connect = lambda *_: asked.set()
    lose(scripted, client)
    scripted.wait_closed()
    wait_until(client._parts.holder.core.is_asking)
    began = time.monotonic()
    client.disconnect()
    assert time.monotonic() - began < 2
    # The question is there all the same, but not for anybody any more.
    client.loop_start()
    client.loop_stop()
    assert not asked.is_set()
    assert scripted.connections == 1


# -- green threads --------------------------------------------------------------------------------

GREEN = """
    app.config["MQTT_RECONNECT_DELAY_MIN"] = 0.05
    mqtt, calls, connected = Mqtt(), [], []

    def before(client, userdata):
        time.sleep(0.01)  # other green threads have their turn meanwhile
        calls.append(1)
        client.username_pw_set(str(len(calls)))

    mqtt.client.on_pre_connect = before
    mqtt.on_connect()(lambda *_: connected.append(say("connected")))
    mqtt.init_app(app)
    until(lambda: len(connected) == 3)
    mqtt.close()
"""
PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}


@pytest.mark.slow
@pytest.mark.parametrize("library", PATCHES)
def test_green_threads_are_asked_too(scripted: ScriptedBroker, library: str) -> None:
    with running(f"    {PATCHES[library]}\n{GREEN}", scripted.port) as script:
        for _ in range(2):
            script.expect("connected")
            scripted.drop()
        script.expect("connected")
        assert script.finish() == 0
    assert names(scripted) == ["1", "2", "3"]
