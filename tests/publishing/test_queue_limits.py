"""How many messages may be on their way to the broker, and how many may wait."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    Client,
    Mqtt,
)
from support.apps import make_app
from support.ports import closed_port
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

HOST = "127.0.0.1"


def payloads(broker: ScriptedBroker) -> list[bytes]:
    return [packet.payload for packet in broker.of("PUBLISH")]


def on_their_way(broker: ScriptedBroker, mqtt: Mqtt) -> list[bytes]:
    """Return the messages of QoS 1 and 2 that have reached the broker."""
    mqtt.publish("marker", b"marker")
    broker.wait_for(lambda packet: packet.payload == b"marker")
    return [payload for payload in payloads(broker) if payload != b"marker"]


@pytest.mark.parametrize("qos", [1, 2])
def test_as_many_messages_are_on_their_way_as_the_key_allows(
    scripted: ScriptedBroker, qos: int
) -> None:
    kind = "PUBACK" if qos == 1 else "PUBREC"
    scripted.withhold.add(kind)
    with connected(make_app(scripted.port, max_inflight=2)) as mqtt:
        for number in range(4):
            assert mqtt.publish("t", str(number), qos)[0] == MQTT_ERR_SUCCESS
        assert on_their_way(scripted, mqtt) == [b"0", b"1"]
        scripted.withhold.clear()
        for packet in [packet for packet in scripted.of("PUBLISH") if packet.qos]:
            scripted.ack(kind, packet.mid)
        scripted.wait_for(lambda packet: packet.payload == b"3")


def test_the_limit_of_what_waits_holds_before_the_first_connection() -> None:
    client = Client()
    client.max_queued_messages_set(3)
    codes = [client.publish("t", str(number), 1).rc for number in range(5)]
    assert codes == [MQTT_ERR_NO_CONN] * 3 + [MQTT_ERR_QUEUE_SIZE] * 2
    client.max_queued_messages = 0
    assert client.publish("t", "x", 1).rc == MQTT_ERR_NO_CONN


def test_the_limit_of_bytes_holds_before_the_first_connection() -> None:
    client = Client()
    client.configure(max_outgoing_bytes=100)
    codes = [client.publish("t", b"x" * 60, 1).rc for _ in range(3)]
    assert codes == [MQTT_ERR_NO_CONN, MQTT_ERR_NO_CONN, MQTT_ERR_QUEUE_SIZE]


def test_without_a_limit_all_are_on_their_way_at_once(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    with connected(make_app(scripted.port, max_inflight=0)) as mqtt:
        for _ in range(1000):
            mqtt.publish("t", b"x", 1)
        scripted.wait_for("PUBLISH", 1000)


def test_one_message_more_than_may_wait_is_refused_at_once(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    with connected(make_app(scripted.port, max_inflight=1, max_queued=2)) as mqtt:
        for _ in range(3):
            assert mqtt.publish("t", b"x", 1)[0] == MQTT_ERR_SUCCESS
        began = time.monotonic()
        rc, mid = mqtt.publish("t", b"refused", 1)
        assert time.monotonic() - began < 1
        assert (rc, mid) == (MQTT_ERR_QUEUE_SIZE, 0)
        assert mqtt.publish("t", b"refused", 2)[0] == MQTT_ERR_QUEUE_SIZE
        # QoS 0 does not wait for a confirmation.
        assert mqtt.publish("t", b"at most once", 0)[0] == MQTT_ERR_SUCCESS
        scripted.withhold.clear()
        scripted.ack("PUBACK", scripted.wait_for("PUBLISH").mid)
        scripted.wait_for(lambda packet: packet.qos == 1, 3)
        wait_until(lambda: mqtt.publish("t", b"there is room", 1)[0] == MQTT_ERR_SUCCESS)
        scripted.wait_for(lambda packet: packet.payload == b"there is room")
    assert b"refused" not in payloads(scripted)


def test_without_a_connection_every_message_waits(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, max_queued=2, reconnect_delay_min=0.05)
    with connected(app) as mqtt:
        scripted.stop_listening()
        scripted.drop()
        wait_until(lambda: not mqtt.connected)
        codes = [mqtt.publish("t", str(number), 1)[0] for number in range(3)]
        assert codes == [MQTT_ERR_NO_CONN, MQTT_ERR_NO_CONN, MQTT_ERR_QUEUE_SIZE]
        scripted.listen()
        scripted.wait_for("PUBLISH", 2)
        assert payloads(scripted) == [b"0", b"1"]


def test_a_limit_that_was_set_on_a_connected_client_holds_from_the_next_connection_on(
    scripted: ScriptedBroker,
) -> None:
    scripted.withhold.add("PUBACK")
    client = Client()
    client.connect(HOST, scripted.port)
    wait_until(client.is_connected)
    client.configure(max_inflight=1, max_queued=1)
    for _ in range(3):
        assert client.publish("t", b"x", 1)[0] == MQTT_ERR_SUCCESS
    scripted.wait_for("PUBLISH", 3)
    client.reconnect()
    wait_until(client.is_connected)
    # Of what is unconfirmed, one is sent again and the others wait.
    scripted.wait_for("PUBLISH", 4)
    assert client.publish("t", b"x", 1)[0] == MQTT_ERR_QUEUE_SIZE
    client.close()


def test_what_waits_for_the_first_connection_is_bounded_too() -> None:
    failed = threading.Event()
    mqtt = Mqtt(connect_async=True)
    mqtt.client.on_connect_fail = lambda *_: failed.set()
    mqtt.init_app(make_app(closed_port(), max_queued=1))
    with mqtt:
        assert failed.wait(20)
        codes = [mqtt.publish("t", b"x", 1)[0] for _ in range(2)]
    assert codes == [MQTT_ERR_NO_CONN, MQTT_ERR_QUEUE_SIZE]
