"""`publish` when as much waits for the broker as may: it waits for room, for a while."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import MQTT_ERR_QUEUE_SIZE, MQTT_ERR_SUCCESS
from support.apps import make_app
from support.packets import MQTT311
from support.running import connected, unconfirmed
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Mqtt
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

WAITER = Path(__file__).parents[1] / "green" / "waiting_publisher.py"


def fill(mqtt: Mqtt) -> None:
    """Have one message wait for its confirmation, where one is all that may wait."""
    mqtt.client.configure(publish_timeout=0)
    assert mqtt.publish("t", b"first", 1)[0] == MQTT_ERR_SUCCESS
    assert mqtt.publish("t", b"refused", 1)[0] == MQTT_ERR_QUEUE_SIZE


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def timed(mqtt: Mqtt, payload: bytes = b"x", qos: int = 1) -> tuple[int, float]:
    began = time.monotonic()
    rc = mqtt.publish("t", payload, qos)[0]
    return rc, time.monotonic() - began


def test_with_a_timeout_of_0_it_does_not_wait(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    app = make_app(scripted.port, max_outgoing_bytes=1, publish_timeout=0)
    with connected(app) as mqtt:
        fill(mqtt)
        rc, seconds = timed(mqtt)
    assert rc == MQTT_ERR_QUEUE_SIZE
    assert seconds < 0.2


def test_who_gave_up_waiting_keeps_no_descriptor(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    with connected(make_app(scripted.port, max_outgoing_bytes=1)) as mqtt:
        fill(mqtt)
        before = descriptors()
        for _ in range(200):
            assert mqtt.publish("t", b"x", 1)[0] == MQTT_ERR_QUEUE_SIZE
        assert descriptors() < before + 50


def test_it_returns_as_soon_as_there_is_room(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    with connected(make_app(scripted.port, max_outgoing_bytes=1)) as mqtt:
        fill(mqtt)
        mqtt.client.configure(publish_timeout=10)
        confirming = threading.Timer(0.5, scripted.ack, ("PUBACK", 1))
        confirming.start()
        rc, seconds = timed(mqtt)
        confirming.join()
    assert rc == MQTT_ERR_SUCCESS
    assert 0.4 < seconds < 2


def test_other_threads_go_on_while_it_waits(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    app = make_app(scripted.port, max_outgoing_bytes=1)
    with connected(app) as mqtt:
        fill(mqtt)
        mqtt.client.configure(publish_timeout=0.5)
        waiting = threading.Thread(target=timed, args=(mqtt,))
        waiting.start()
        turns = 0
        while waiting.is_alive():
            time.sleep(0.01)  # turns are counted, and each sleep is one
            turns += 1
    assert turns > 10


@pytest.mark.slow
def test_many_threads_that_wait_all_get_their_turn(broker: Mosquitto) -> None:
    # Room for about two messages, and 50 threads for it.
    app = make_app(broker.port, max_outgoing_bytes=20_000)
    codes: list[int] = []

    def publish() -> None:
        codes.extend(mqtt.publish("wait/many", b"x" * 10_000, 1)[0] for _ in range(20))

    with connected(app) as mqtt:
        threads = [threading.Thread(target=publish) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert codes == [MQTT_ERR_SUCCESS] * 1000


def test_the_end_of_the_connection_ends_the_waiting(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    with connected(make_app(scripted.port, max_outgoing_bytes=1)) as mqtt:
        fill(mqtt)
        mqtt.client.configure(publish_timeout=30)
        ending = threading.Timer(0.3, scripted.drop)
        scripted.stop_listening()
        ending.start()
        rc, seconds = timed(mqtt)
        ending.join()
    assert rc == MQTT_ERR_QUEUE_SIZE
    assert seconds < 5


def test_a_handler_waits_too_and_gets_room(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    results: list[tuple[int, float]] = []
    with connected(make_app(scripted.port, max_outgoing_bytes=1)) as mqtt:
        mqtt.on_message()(lambda *_: results.append(timed(mqtt)))
        fill(mqtt)
        mqtt.client.configure(publish_timeout=10)
        scripted.publish("t", b"go")
        confirming = threading.Timer(0.5, scripted.ack, ("PUBACK", 1))
        confirming.start()
        wait_until(lambda: results)
        confirming.join()
    [(rc, seconds)] = results
    assert rc == MQTT_ERR_SUCCESS
    assert 0.2 < seconds < 2


def test_a_handler_waits_no_longer_than_the_timeout(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    results: list[tuple[int, float]] = []
    with connected(make_app(scripted.port, max_outgoing_bytes=1)) as mqtt:
        mqtt.on_message()(lambda *_: results.append(timed(mqtt)))
        fill(mqtt)
        mqtt.client.configure(publish_timeout=0.4)
        scripted.publish("t", b"go")
        wait_until(lambda: results)
    [(rc, seconds)] = results
    assert rc == MQTT_ERR_QUEUE_SIZE
    assert 0.3 < seconds < 2


@pytest.mark.slow
def test_a_handler_does_not_wait_where_no_confirmation_can_be_read(
    scripted: ScriptedBroker,
) -> None:
    # The confirmation comes behind more messages than may wait for the handler that waits for it.
    scripted.withhold.add("PUBACK")
    codes: list[int] = []
    app = make_app(scripted.port, max_outgoing_bytes=1, max_incoming_messages=2)
    with connected(app) as mqtt:
        mqtt.on_message()(lambda *_: codes.append(mqtt.client.publish("t", b"x", 1)[0]))
        fill(mqtt)
        mqtt.client.configure(publish_timeout=60)
        scripted.withhold.clear()
        scripted.send(MQTT311.publish("t", b"go") * 20_000 + MQTT311.ack("PUBACK", 1))
        wait_until(lambda: len(codes) == 20_000, 20)
    assert codes[0] == MQTT_ERR_QUEUE_SIZE
    assert codes[-1] == MQTT_ERR_SUCCESS


@pytest.mark.slow
def test_who_waits_for_room_hears_of_it_when_one_of_many_messages_is_confirmed() -> None:
    with unconfirmed() as (broker, mqtt):
        mqtt.client.configure(publish_timeout=10)
        codes = [mqtt.publish("t", b"", 1)[0] for _ in range(65_535 - 255)]
        assert set(codes) == {MQTT_ERR_SUCCESS}
        # All packet identifiers that messages may have are in use; only 20 are on their way.
        confirming = threading.Timer(0.3, broker.ack, ("PUBACK", 1))
        confirming.start()
        rc, seconds = timed(mqtt, b"")
        confirming.join()
    assert rc == MQTT_ERR_SUCCESS
    assert seconds < 3


@pytest.mark.slow
@pytest.mark.parametrize("hub", ["threads", "eventlet", "gevent"])
def test_under_every_hub_others_run_while_a_publish_waits(
    hub: str, scripted: ScriptedBroker
) -> None:
    scripted.withhold.add("PUBACK")
    environment = os.environ | {
        "PYTHONWARNINGS": "ignore",
        "EVENTLET_SHOW_DEPRECATION_WARNING": "0",
        "BROKER_PORT": str(scripted.port),
    }
    command = [sys.executable, str(WAITER), hub]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            said = [running.stdout.readline().split() for _ in range(2)]
            scripted.withhold.clear()
            scripted.ack("PUBACK", 1)
            output, errors = running.communicate(timeout=15)
        finally:
            running.kill()
    assert running.returncode == 0, errors
    said += [line.split() for line in output.splitlines()]
    assert said == [
        ["refused", str(int(MQTT_ERR_QUEUE_SIZE))],
        ["turns", "meanwhile"],
        ["waited", str(int(MQTT_ERR_SUCCESS))],
    ]


@pytest.mark.slow
def test_of_a_burst_of_100_000_messages_of_qos_1_none_is_refused(broker: Mosquitto) -> None:
    with connected(make_app(broker.port)) as mqtt:
        codes: dict[int, int] = {}
        for number in range(100_000):
            rc = mqtt.publish("burst", str(number), 1)[0]
            codes[rc] = codes.get(rc, 0) + 1
        assert codes == {MQTT_ERR_SUCCESS: 100_000}
        last = mqtt.publish("burst", b"last", 1)
        last.wait_for_publish(60)
        assert last.is_published()
