"""Acknowledging by hand: `ack`, and what of it is the core's."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_NOT_FOUND,
    MQTT_ERR_SUCCESS,
    Client,
    MQTTMessage,
)
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

HOST = "127.0.0.1"


class Reader:
    """A client whose messages nobody acknowledges: they are fetched here, and not handled."""

    def __init__(self, port: int, name: str = "", *, clean: bool = True) -> None:
        self.client = Client(client_id=name)
        self.client.configure(clean_session=clean, reconnect_delay_min=0.05)
        self.core = self.client._parts.holder.core
        self.client.connect(HOST, port)
        wait_until(self.client.is_connected)

    def next(self) -> MQTTMessage:
        """Return the next message."""
        message = wait_until(self._fetch, what="a message")
        assert message is not None
        return message

    def _fetch(self) -> MQTTMessage | None:
        events: list[Any] = []
        self.core.take(events, 1)
        return next((event for event in events if isinstance(event, MQTTMessage)), None)


@pytest.fixture
def reader(scripted: ScriptedBroker) -> Iterator[Reader]:
    """A client of the scripted broker."""
    reader = Reader(scripted.port)
    yield reader
    reader.client.close()


def answers(broker: ScriptedBroker) -> list[tuple[str, int]]:
    return [(packet.kind, packet.mid) for packet in broker.of("PUBACK", "PUBCOMP")]


def nothing_else_came(broker: ScriptedBroker, reader: Reader) -> list[tuple[str, int]]:
    """Return the acknowledgements, when everything before a message of ours has arrived."""
    reader.client.publish("marker")
    broker.wait_for("PUBLISH")
    return answers(broker)


@pytest.mark.parametrize("how", ["constructor", "method"])
@pytest.mark.parametrize(("qos", "kind"), [(1, "PUBACK"), (2, "PUBCOMP")])
def test_messages_are_acknowledged_by_hand(
    scripted: ScriptedBroker, how: str, qos: int, kind: str
) -> None:
    messages: list[Any] = []
    client = Client(manual_ack=how == "constructor")
    if how == "method":
        client.manual_ack_set(True)
    client.on_message = lambda _client, _userdata, message: messages.append(message)
    client.connect(HOST, scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    scripted.publish("a", b"1", qos=qos)
    wait_until(lambda: messages)
    # Whatever would go out by itself goes out before this.
    client.publish("b", "x")
    scripted.wait_for("PUBLISH")
    assert not scripted.of(kind)
    (message,) = messages
    assert client.ack(message.mid, message.qos) == MQTT_ERR_SUCCESS
    assert scripted.wait_for(kind).mid == message.mid
    assert client.ack(message.mid, message.qos) == MQTT_ERR_NOT_FOUND
    assert client.ack(message.mid, 0) == MQTT_ERR_SUCCESS
    client.manual_ack_set(False)
    assert client.ack(999, 1) == MQTT_ERR_SUCCESS
    scripted.publish("a", b"2", qos=qos)
    scripted.wait_for(kind, 2)
    client.disconnect()
    client.loop_stop()
    client.close()
    assert len(scripted.of(kind)) == 2


def test_messages_are_acknowledged_in_any_order(scripted: ScriptedBroker, reader: Reader) -> None:
    for mid in (1, 2, 65_535):
        scripted.publish("t", b"x", qos=1, mid=mid)
        reader.next()
    for mid in (65_535, 1, 2):
        assert reader.core.acknowledge(mid, 1) == MQTT_ERR_SUCCESS
    scripted.wait_for("PUBACK", 3)
    assert answers(scripted) == [("PUBACK", 65_535), ("PUBACK", 1), ("PUBACK", 2)]


def test_what_does_not_wait_for_it_sends_nothing(scripted: ScriptedBroker, reader: Reader) -> None:
    scripted.withhold.add("PUBREL")
    scripted.publish("t", b"x", qos=0)
    scripted.publish("t", b"x", qos=1, mid=5)
    scripted.publish("t", b"x", qos=2, mid=6)
    reader.next()
    reader.next()
    scripted.wait_for("PUBREC")
    for mid, qos in [(0, 0), (0, 1), (5, 0), (5, 2), (6, 2), (7, 1), (-1, 1), (70_000, 1)]:
        assert reader.core.acknowledge(mid, qos) == MQTT_ERR_NOT_FOUND, (mid, qos)
    assert nothing_else_came(scripted, reader) == []


def test_a_qos_that_there_is_not_is_a_value_error(reader: Reader) -> None:
    with pytest.raises(ValueError, match="invalid QoS 3"):
        reader.core.acknowledge(1, 3)


def test_without_a_connection_nothing_is_acknowledged(
    scripted: ScriptedBroker, reader: Reader
) -> None:
    scripted.publish("t", b"x", qos=1, mid=5)
    reader.next()
    scripted.stop_listening()
    scripted.drop()
    wait_until(lambda: not reader.client.is_connected())
    assert reader.core.acknowledge(5, 1) == MQTT_ERR_NO_CONN
    scripted.listen()
    wait_until(reader.client.is_connected)
    # The broker sends it again, if it wants to hear of it.
    assert reader.core.acknowledge(5, 1) == MQTT_ERR_NOT_FOUND
    assert nothing_else_came(scripted, reader) == []


def test_a_message_that_was_acknowledged_is_not_acknowledged_by_its_handler_again(
    scripted: ScriptedBroker, reader: Reader
) -> None:
    for qos, mid in ((1, 5), (2, 6)):
        scripted.publish("t", b"x", qos=qos, mid=mid)
        message = reader.next()
        assert reader.core.acknowledge(mid, qos) == MQTT_ERR_SUCCESS
        reader.core.handled(message)
    assert nothing_else_came(scripted, reader) == [("PUBACK", 5), ("PUBCOMP", 6)]


@pytest.mark.parametrize("qos", [1, 2])
def test_mosquitto_sends_again_what_was_not_acknowledged(broker: Mosquitto, qos: int) -> None:
    topic = f"manual-ack/{uuid.uuid4()}"
    name = f"manual-{uuid.uuid4()}"
    reader = Reader(broker.port, name, clean=False)
    reader.client.subscribe(topic, qos)
    for payload in ("one", "two"):
        reader.client.publish(topic, payload, qos)
    one, two = reader.next(), reader.next()
    assert (one.payload, two.payload) == (b"one", b"two")
    assert reader.core.acknowledge(one.mid, qos) == MQTT_ERR_SUCCESS
    reader.client.reconnect()
    wait_until(reader.client.is_connected)
    if qos == 1:
        again = reader.next()
        assert (again.payload, again.dup) == (b"two", True)
        two = again
    # With QoS 2 the message is here already, and only its acknowledgement is asked for again.
    assert reader.core.acknowledge(two.mid, qos) == MQTT_ERR_SUCCESS
    reader.client.reconnect()
    wait_until(reader.client.is_connected)
    reader.client.publish(topic, "three", qos)
    assert reader.next().payload == b"three"
    reader.client.configure(clean_session=True)
    reader.client.reconnect()
    wait_until(reader.client.is_connected)
    reader.client.close()
