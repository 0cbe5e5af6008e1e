"""on_connect runs exactly once per connection, also where it is registered after Mqtt(app)."""

from __future__ import annotations

import functools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import make_app
from support.running import connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

STARTS = 200


def start_once(broker: Mosquitto, delay: float) -> int:
    """Start a client, register the handler after a delay and return how often it ran."""
    calls: list[int] = []
    subscribed = threading.Event()
    with Mqtt(make_app(broker.port)) as mqtt:
        # The SUBACK may come as soon as there is an on_connect.
        mqtt.on_subscribe()(lambda *_: subscribed.set())
        if delay:
            time.sleep(delay)  # the handler comes at all moments of the connecting

        @mqtt.on_connect()
        def connect(client: Any, userdata: Any, flags: dict[str, int], rc: int) -> None:
            calls.append(rc)
            mqtt.subscribe("started/t")

        # Events keep their order: a second call would be over when the answer of the broker to
        # this one has come.
        subscribed.wait(5)
        subscribed.clear()
        mqtt.subscribe("started/last")
        assert subscribed.wait(20)
    assert set(calls) <= {0}
    return len(calls)


@pytest.mark.slow
def test_it_runs_once_in_200_of_200_starts_registered_0_to_4_ms_after_mqtt(
    broker: Mosquitto,
) -> None:
    counts = [start_once(broker, number % 9 * 0.0005) for number in range(STARTS)]
    assert counts == [1] * STARTS


@pytest.mark.slow
def test_it_runs_once_in_20_of_20_processes(broker: Mosquitto) -> None:
    code = """
        mqtt = Mqtt(app)
        # The SUBACK may come as soon as there is an on_connect.
        mqtt.on_subscribe()(lambda *_: say("subscribed"))

        @mqtt.on_connect()
        def connect(client, userdata, flags, rc):
            say("on_connect", rc)
            mqtt.subscribe("started/process")

        sys.stdin.readline()
    """
    for _ in range(20):
        with running(code, broker.port) as script:
            script.expect("on_connect 0")
            script.expect("subscribed")
            script.go()
            script.expect("")
            assert script.finish() == 0


def has_length(items: list[int], count: int) -> bool:
    return len(items) == count


@pytest.mark.slow
def test_it_runs_once_after_each_reconnect(scripted: ScriptedBroker) -> None:
    calls: list[int] = []
    mqtt = Mqtt()
    mqtt.on_connect()(lambda _client, _userdata, _flags, rc: calls.append(rc))
    mqtt.init_app(make_app(scripted.port))
    with mqtt:
        for count in (1, 2):
            wait_until(functools.partial(has_length, calls, count))
            scripted.drop()
            scripted.wait_closed(count)
        wait_until(lambda: mqtt.connected and len(calls) == 3)
    assert calls == [0, 0, 0]


def test_it_runs_after_connected_is_true_and_the_topics_are_subscribed_to_again() -> None:
    def note_subscriptions(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind == "SUBSCRIBE":
            order.append("SUBSCRIBE")
        return False

    order: list[Any] = []
    with (
        ScriptedBroker(hook=note_subscriptions) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        mqtt.subscribe("t", 1)
        broker.wait_for("SUBSCRIBE")

        @mqtt.on_connect()
        def connect(client: Any, *_: Any) -> None:
            broker.wait_for("SUBSCRIBE", count=2 if broker.connections == 2 else 1)
            order.append(mqtt.connected)

        wait_until(lambda: order == ["SUBSCRIBE", True])
        broker.drop()
        wait_until(lambda: len(order) == 4)
    assert order == ["SUBSCRIBE", True, "SUBSCRIBE", True]
    assert [packet.filters for packet in broker.of("SUBSCRIBE")] == [(("t", 1),)] * 2


def test_a_connection_that_ended_before_the_handler_was_registered_is_not_reported(
    scripted: ScriptedBroker,
) -> None:
    calls: list[int] = []
    with connected(make_app(scripted.port)) as mqtt:
        scripted.stop_listening()
        scripted.drop()
        wait_until(lambda: not mqtt.connected)
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: calls.append(rc))
        scripted.listen()
        wait_until(lambda: calls)
    assert calls == [0]
