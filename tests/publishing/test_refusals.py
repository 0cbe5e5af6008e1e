"""What the log is told of messages that are published without a connection, or refused."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, MQTT_ERR_QUEUE_SIZE, Mqtt
from flask_mqtt.publishing import refusals
from support.apps import make_app
from support.ports import closed_port
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def offline() -> Iterator[Mqtt]:
    """An extension whose broker is away."""
    mqtt = Mqtt(make_app(closed_port(), reconnect_delay_min=60), connect_async=True)
    with closing(mqtt.client):
        yield mqtt


def told(caplog: pytest.LogCaptureFixture, event: str = "call_refused") -> list[Any]:
    """Return the records of an event."""
    return [record for record in caplog.records if getattr(record, "mqtt_event", "") == event]


def test_kept_and_dropped_messages_have_one_line_each(
    offline: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(500):
        assert offline.publish(f"kept/{number}", "x", 1 + number % 2)[0] == MQTT_ERR_NO_CONN
        assert offline.publish(f"dropped/{number}", "x")[0] == MQTT_ERR_NO_CONN
    records = told(caplog)
    assert [record.getMessage() for record in records] == [
        "Not connected: message to 'kept/0' kept until reconnect (QoS 1)",
        "Not connected: message to 'dropped/0' dropped (QoS 0)",
    ]
    assert {record.levelno for record in records} == {logging.WARNING}
    assert [(record.mqtt_topic, record.mqtt_rc, record.mqtt_count) for record in records] == [
        ("kept/0", MQTT_ERR_NO_CONN, 1),
        ("dropped/0", MQTT_ERR_NO_CONN, 1),
    ]


def test_after_a_while_there_is_a_line_with_the_number_since(
    offline: Mqtt, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    for _ in range(11):
        offline.publish("t", "x", 1)
    now[0] += refusals.QUIET
    offline.publish("u", "x", 1)
    offline.publish("u", "x", 1)
    assert [record.getMessage() for record in told(caplog)][1:] == [
        "Not connected: message to 'u' kept until reconnect (QoS 1); 10 more in the last 60 s"
    ]
    assert told(caplog)[1].mqtt_count == 11


def test_with_the_connection_the_numbers_of_the_time_without_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flask_mqtt")
    with (
        ScriptedBroker() as broker,
        connected(make_app(broker.port, reconnect_delay_min=0.1)) as mqtt,
    ):
        broker.stop_listening()
        broker.drop()
        wait_until(lambda: not mqtt.connected)
        for _ in range(7):
            mqtt.publish("t", "x", 1)
            mqtt.publish("t", "x", 2)
            mqtt.publish("t", "x", 0)
        broker.listen()
        wait_until(lambda: told(caplog, "refusals_ended"))
        [record] = told(caplog, "refusals_ended")
        assert record.getMessage() == ("Connected: messages published before: 14 kept, 7 dropped")
        assert (record.mqtt_count, record.levelno) == (21, logging.WARNING)
        caplog.clear()
        mqtt.publish("t", "x", 1)
        assert told(caplog) == []


def test_a_single_message_needs_no_sum_and_every_time_without_a_connection_has_its_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        ScriptedBroker() as broker,
        connected(make_app(broker.port, reconnect_delay_min=0.1)) as mqtt,
    ):
        for number in range(1, 4):
            broker.stop_listening()
            broker.drop()
            wait_until(lambda: not mqtt.connected)
            mqtt.publish("t", "x", 1)
            broker.listen()
            wait_until(lambda: mqtt.connected)
            assert len(told(caplog)) == number
    assert told(caplog, "refusals_ended") == []


def test_a_full_queue_has_one_line(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(closed_port(), max_queued=1, max_inflight=1, reconnect_delay_min=60)
    mqtt = Mqtt(app, connect_async=True)
    with closing(mqtt.client):
        wait_until(lambda: mqtt.stats()["failed_attempts"])
        codes = [mqtt.publish("t", "x", 1)[0] for _ in range(300)]
        mqtt._disconnect()
    assert codes.count(MQTT_ERR_QUEUE_SIZE) == 299
    assert [record.getMessage() for record in told(caplog)] == [
        "Not connected: message to 't' kept until reconnect (QoS 1)",
        "Publishing to 't': MQTT_ERR_QUEUE_SIZE",
    ]
    [last] = told(caplog, "refusals_ended")
    assert last.getMessage() == (
        "Disconnecting: messages published before: 1 kept, 299 failed with MQTT_ERR_QUEUE_SIZE"
    )


def test_threads_count_together(offline: Mqtt, caplog: pytest.LogCaptureFixture) -> None:
    def publish() -> None:
        for _ in range(200):
            offline.publish("t", "x")

    threads = [threading.Thread(target=publish) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    offline._disconnect()
    assert len(told(caplog)) == 1
    assert [record.mqtt_count for record in told(caplog, "refusals_ended")] == [1600]
