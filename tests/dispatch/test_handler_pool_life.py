"""Several handler threads: how they start, end and begin again; which kind of threads they are."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_INVAL, MQTT_ERR_SUCCESS, Client, Mqtt
from support.apps import make_app
from support.pool import Gate, handler_threads, mids, pool_of
from support.running import closing, connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker


@pytest.fixture
def mqtt(scripted: ScriptedBroker) -> Iterator[Mqtt]:
    with connected(make_app(scripted.port, handler_threads=4)) as mqtt:
        yield mqtt


def test_what_was_not_handled_waits_for_the_next_start_in_order(
    scripted: ScriptedBroker, gate: Gate
) -> None:
    with closing(Client()) as client:
        client.configure(handler_threads=2)
        client.on_message = gate.handle
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        topics = ["shut/1", "shut/2", "shut/1", "a", "shut/2", "b", "a"]
        for number, topic in enumerate(topics):
            scripted.publish(topic, b"%d" % number, qos=1)
        pool = pool_of(client)
        wait_until(lambda: len(gate.entered) == 2 and pool._waiting == 5)

        def open_when_it_is_closed() -> None:
            wait_until(lambda: pool._is_closed)
            gate.open("shut/1")
            gate.open("shut/2")

        opening = threading.Thread(target=open_when_it_is_closed)
        opening.start()
        assert client.loop_stop() == MQTT_ERR_SUCCESS
        opening.join()
        assert handler_threads() == []
        assert {payload for _, payload in gate.seen} == {b"0", b"1"}
        scripted.wait_for("PUBACK", 2)
        client.configure(handler_threads=1)
        client.loop_start()
        scripted.wait_for("PUBACK", 7)
        assert [payload for _, payload in gate.seen[2:]] == [b"2", b"3", b"4", b"5", b"6"]
        assert mids(scripted) == [1, 2, 3, 4, 5, 6, 7]


def test_the_next_start_waits_for_the_handler_that_still_runs(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_mqtt.client.loops.STOP_TIMEOUT", 0.1)
    mqtt.on_message()(gate.handle)
    scripted.publish("shut", qos=1)
    scripted.publish("shut", qos=1)
    wait_until(lambda: gate.entered)
    mqtt.client.loop_stop()
    blocked = [name for name in handler_threads() if name != "mqtt-dispatch"]
    assert len(blocked) == 1
    for _ in range(3):
        # However often: no thread is left but the one whose handler runs, and the last one.
        assert mqtt.client.loop_start() == MQTT_ERR_SUCCESS
        assert handler_threads() == ["mqtt-dispatch", *blocked]
        mqtt.client.loop_stop()
        assert handler_threads() == blocked
    mqtt.client.loop_start()
    scripted.publish("a", qos=1)
    mqtt.publish("marker")
    scripted.wait_for("PUBLISH")
    assert gate.entered == ["shut"]
    gate.open("shut")
    scripted.wait_for("PUBACK", 3)
    assert mids(scripted) == [1, 2, 3]


@pytest.mark.parametrize("end", ["disconnect", "close", "loop_stop"])
def test_a_handler_may_end_what_it_runs_in(scripted: ScriptedBroker, mqtt: Mqtt, end: str) -> None:
    seconds: list[float] = []

    @mqtt.on_message()
    def handle(client: Client, _userdata: Any, _message: Any) -> None:
        began = time.monotonic()
        getattr(mqtt if end == "close" else client, end)()
        seconds.append(time.monotonic() - began)

    scripted.publish("t")
    wait_until(lambda: seconds)
    assert seconds[0] < 2
    if end != "disconnect":
        wait_until(lambda: handler_threads() == [])
    mqtt.close()
    assert handler_threads() == []
    scripted.wait_for("DISCONNECT")


def test_a_handler_may_start_the_threads_again(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[bytes] = []
    codes: list[int] = []

    @mqtt.on_message()
    def handle(client: Client, _userdata: Any, message: Any) -> None:
        seen.append(message.payload)
        if message.payload == b"0":
            codes.extend((client.loop_start(), client.loop(0), client.loop_stop()))
            client.configure(handler_threads=2)
            codes.append(client.loop_start())

    for number in range(20):
        scripted.publish("t", b"%d" % number, qos=1)
    scripted.wait_for("PUBACK", 20)
    assert seen == [b"%d" % number for number in range(20)]
    assert codes == [MQTT_ERR_INVAL, MQTT_ERR_INVAL, MQTT_ERR_SUCCESS, MQTT_ERR_SUCCESS]
    # Those before have nothing more to do, and end.
    names = ["mqtt-dispatch", "mqtt-handler-1", "mqtt-handler-2"]
    wait_until(lambda: handler_threads() == names)


def test_in_loop_everything_is_handled_in_the_thread_that_calls_it(
    scripted: ScriptedBroker,
) -> None:
    names: list[str] = []
    with closing(Client()) as client:
        client.configure(handler_threads=4)
        client.on_message = lambda *_: names.append(threading.current_thread().name)
        client.connect("127.0.0.1", scripted.port)
        while not client.is_connected():
            client.loop(0.1)
        scripted.publish("a", qos=1)
        while not names:
            client.loop(0.1)
    assert names == ["MainThread"]


def test_a_limit_on_threads_is_told_and_those_that_there_are_do_the_work(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Root may have any number of threads, so the limit is made up.
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if thread.name == "mqtt-handler-3":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with connected(make_app(scripted.port, handler_threads=4)) as mqtt:
        seen: list[str] = []
        mqtt.on_message()(lambda *_: seen.append(threading.current_thread().name))
        for number in range(10):
            scripted.publish(f"{number}", qos=1)
        scripted.wait_for("PUBACK", 10)
        assert handler_threads() == ["mqtt-dispatch", "mqtt-handler-1", "mqtt-handler-2"]
    assert "Only 2 of 4 handler threads: can't start new thread" in caplog.text
    assert len(seen) == 10


PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
}


GREEN = """
    from support.pool import handler_threads

    app.config["MQTT_HANDLER_THREADS"] = 3
    mqtt, running, most, seen, names = Mqtt(), [], [], [], set()
    native = threading.get_native_id()
    blocked = threading.Event()

    @mqtt.on_message()
    def handle(client, userdata, message):
        assert threading.get_native_id() == native
        names.add(threading.current_thread().name)
        running.append(message.topic)
        most.append(len(running))
        assert len(running) == len(set(running))
        if message.topic == "blocked":
            blocked.wait()
        time.sleep(0.01)  # slow on purpose: several run at once
        running.remove(message.topic)
        seen.append(message.payload)

    mqtt.init_app(app)
    until(lambda: mqtt.connected)
    say("connected")
    until(lambda: len(seen) == 300)
    say(max(most), sorted(names))
    numbers = [[int(payload) for payload in seen if int(payload) % 4 == k] for k in range(4)]
    say(all(each == sorted(each) for each in numbers), running)
    blocked.set()
    until(lambda: len(seen) == 301)
    mqtt.close()
    say(handler_threads())
    end()
"""


@pytest.mark.slow
@pytest.mark.parametrize("library", PATCHES)
def test_green_threads_handle_messages_beside_each_other(
    scripted: ScriptedBroker, library: str
) -> None:
    with running(f"    {PATCHES[library]}\n{GREEN}", scripted.port) as script:
        script.expect("connected")
        scripted.publish("blocked", b"1000", qos=1)
        for number in range(300):
            scripted.publish(f"t/{number % 4}", b"%d" % number, qos=1)
        script.expect("3 ['mqtt-handler-1', 'mqtt-handler-2', 'mqtt-handler-3']")
        script.expect("True ['blocked']")
        script.expect("[]")
        assert script.seconds_to_exit() < 5
    scripted.wait_for("DISCONNECT")
    assert mids(scripted) == list(range(1, 302))
