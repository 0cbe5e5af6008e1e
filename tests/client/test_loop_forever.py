"""`loop_forever`: handlers are called in the caller's own thread, until the connection ends."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, Client
from support.apps import make_app
from support.ports import closed_port
from support.running import connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until


def test_loop_forever_connects_and_ends_with_disconnect_in_a_handler(
    client: Client, scripted: ScriptedBroker
) -> None:
    ends: list[int] = []
    client.on_message = lambda client, _userdata, _message: client.disconnect()
    client.on_disconnect = lambda _client, _userdata, rc: ends.append(rc)
    client.on_connect = lambda *_: scripted.publish("a", b"x")
    client.connect_async("127.0.0.1", scripted.port)
    begin = time.monotonic()
    assert client.loop_forever(timeout=30) == MQTT_ERR_NO_CONN
    assert time.monotonic() - begin < 10
    assert ends == [0]
    scripted.wait_for("DISCONNECT")
    # There is nothing to wait for any more.
    assert client.loop_forever() == MQTT_ERR_NO_CONN


def test_loop_forever_ends_when_another_thread_disconnects(
    client: Client, scripted: ScriptedBroker
) -> None:
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    client.connect("127.0.0.1", scripted.port)
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(client.loop_forever(timeout=30)))
    thread.start()
    assert connected.wait(20)
    # It is no thread of the client's.
    assert client.loop_stop() == MQTT_ERR_INVAL
    assert client.loop_start() == MQTT_ERR_INVAL
    client.disconnect()
    thread.join(10)
    assert result == [MQTT_ERR_NO_CONN]


def test_loop_forever_goes_on_after_a_lost_connection(
    client: Client, scripted: ScriptedBroker
) -> None:
    connected: list[int] = []

    def on_connect(client: Client, _userdata: Any, _flags: Any, rc: int) -> None:
        connected.append(rc)
        if len(connected) == 1:
            scripted.drop()
        else:
            client.disconnect()

    client.on_connect = on_connect
    client.connect("127.0.0.1", scripted.port)
    assert client.loop_forever() == MQTT_ERR_NO_CONN
    assert connected == [0, 0]


def test_loop_forever_raises_what_the_first_attempt_failed_with(client: Client) -> None:
    failed: list[threading.Thread] = []
    client.on_connect_fail = lambda *_: failed.append(threading.current_thread())
    client.connect_async("127.0.0.1", closed_port())
    with pytest.raises(ConnectionRefusedError):
        client.loop_forever()
    assert failed == [threading.main_thread()]


def test_loop_forever_tries_again_where_it_is_told_to(client: Client) -> None:
    connected: list[int] = []

    def on_connect(client: Client, _userdata: Any, _flags: Any, rc: int) -> None:
        connected.append(rc)
        client.disconnect()

    client.on_connect = on_connect
    port = closed_port()
    client.connect_async("127.0.0.1", port)
    with ScriptedBroker(port=port) as broker:
        broker.stop_listening()
        timer = threading.Timer(0.3, broker.listen)
        timer.start()
        assert client.loop_forever(retry_first_connection=True) == MQTT_ERR_NO_CONN
        timer.join()
    assert connected == [0]


def test_loop_forever_needs_a_host(client: Client) -> None:
    with pytest.raises(ValueError, match="call connect"):
        client.loop_forever()


@pytest.mark.slow
@pytest.mark.parametrize(
    "loop", ["client.loop_forever(30)", "while True: client.loop(30)"], ids=["forever", "loop"]
)
@pytest.mark.parametrize("where", ["waiting", "in a handler"])
def test_ctrl_c_ends_a_console_program(scripted: ScriptedBroker, loop: str, where: str) -> None:
    code = f"""
        client = flask_mqtt.Client(client_id="console")
        def on_message(client, userdata, message):
            say("message")
            if {where == "in a handler"}:
                time.sleep(30)  # until Ctrl-C
        client.on_message = on_message
        client.on_connect = lambda *_: say("connected")
        client.connect("127.0.0.1", int(sys.argv[1]))
        try:
            {loop}
        except KeyboardInterrupt:
            say("interrupted")
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.publish("a", b"x")
        script.expect("message")
        script.process.send_signal(signal.SIGINT)
        script.expect("interrupted")
        assert script.seconds_to_exit() < 5
    assert not script.errors
    scripted.wait_for("DISCONNECT")


