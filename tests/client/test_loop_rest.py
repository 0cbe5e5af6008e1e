"""The thread of `loop_start` ends with the connection, and the next one starts it again."""

from __future__ import annotations

import gc
import threading
import weakref
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt
from support.apps import make_app
from support.pool import handler_threads
from support.running import closing, connected, subscribe
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def wait_for_rest() -> None:
    wait_until(lambda: not handler_threads(), what="the threads have ended")


def has(items: list[Any], count: int) -> bool:
    return len(items) == count


def received(mqtt: Mqtt) -> int:
    counts = mqtt.stats()["received"]["messages"]
    return counts["qos0"] + counts["qos1"] + counts["qos2"]


# -- what is left ---------------------------------------------------------------------------------


def held() -> tuple[int, int, int]:
    """Return the numbers of threads, of the system's threads, and of descriptors."""
    gc.collect()
    tasks, descriptors = (len(list(Path("/proc/self", kind).iterdir())) for kind in ("task", "fd"))
    return threading.active_count(), tasks, descriptors


@pytest.mark.slow
def test_a_hundred_clients_that_disconnect_leave_nothing(broker: Mosquitto) -> None:
    before = held()
    clients: list[weakref.ref[Client]] = []
    ended: list[int] = []
    for number in range(100):
        # Some ends come before the CONNACK.
        mqtt = Mqtt(make_app(broker.port), connect_async=number % 3 == 1)
        mqtt.on_disconnect()(lambda: ended.append(1))
        if number % 3 == 0:
            wait_until(mqtt.client.is_connected)
        clients.append(weakref.ref(mqtt.client))
        mqtt.client.disconnect()
        del mqtt
    # What tests before this one have left may end meanwhile.
    wait_until(lambda: all(now <= then for now, then in zip(held(), before, strict=True)), 20)
    gc.collect()
    assert [client for client in clients if client() is not None] == []
    assert len(ended) >= 34


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("end", ["close", "disconnect", "end by itself"])
def test_every_end_of_the_connection_ends_the_threads(
    scripted: ScriptedBroker, threads: int, end: str
) -> None:
    app = make_app(scripted.port, handler_threads=threads, reconnect_on_failure="by" not in end)
    mqtt = Mqtt(app)
    wait_until(lambda: mqtt.connected)
    if end == "end by itself":
        scripted.drop()
    else:
        getattr(mqtt.client, end)()
    wait_for_rest()
    mqtt.close()


# -- what still happens ---------------------------------------------------------------------------


def test_on_disconnect_comes_first(mqtt: Mqtt) -> None:
    ends: list[str] = []

    @mqtt.on_disconnect()
    def handler() -> None:
        ends.append(threading.current_thread().name)

    mqtt.client.disconnect()
    wait_for_rest()
    assert ends == ["mqtt-dispatch"]


@pytest.mark.parametrize("threads", [1, 3])
def test_all_messages_are_handled_first(scripted: ScriptedBroker, threads: int) -> None:
    app = make_app(scripted.port, handler_threads=threads)
    handled: list[bytes] = []
    gate = threading.Event()

    def handler(_client: Client, _userdata: Any, message: Any) -> None:
        gate.wait(5)
        handled.append(message.payload)

    with connected(app) as mqtt:
        mqtt.on_message()(handler)
        for number in range(50):
            scripted.publish(f"t/{number % 5}", b"%d" % number)
        wait_until(lambda: received(mqtt) == 50)
        mqtt.client.disconnect()
        wait_until(lambda: not mqtt.client._parts.holder.core.is_running())
        gate.set()
        wait_until(lambda: len(handled) == 50)
        wait_for_rest()


@pytest.mark.parametrize("threads", [1, 3])
def test_the_next_connection_delivers_without_another_loop_start(
    scripted: ScriptedBroker, threads: int
) -> None:
    seen: list[bytes] = []
    accepted: list[int] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.on_connect()(lambda *_: accepted.append(1))
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
        calls: tuple[Callable[[], Any], ...] = (
            mqtt.client.reconnect,
            lambda: mqtt.client.connect("127.0.0.1", scripted.port),
            lambda: mqtt.client.connect_async("127.0.0.1", scripted.port),
            mqtt._connect,
        )
        for number, connect in enumerate(calls * 3):
            mqtt.client.disconnect()
            if number % 2:
                wait_for_rest()
            connect()
            wait_until(partial(has, accepted, number + 2))
            scripted.publish("t", b"%d" % number)
            wait_until(partial(seen.__contains__, b"%d" % number))
    assert seen == [b"%d" % number for number in range(12)]


