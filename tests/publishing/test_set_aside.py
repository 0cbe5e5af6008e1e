"""Messages that were accepted, and that the next broker does not take: they wait for another."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_NOT_SUPPORTED,
    MQTT_ERR_PAYLOAD_SIZE,
    MQTT_ERR_SUCCESS,
    Mqtt,
)
from support.apps import app_for, make_app
from support.packets import MQTT5
from support.running import connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QOS_1 = MQTT5.connack(properties={"MaximumQoS": 1})
SMALL = MQTT5.connack(properties={"MaximumPacketSize": 50})
KEPT = "the message is kept for a connection that does"


@pytest.fixture
def strict() -> Iterator[ScriptedBroker]:
    """A broker that takes no QoS 2 on its first connection."""
    with ScriptedBroker(version=MQTT5, connack=[QOS_1, 0]) as broker:
        yield broker


def published(broker: ScriptedBroker) -> list[bytes]:
    return [packet.payload for packet in broker.of("PUBLISH")]


def told(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return the records of messages that are set aside."""
    event = "messages_set_aside"
    return [item for item in caplog.records if getattr(item, "mqtt_event", "") == event]


def test_it_goes_out_on_the_next_connection_that_takes_it(
    strict: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flask_mqtt")
    mqtt = Mqtt(connect_async=True)
    reports: list[int] = []
    mqtt.on_publish()(lambda _client, _userdata, mid, *_: reports.append(mid))
    infos = [mqtt.publish("t", payload, 2) for payload in (b"a", b"b")]
    last = mqtt.publish("t", b"c", 1)
    assert {info[0] for info in (*infos, last)} == {MQTT_ERR_NO_CONN}
    mqtt.init_app(make_app(strict.port, protocol_version=5, reconnect_delay_min=0.05))
    with mqtt:
        wait_until(lambda: last.rc == MQTT_ERR_SUCCESS and last.is_published())
        for info in infos:
            with pytest.raises(RuntimeError, match=KEPT):
                info.wait_for_publish(20)
            with pytest.raises(RuntimeError, match=r"QoS not supported \(code 155\)"):
                asyncio.run(settled(info))
            assert info.rc == MQTT_ERR_NOT_SUPPORTED
        stats = mqtt.stats()
        assert (stats["set_aside"], stats["in_flight"], stats["queued"]) == (2, 0, 0)
        assert stats["dropped"]["refused"] == 0
        [record] = wait_until(lambda: told(caplog))
        assert (vars(record)["mqtt_count"], vars(record)["mqtt_mid"]) == (2, infos[0].mid)
        assert mqtt.publish("t", b"now", 2)[0] == MQTT_ERR_NOT_SUPPORTED
        assert published(strict) == [b"c"]
        strict.drop()
        wait_until(lambda: all(info.rc == MQTT_ERR_SUCCESS for info in infos))
        wait_until(lambda: all(info.is_published() for info in infos))
        wait_until(lambda: len(reports) == 3)
        assert published(strict) == [b"c", b"a", b"b"]
        assert mqtt.stats()["set_aside"] == 0
    assert sorted(reports) == sorted(info.mid for info in (*infos, last))


async def settled(info: Any) -> None:
    await info


def test_the_next_broker_of_the_list_gets_it() -> None:
    with (
        ScriptedBroker(version=MQTT5, connack=SMALL) as first,
        ScriptedBroker(version=MQTT5) as second,
    ):
        brokers = [f"mqtt://127.0.0.1:{broker.port}" for broker in (first, second)]
        mqtt = Mqtt(connect_async=True)
        info = mqtt.publish("t", b"x" * 100, 1)
        mqtt.init_app(app_for(brokers, protocol_version=5, reconnect_delay_min=0.05))
        with mqtt:
            wait_until(lambda: mqtt.stats()["set_aside"] == 1)
            assert info.rc == MQTT_ERR_PAYLOAD_SIZE
            first.stop_listening()
            first.drop()
            second.wait_for("PUBLISH")
            wait_until(lambda: mqtt.stats()["published"]["messages"]["qos1"] == 1)
        assert not published(first)


def test_with_a_file_it_outlives_the_process(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "protocol_version": 5,
        "persistence": str(tmp_path / "messages"),
        "client_id": "keeper",
    }
    with ScriptedBroker(version=MQTT5, connack=QOS_1) as broker:
        # Before the CONNACK, the broker's limits are not known.
        broker.connack = None
        with Mqtt(make_app(broker.port, **settings)) as mqtt:
            broker.wait_for("CONNECT")
            assert mqtt.publish("t", b"kept", 2).mid
            broker.send(QOS_1)
            wait_until(lambda: mqtt.stats()["set_aside"] == 1)
        assert not published(broker)
    with (
        ScriptedBroker(version=MQTT5) as broker,
        connected(make_app(broker.port, **settings)) as mqtt,
    ):
        broker.wait_for("PUBLISH")
        wait_until(lambda: mqtt.stats()["published"]["messages"]["qos2"] == 1)
        assert published(broker) == [b"kept"]


def test_subscriptions_that_a_broker_does_not_offer_are_not_sent_to_it() -> None:
    connack = MQTT5.connack(properties={"SharedSubscriptionAvailable": 0})
    with (
        ScriptedBroker(version=MQTT5, connack=[connack, 0]) as broker,
        connected(make_app(broker.port, protocol_version=5, reconnect_delay_min=0.05)) as mqtt,
    ):
        assert mqtt.subscribe("$share/group/a") == (MQTT_ERR_NOT_SUPPORTED, None)
        assert mqtt.subscribe("a")[0] == MQTT_ERR_SUCCESS
        broker.wait_for("SUBSCRIBE")
        assert broker.connections == 1