def test_loop_forever_ends_with_the_connection_where_no_other_is_wanted(
    scripted: ScriptedBroker,
) -> None:
    ends: list[int] = []
    client = Client(reconnect_on_failure=False)
    client.on_connect = lambda *_: scripted.drop()
    client.on_disconnect = lambda _client, _userdata, rc: ends.append(rc)
    client.connect("127.0.0.1", scripted.port)
    begin = time.monotonic()
    assert client.loop_forever(timeout=30) == MQTT_ERR_CONN_LOST
    assert time.monotonic() - begin < 10
    assert ends == [MQTT_ERR_CONN_LOST]
    assert scripted.connections == 1
    # paho's programs connect again then.
    client.on_connect = lambda client, *_: client.disconnect()
    client.reconnect()
    assert client.loop_forever(timeout=30) == MQTT_ERR_NO_CONN


def test_handlers_before_and_after_an_attempt_run_in_loop_forever(client: Client) -> None:
    calls: list[tuple[str, threading.Thread]] = []

    def on_connect_fail(client: Client, _userdata: Any) -> None:
        calls.append(("failed", threading.current_thread()))
        if len(calls) > 3:
            client.disconnect()

    client.on_connect_fail = on_connect_fail
    client.on_pre_connect = lambda *_: calls.append(("before", threading.current_thread()))
    client.reconnect_delay_set(0.05, 0.1)
    client.connect_async("127.0.0.1", closed_port())
    assert client.loop_forever(retry_first_connection=True) == MQTT_ERR_NO_CONN
    assert [what for what, _ in calls] == ["before", "failed"] * 2
    assert {thread for _, thread in calls} == {threading.main_thread()}


# -- beside a loop that runs already ---------------------------------------------------------------


def in_thread(client: Client) -> tuple[threading.Thread, list[int]]:
    """Call loop_forever in a thread, and return that with where the result will be."""
    result: list[int] = []
    thread = threading.Thread(target=lambda: result.append(client.loop_forever()))
    thread.start()
    return thread, result


def test_beside_loop_start_it_waits_for_disconnect(
    client: Client, scripted: ScriptedBroker
) -> None:
    names: list[str] = []
    client.on_message = lambda *_: names.append(threading.current_thread().name)
    client.on_disconnect = lambda *_: names.append(threading.current_thread().name)
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    thread, result = in_thread(client)
    scripted.publish("a")
    wait_until(lambda: names)
    # A connection that is lost is made again meanwhile.
    scripted.drop()
    scripted.wait_for("CONNECT", 2)
    wait_until(client.is_connected)
    scripted.publish("a")
    wait_until(lambda: len(names) == 3)
    assert thread.is_alive()
    client.disconnect()
    thread.join(20)
    assert result == [MQTT_ERR_NO_CONN]
    assert names == ["mqtt-dispatch"] * 4


def test_beside_loop_start_it_returns_with_loop_stop_and_the_end_of_the_connection(
    client: Client, scripted: ScriptedBroker
) -> None:
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    thread, result = in_thread(client)
    wait_until(client.is_connected)
    client.loop_stop()
    thread.join(20)
    assert result == [MQTT_ERR_NO_CONN]
    client.configure(reconnect_on_failure=False)
    client.reconnect()
    client.loop_start()
    wait_until(client.is_connected)
    thread, result = in_thread(client)
    scripted.drop()
    thread.join(20)
    assert result == [MQTT_ERR_CONN_LOST]
    # There is nothing to wait for.
    assert client.loop_forever() == MQTT_ERR_NO_CONN


