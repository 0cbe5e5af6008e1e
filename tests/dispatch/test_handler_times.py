"""How many handlers were called, how many failed, and how long they took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Mqtt
    from flask_mqtt.stats import HandlerTimes
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.alone


def measured(mqtt: Mqtt, calls: int) -> HandlerTimes:
    """Return what was measured when so many calls are."""
    times = mqtt.client._parts.dispatcher.handler_times
    wait_until(lambda: times()["calls"] >= calls, what=f"{calls} calls")
    return times()


@pytest.mark.parametrize("threads", [1, 4])
def test_the_longest_call_is_found_among_quick_ones(
    scripted: ScriptedBroker, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:

        @mqtt.on_message()
        def handle(_client: Any, _userdata: Any, message: Any) -> None:
            if message.payload == b"slow":
                time.sleep(0.3)  # the time that is measured
            elif message.payload == b"bad":
                raise ValueError("on purpose")

        payloads = [b"quick"] * 1_000 + [b"slow"] + [b"quick"] * 1_000 + [b"bad", b"bad"]
        for number, payload in enumerate(payloads):
            scripted.publish(f"t/{number % 5}", payload)
        times = measured(mqtt, len(payloads))
    assert times["calls"] == len(payloads)
    assert times["failures"] == 2
    assert 0.3 <= times["longest"] < 1
    assert times["longest"] <= times["seconds"] < 3
    assert caplog.text.count("ValueError: on purpose") == 2


@pytest.mark.parametrize("threads", [1, 4])
def test_waiting_for_messages_is_not_the_handlers_time(
    scripted: ScriptedBroker, threads: int
) -> None:
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        # The first is the time that is measured, the second what must not be in it.
        mqtt.on_message()(lambda *_: time.sleep(0.01))
        for count in range(1, 6):
            scripted.publish("t")
            measured(mqtt, count)
            time.sleep(0.2)
        times = measured(mqtt, 5)
    assert times["calls"] == 5
    assert 0.05 <= times["seconds"] < 0.5
    assert times["longest"] < 0.2


def test_every_kind_of_handler_counts_and_every_one_of_a_message(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_topic("a")(lambda *_: None)
        mqtt.on_topic("#")(lambda *_: None)
        mqtt.on_publish()(lambda *_: None)
        mqtt.on_subscribe()(lambda *_: None)
        scripted.publish("a")
        mqtt.publish("b", "x", 1)
        mqtt.subscribe("c")
        assert measured(mqtt, 4)["calls"] == 4


def test_nothing_was_called_at_first(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        times = mqtt.client._parts.dispatcher.handler_times()
    assert times == {"calls": 0, "seconds": 0, "longest": 0, "failures": 0}