def test_on_disconnect_may_connect_again(mqtt: Mqtt, scripted: ScriptedBroker) -> None:
    mqtt.on_disconnect()(lambda client, _userdata, _rc: client.reconnect())
    mqtt.client.disconnect()
    scripted.wait_for("CONNECT", 2)
    wait_until(lambda: mqtt.connected)
    mqtt.on_disconnect()(lambda: None)


def test_messages_that_had_no_handler_wait_for_one(mqtt: Mqtt, scripted: ScriptedBroker) -> None:
    seen: list[bytes] = []
    scripted.publish("t", b"kept")
    wait_until(lambda: received(mqtt) == 1)
    mqtt.client.disconnect()
    wait_for_rest()
    mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
    wait_until(lambda: seen == [b"kept"])
    wait_for_rest()


def test_the_loops_are_free_meanwhile(mqtt: Mqtt, scripted: ScriptedBroker) -> None:
    client = mqtt.client
    client.disconnect()
    wait_for_rest()
    assert client.loop_start() == MQTT_ERR_SUCCESS
    wait_for_rest()
    assert client.loop_stop() == MQTT_ERR_SUCCESS
    client.reconnect()
    # Nobody calls handlers now.
    seen: list[int] = []
    mqtt.on_connect()(lambda *_: seen.append(1))
    scripted.wait_for("CONNECT", 2)
    wait_until(client.is_connected)
    assert not seen
    client.loop(1)
    wait_until(lambda: seen)


def test_a_thread_before_the_first_connection_waits_for_it(scripted: ScriptedBroker) -> None:
    seen = threading.Event()
    with closing(Client()) as client:
        client.on_connect = lambda *_: seen.set()
        client.loop_start()
        assert handler_threads() == ["mqtt-dispatch"]
        client.connect("127.0.0.1", scripted.port)
        assert seen.wait(20)


def test_many_connections_in_a_row_lose_nothing(broker: Mosquitto) -> None:
    seen: list[bytes] = []
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
        subscribe(mqtt, "rest/t", 1)
        for number in range(50):
            mqtt.client.disconnect()
            mqtt.client.reconnect()
            wait_until(lambda: mqtt.connected)
            mqtt.publish("rest/t", b"%d" % number, 1)
            wait_until(partial(seen.__contains__, b"%d" % number))
    assert sorted(set(seen), key=int) == [b"%d" % number for number in range(50)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "patch",
    ["import eventlet; eventlet.monkey_patch()", "import gevent.monkey; gevent.monkey.patch_all()"],
    ids=["eventlet", "gevent"],
)
def test_green_threads_end_and_begin_in_the_same_way(scripted: ScriptedBroker, patch: str) -> None:
    code = f"""
        {patch}
        import gc, weakref
        got = []
        def dispatchers():
            return [t for t in threading.enumerate() if t.name == "mqtt-dispatch"]
        mqtt = Mqtt(app)
        mqtt.on_message()(lambda *_: got.append(1))
        for number in range(1, 4):
            until(lambda: mqtt.connected)
            say("connected")
            until(lambda: len(got) == number)
            mqtt.client.disconnect()
            until(lambda: not mqtt.client._parts.dispatcher.working)
            mqtt.client.reconnect()
        until(lambda: mqtt.connected)
        mqtt.client.disconnect()
        until(lambda: not mqtt.client._parts.dispatcher.working)
        reference = weakref.ref(mqtt.client)
        app.extensions.clear()
        del mqtt
        def collected():
            gc.collect()
            return reference() is None
        until(collected)
        say("collected")
    """
    with running(code, scripted.port) as script:
        for _ in range(3):
            script.expect("connected")
            scripted.publish("a")
        script.expect("collected")
        assert script.finish() == 0, script.errors
