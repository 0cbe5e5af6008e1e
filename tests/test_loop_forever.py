"""`loop_forever`: handlers are called in the caller's own thread, until the connection ends."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, Client
from support.running import closing
from support.script import running
from support.scripted import ScriptedBroker, closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(client_id="loop")) as client:
        yield client


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
    assert connected.wait(5)
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
                time.sleep(30)
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
                time.sleep(0.001)
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
