"""close(): what it says to the broker and to the application, and what it leaves behind."""

from __future__ import annotations

import gc
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Mqtt
from support.apps import make_app
from support.running import connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto


@pytest.mark.smoke
def test_close_sends_disconnect_and_calls_on_disconnect_with_0(scripted: ScriptedBroker) -> None:
    ended: list[tuple[int, bool]] = []
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_disconnect()(lambda _client, _userdata, rc: ended.append((rc, mqtt.connected)))
        mqtt.close()
        assert ended == [(0, False)]
        assert not mqtt.connected
        scripted.wait_for("DISCONNECT")
    assert ended == [(0, False)]
    assert [packet.kind for packet in scripted.packets] == ["CONNECT", "DISCONNECT"]


def test_closing_twice_or_before_connecting_is_harmless(scripted: ScriptedBroker) -> None:
    Mqtt().close()
    mqtt = Mqtt(make_app(scripted.port))
    mqtt.close()
    mqtt.close()
    scripted.wait_closed()


def test_the_context_manager_closes_after_an_exception_too(scripted: ScriptedBroker) -> None:
    with pytest.raises(RuntimeError), connected(make_app(scripted.port)):
        raise RuntimeError
    scripted.wait_for("DISCONNECT")


def test_a_handler_may_close_its_client(scripted: ScriptedBroker) -> None:
    closed = threading.Event()
    with connected(make_app(scripted.port)) as mqtt:

        @mqtt.on_message()
        def handler(*_: Any) -> None:
            mqtt.close()
            closed.set()

        thread = mqtt.client._parts.dispatcher.thread
        assert thread is not None
        scripted.publish("t")
        assert closed.wait(20)
        scripted.wait_for("DISCONNECT")
        wait_until(lambda: not thread.is_alive())
        assert not mqtt.connected


def test_two_threads_may_close_at_the_same_time(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        threads = [threading.Thread(target=mqtt.close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
    scripted.wait_for("DISCONNECT")
    assert len(scripted.of("DISCONNECT")) == 1


def test_a_closed_client_says_that_there_is_no_connection(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.subscribe("t")
        mqtt.close()
        assert mqtt.publish("t")[0] == MQTT_ERR_NO_CONN
        assert mqtt.subscribe("u") == (MQTT_ERR_NO_CONN, None)
        assert list(mqtt.topics) == ["t", "u"]


def test_a_closed_client_can_be_initialised_again(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    seen: list[bytes] = []
    with connected(app) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
        mqtt.subscribe("t")
        mqtt.close()
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        scripted.wait_for(lambda packet: packet.kind == "SUBSCRIBE" and packet.connection == 2)
        scripted.publish("t", b"again")
        wait_until(lambda: seen)
    assert seen == [b"again"]


def leftovers() -> tuple[int, int, set[str]]:
    """Return the numbers of threads and of descriptors, and the names of Python's threads."""
    gc.collect()
    names = {thread.name for thread in threading.enumerate()}
    tasks, descriptors = (len(list(Path("/proc/self", name).iterdir())) for name in ("task", "fd"))
    return tasks, descriptors, names


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts in Linux's /proc")
def test_fifty_clients_leave_no_thread_and_no_descriptor_behind(broker: Mosquitto) -> None:
    app = make_app(broker.port)
    with connected(app):
        pass
    before = leftovers()
    for _ in range(50):
        with connected(app) as mqtt:
            mqtt.publish("closing/t", "x", 1)
    del mqtt
    wait_until(lambda: leftovers() == before, what=f"{before} again, not {leftovers()}")


@pytest.mark.smoke
def test_what_was_published_before_close_reaches_the_broker(scripted: ScriptedBroker) -> None:
    # More than the window of 20, and before the broker has answered the CONNECT.
    with Mqtt(make_app(scripted.port)) as mqtt:
        for number in range(50):
            assert mqtt.publish("t", str(number), qos=1)[0] == 0
    scripted.wait_for("DISCONNECT")
    payloads = [packet.payload for packet in scripted.of("PUBLISH")]
    assert payloads == [str(number).encode() for number in range(50)]
    assert scripted.packets[-1].kind == "DISCONNECT"


def test_a_broker_that_confirms_nothing_holds_up_close_for_a_bounded_time() -> None:
    with ScriptedBroker(withhold={"PUBACK"}) as broker:
        with Mqtt(make_app(broker.port)) as mqtt:
            assert mqtt.publish("t", "x", qos=1)[0] == 0
        broker.wait_for("DISCONNECT")
        assert [packet.kind for packet in broker.packets] == ["CONNECT", "PUBLISH", "DISCONNECT"]


@pytest.mark.parametrize("name", ["on_log", "on_disconnect"])
def test_a_handler_that_ends_the_program_keeps_no_connection_open(
    name: str, scripted: ScriptedBroker
) -> None:
    """What is called in the thread that closes gives it what ends a program."""

    def end(*_: Any) -> None:
        raise SystemExit(3)

    mqtt = Mqtt(make_app(scripted.port), mqtt_logging=True)
    wait_until(lambda: mqtt.connected)
    mqtt.client.loop_stop()
    setattr(mqtt.client, name, end)
    with pytest.raises(SystemExit):
        mqtt.close()
    scripted.wait_for("DISCONNECT")
    scripted.wait_closed()
    assert not mqtt.client.is_connected()