def test_beside_loop_start_it_waits_for_handlers_and_for_on_disconnect(
    client: Client, scripted: ScriptedBroker
) -> None:
    ends: list[str] = []

    def on_disconnect(*_: Any) -> None:
        # Slow on purpose: a loop_forever that does not wait ends before it.
        time.sleep(0.2)
        ends.append("on_disconnect")

    client.on_disconnect = on_disconnect
    client.on_message = lambda client, *_: client.disconnect()
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    scripted.publish("a")
    client.loop_forever()
    assert ends == ["on_disconnect"]


def test_beside_another_loop_forever_it_waits_too(client: Client, scripted: ScriptedBroker) -> None:
    client.connect("127.0.0.1", scripted.port)
    calls = [in_thread(client) for _ in range(3)]
    wait_until(client.is_connected)
    scripted.publish("a")
    assert all(thread.is_alive() for thread, _ in calls)
    client.disconnect()
    for thread, result in calls:
        thread.join(20)
        assert result == [MQTT_ERR_NO_CONN]


def test_in_a_handler_there_is_nothing_to_wait_for(
    client: Client, scripted: ScriptedBroker
) -> None:
    result: list[int] = []
    client.on_connect = lambda client, *_: result.append(client.loop_forever())
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(lambda: result)
    assert result == [MQTT_ERR_INVAL]


def test_an_application_with_a_loop_may_wait_for_it(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        thread, result = in_thread(mqtt.client)
        scripted.publish("a")
        assert thread.is_alive()
        mqtt.client.disconnect()
        thread.join(20)
        assert result == [MQTT_ERR_NO_CONN]


@pytest.mark.slow
def test_ctrl_c_ends_it_beside_loop_start(scripted: ScriptedBroker) -> None:
    code = """
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        try:
            say("connected")
            mqtt.client.loop_forever()
        except KeyboardInterrupt:
            say("interrupted")
        end()
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        script.process.send_signal(signal.SIGINT)
        script.expect("interrupted")
        assert script.seconds_to_exit() < 5
    assert not script.errors
    scripted.wait_for("DISCONNECT")


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    [
        "pass",
        "import eventlet; eventlet.monkey_patch()",
        "import gevent.monkey; gevent.monkey.patch_all()",
    ],
    ids=["threads", "eventlet", "gevent"],
)
def test_other_threads_run_while_loop_forever_waits(scripted: ScriptedBroker, patch: str) -> None:
    code = f"""
        {patch}
        ticks = []
        def tick():
            while True:
                ticks.append(1)
                time.sleep(0.001)  # so that others have their turn too
        def end_it(client):
            until(lambda: len(ticks) > 20)
            client.disconnect()
        threading.Thread(target=tick, daemon=True).start()
        client = flask_mqtt.Client()
        ending = threading.Thread(target=lambda: end_it(client))
        client.on_connect = lambda *_: ending.start()
        client.connect_async("127.0.0.1", int(sys.argv[1]))
        say("ended", int(client.loop_forever(30)))
    """
    with running(code, scripted.port) as script:
        script.expect("ended 4")
        assert script.finish() == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    ["import eventlet; eventlet.monkey_patch()", "import gevent.monkey; gevent.monkey.patch_all()"],
    ids=["eventlet", "gevent"],
)
def test_a_green_thread_waits_as_one_beside_loop_start(
    scripted: ScriptedBroker, patch: str
) -> None:
    code = f"""
        {patch}
        got = []
        mqtt = Mqtt(app)
        mqtt.on_message()(lambda *_: got.append(1))
        until(lambda: mqtt.connected)
        say("connected")
        def end_it():
            until(lambda: got)
            mqtt.client.disconnect()
        threading.Thread(target=end_it).start()
        say("ended", int(mqtt.client.loop_forever()))
    """
    with running(code, scripted.port) as script:
        script.expect("connected")
        scripted.publish("a")
        script.expect("ended 4")
        assert script.finish() == 0
