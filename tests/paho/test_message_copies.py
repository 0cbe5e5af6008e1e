"""Copies and pickles of messages and properties, and messages as JSON."""

from __future__ import annotations

import copy
import json
import pickle
import queue
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, MessageState, MQTTMessage, MQTTMessageInfo, Properties
from support.apps import make_app
from support.running import connected, subscribe

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

FIELDS = ("topic", "payload", "qos", "retain", "dup", "mid", "timestamp", "properties", "state")


def pickled(protocol: int) -> Callable[[Any], Any]:
    return lambda value: pickle.loads(pickle.dumps(value, protocol))


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {protocol}": pickled(protocol) for protocol in range(6)},
}
copies = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


class Reading(MQTTMessage):
    """A message of the application's own."""

    unit = ""


def fields(message: MQTTMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in FIELDS}


def received(broker: Mosquitto, qos: int) -> MQTTMessage:
    """Return a message of MQTT 5 that has come from a broker, with properties."""
    topic = f"copies/{uuid.uuid4()}"
    messages: queue.Queue[MQTTMessage] = queue.Queue()
    with connected(make_app(broker.port, protocol_version=5)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, message: messages.put(message))
        subscribe(mqtt, topic, qos)
        properties = Properties(ContentType="x", CorrelationData=b"\xff")
        properties.UserProperty = [("a", "1"), ("a", "2")]
        mqtt.publish(topic, b"\xff", qos, properties=properties)
        return messages.get(timeout=20)


@copies
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_copy_of_a_received_message_has_all_of_it(
    broker: Mosquitto, copied: Callable[[Any], Any], qos: int
) -> None:
    message = received(broker, qos)
    assert message.properties.UserProperty == [("a", "1"), ("a", "2")]
    twin = copied(message)
    assert type(twin) is MQTTMessage
    assert twin == message
    assert twin is not message
    assert fields(twin) == fields(message)
    assert list(twin.info) == [0, message.mid]


@copies
def test_a_copy_of_a_message_by_hand_has_what_was_assigned(copied: Callable[[Any], Any]) -> None:
    message = MQTTMessage(7, "grün/ä".encode())
    message.payload = {"value": [1]}  # type: ignore[assignment]
    message.info = MQTTMessageInfo((MQTT_ERR_NO_CONN, 8))
    message.state = MessageState.MQTT_MS_PUBLISH
    twin = copied(message)
    assert fields(twin) == fields(message)
    assert (twin.info.rc, twin.info.mid) == (4, 8)


@copies
def test_a_copy_of_a_subclass_is_one_with_its_attributes(copied: Callable[[Any], Any]) -> None:
    reading = Reading(topic=b"t")
    reading.unit = "°C"
    twin = copied(reading)
    assert type(twin) is Reading
    assert (twin.unit, twin.topic) == ("°C", "t")


def test_a_deep_copy_shares_nothing_and_a_copy_its_values() -> None:
    message = MQTTMessage()
    message.properties = Properties(ContentType="x")
    deep, shallow = copy.deepcopy(message), copy.copy(message)
    message.properties.ContentType = "y"
    assert (deep.properties.ContentType, shallow.properties.ContentType) == ("x", "y")


def test_a_copy_does_not_acknowledge_the_message(scripted: ScriptedBroker) -> None:
    kept: list[MQTTMessage] = []
    with connected(make_app(scripted.port)) as mqtt:

        @mqtt.on_message()
        def handler(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
            kept.append(copy.copy(message))

        scripted.publish("t", b"x", qos=1, mid=9)
        assert scripted.wait_for("PUBACK").mid == 9
        kept.clear()
        mqtt.publish("after", qos=1)
        scripted.wait_for("PUBLISH")
        assert len(scripted.of("PUBACK")) == 1


PAYLOADS: dict[str, tuple[Any, Any, str | None]] = {
    "text": ("grün".encode(), "grün", "utf-8"),
    "nothing": (b"", "", "utf-8"),
    "bytes": (b"\xff\x00", "/wA=", "base64"),
    "a bytearray": (bytearray(b"\xff"), "/w==", "base64"),
    "what the application assigned": ({"value": 1}, {"value": 1}, None),
}


@pytest.mark.parametrize(("payload", "shown", "encoding"), PAYLOADS.values(), ids=PAYLOADS)
def test_a_message_as_a_dict_is_json(payload: Any, shown: Any, encoding: str | None) -> None:
    message = MQTTMessage(7, b"a/b")
    message.payload = payload
    message.retain = True
    assert json.loads(json.dumps(message.to_dict())) == {
        "topic": "a/b",
        "payload": shown,
        "encoding": encoding,
        "qos": 0,
        "retain": True,
        "dup": False,
        "mid": 7,
        "timestamp": 0.0,
        "properties": None,
    }


def test_a_received_message_as_a_dict_has_its_properties(broker: Mosquitto) -> None:
    message = received(broker, 1)
    shown = json.loads(json.dumps(message.to_dict()))
    assert shown["properties"] == {
        "ContentType": "x",
        "CorrelationData": "ff",
        "UserProperty": [["a", "1"], ["a", "2"]],
    }
    assert (shown["payload"], shown["encoding"], shown["qos"]) == ("/w==", "base64", 1)
    assert shown["timestamp"] == message.timestamp


@copies
def test_copies_of_properties_are_equal_and_as_strict(copied: Callable[[Any], Any]) -> None:
    full = Properties(3, ContentType="x", UserProperty=[("b", "2"), ("a", "1")])
    full.CorrelationData = b"\x00"
    for properties in (full, Properties(), Properties(SubscriptionIdentifier=[3, 4])):
        twin = copied(properties)
        assert twin == properties
        assert twin is not properties
        assert (twin.packetType, repr(twin)) == (properties.packetType, repr(properties))
    twin = copied(full)
    with pytest.raises(ValueError, match="ReceiveMaximum"):
        twin.ReceiveMaximum = 1
    twin.UserProperty = ("c", "3")
    assert len(full.UserProperty) == 2
