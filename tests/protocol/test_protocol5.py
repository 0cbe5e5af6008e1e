"""MQTT 5 with mosquitto: properties, reason codes and handlers."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    Client,
    Mqtt,
    MQTTMessage,
    MQTTv5,
    PacketTypes,
    Properties,
    ReasonCode,
    SubscribeOptions,
)
from support.apps import make_app
from support.protocol5 import app5, new_topic, receive
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto

# -- messages -------------------------------------------------------------------------------------

PROPERTIES: dict[str, Any] = {
    "PayloadFormatIndicator": 1,
    "MessageExpiryInterval": 60,
    "ContentType": "text/plain",
    "ResponseTopic": "answers",
    "CorrelationData": b"\x00\xff",
    "UserProperty": [("a", "1"), ("b", "2"), ("a", "1")],
}


class _FromPaho:
    """What paho's class looks like from outside."""

    def __init__(self, packetType: int) -> None:  # noqa: N803 - paho's name
        self.packetType = packetType


def _as_paho() -> _FromPaho:
    properties = _FromPaho(PacketTypes.PUBLISH)
    for name, value in PROPERTIES.items():
        setattr(properties, name, value)
    return properties


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize(
    "given",
    [lambda: PROPERTIES, lambda: Properties(**PROPERTIES), _as_paho],
    ids=["dict", "Properties", "paho"],
)
def test_properties_arrive_with_the_message(
    broker: Mosquitto, qos: int, given: Callable[[], Any]
) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        messages = receive(mqtt, topic, qos=2)
        assert mqtt.publish(topic, "é", qos, properties=given())[0] == 0
        message = messages.get(timeout=20)
    assert (message.payload, message.qos) == ("é".encode(), qos)
    assert message.properties.UserProperty == PROPERTIES["UserProperty"]
    assert message.properties == Properties(**PROPERTIES)


def test_a_message_without_properties_has_empty_ones(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        messages = receive(mqtt, topic)
        mqtt.publish(topic)
        properties = messages.get(timeout=20).properties
    assert properties.isEmpty()
    assert not hasattr(properties, "ContentType")


@pytest.mark.parametrize("version", [3, 4])
def test_before_mqtt_5_a_message_has_no_properties(broker: Mosquitto, version: int) -> None:
    topic = new_topic()
    with connected(make_app(broker.port, protocol_version=version)) as mqtt:
        messages = receive(mqtt, topic)
        mqtt.publish(topic)
        assert messages.get(timeout=20).properties is None


def test_a_message_that_expires_while_nobody_is_there_does_not_come(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as mqtt:
        published = threading.Event()
        mqtt.on_publish()(lambda *_: published.set())
        mqtt.publish(topic, "old", 1, retain=True, properties={"MessageExpiryInterval": 1})
        assert published.wait(20)

        def is_gone() -> bool:
            messages = receive(mqtt, topic)
            try:
                return messages.get(timeout=0.2).payload != b"old"
            except queue.Empty:
                return True

        wait_until(is_gone, what="the retained message has expired")


def test_a_question_is_answered_on_its_response_topic(broker: Mosquitto) -> None:
    question, answer = new_topic(), new_topic()
    with connected(app5(broker)) as asking, connected(app5(broker)) as answering:
        done = threading.Event()

        @answering.on_topic(question)
        def reply(client: Client, _userdata: Any, message: MQTTMessage) -> None:
            asked = message.properties
            answer = {"CorrelationData": asked.CorrelationData}
            client.publish(asked.ResponseTopic, "42", properties=answer)

        answering.on_subscribe()(lambda *_: done.set())
        answering.subscribe(question)
        assert done.wait(20)
        answers = receive(asking, answer)
        asked = {"ResponseTopic": answer, "CorrelationData": b"7"}
        asking.publish(question, "?", properties=asked)
        message = answers.get(timeout=20)
    assert (message.payload, message.properties.CorrelationData) == (b"42", b"7")


# -- handlers -------------------------------------------------------------------------------------


def test_a_handler_gets_the_properties_if_it_takes_them(broker: Mosquitto) -> None:
    calls: dict[str, tuple[Any, ...]] = {}
    topic = new_topic()
    app = app5(broker)
    with connected(app) as mqtt:

        @mqtt.on_connect()
        def on_connect(_c: Any, _u: Any, flags: Any, rc: Any, properties: Any) -> None:
            calls["connect"] = (flags, rc, properties)

        @mqtt.on_subscribe()
        def on_subscribe(_c: Any, _u: Any, mid: Any, granted: Any, properties: Any) -> None:
            calls["subscribe"] = (mid, granted, properties)

        @mqtt.on_publish()
        def on_publish(_c: Any, _u: Any, mid: Any, properties: Any, reason: Any) -> None:
            calls["publish"] = (mid, properties, reason)

        @mqtt.on_unsubscribe()
        def on_unsubscribe(_c: Any, _u: Any, mid: Any, properties: Any, reasons: Any) -> None:
            calls["unsubscribe"] = (mid, properties, reasons)

        @mqtt.on_disconnect()
        def on_disconnect(_c: Any, _u: Any, rc: Any, properties: Any) -> None:
            calls["disconnect"] = (rc, properties)

        _, subscribed = mqtt.subscribe(topic, 1)
        _, published = mqtt.publish(topic, "", 1)
        _, unsubscribed = mqtt.unsubscribe(topic) or (0, 0)
        wait_until(lambda: len(calls) == 4)
    flags, rc, properties = calls["connect"]
    assert (flags, rc, str(rc)) == ({"session present": 0}, 0, "Success")
    assert properties.AssignedClientIdentifier
    assert calls["subscribe"] == (subscribed, (1,), Properties())
    assert str(calls["subscribe"][1][0]) == "Granted QoS 1"
    assert calls["publish"][0] == published
    assert str(calls["publish"][2]) == "Success"
    assert calls["unsubscribe"] == (unsubscribed, Properties(), (0,))
    assert calls["disconnect"] == (0, None)


@pytest.mark.parametrize("version", [4, 5])
def test_a_handler_of_3_1_1_gets_what_it_always_got(broker: Mosquitto, version: int) -> None:
    calls: dict[str, tuple[Any, ...]] = {}
    with connected(make_app(broker.port, protocol_version=version)) as mqtt:
        mqtt.on_connect()(lambda _c, _u, flags, rc: calls.update(connect=(flags, rc)))
        mqtt.on_subscribe()(lambda _c, _u, mid, granted: calls.update(subscribe=(mid, granted)))
        mqtt.on_publish()(lambda _c, _u, mid: calls.update(publish=(mid,)))
        mqtt.on_unsubscribe()(lambda _c, _u, mid: calls.update(unsubscribe=(mid,)))
        mqtt.on_disconnect()(lambda _c, _u, rc: calls.update(disconnect=(rc,)))
        topic = new_topic()
        _, subscribed = mqtt.subscribe(topic, 2)
        _, published = mqtt.publish(topic)
        _, unsubscribed = mqtt.unsubscribe(topic) or (0, 0)
        wait_until(lambda: len(calls) == 4)
    assert calls == {
        "connect": ({"session present": 0}, 0),
        "subscribe": (subscribed, (2,)),
        "publish": (published,),
        "unsubscribe": (unsubscribed,),
        "disconnect": (0,),
    }


def test_before_mqtt_5_a_handler_that_wants_properties_gets_none(broker: Mosquitto) -> None:
    seen: list[tuple[Any, ...]] = []

    def needs(_c: Any, _u: Any, _flags: Any, rc: Any, properties: Any) -> None:
        seen.append((rc, properties))

    def may(_c: Any, _u: Any, _flags: Any, rc: Any, mine: str = "default") -> None:
        seen.append((rc, mine))

    for handler in (needs, may):
        with connected(make_app(broker.port)) as mqtt:
            mqtt.on_connect()(handler)
            wait_until(lambda: len(seen) == (1 if handler is needs else 2))  # noqa: B023
    assert seen == [(0, None), (0, "default")]


def test_an_on_disconnect_without_parameters_is_called_with_mqtt_5_too(broker: Mosquitto) -> None:
    called = threading.Event()
    with connected(app5(broker)) as mqtt:
        mqtt.on_disconnect()(called.set)
    assert called.is_set()


# -- reason codes ---------------------------------------------------------------------------------


def test_a_refused_connection_says_why(broker_factory: Callable[..., Mosquitto]) -> None:
    broker = broker_factory(users={"ann": "secret"})
    codes: list[Any] = []
    mqtt_app = app5(broker, username="ann", password="wrong")
    with Mqtt(mqtt_app) as mqtt:
        mqtt.on_connect()(lambda _c, _u, _flags, rc: codes.append(rc))
        wait_until(lambda: codes)
        assert not mqtt.connected
    assert codes[0] == 135
    assert codes[0] == "Not authorized"
    assert isinstance(codes[0], ReasonCode)


def test_what_the_broker_does_not_allow_has_a_reason_code(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory(acl=("topic read open/#",))
    with connected(app5(broker)) as mqtt:
        granted: list[Any] = []
        refused: list[Any] = []
        mqtt.on_publish()(lambda _c, _u, mid, _properties, reason: refused.append((mid, reason)))
        mqtt.on_subscribe()(lambda _c, _u, _mid, codes: granted.extend(codes))
        _, mid = mqtt.publish("closed", "x", 1)
        mqtt.subscribe([("open/a", 1), ("open/b", 0)])
        wait_until(lambda: refused and granted)
    assert refused == [(mid, 135)]
    assert refused[0][1].is_failure
    assert [str(code) for code in granted] == ["Granted QoS 1", "Granted QoS 0"]


def test_the_reason_of_a_disconnect_decides_about_the_will(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app5(broker)) as watching:
        messages = receive(watching, topic)
        client = Client(protocol=MQTTv5)
        client.will_set(topic, "gone", properties={"ContentType": "text/plain"})
        for reason in (None, 4):
            client.connect(broker.host, broker.port)
            wait_until(client.is_connected)
            client.disconnect(reason)
        message = messages.get(timeout=20)
        assert (message.payload, message.properties.ContentType) == (b"gone", "text/plain")
        assert messages.empty()


# -- what does not go -----------------------------------------------------------------------------


def _properties(packet_type: int, **values: Any) -> Properties:
    return Properties(packet_type, **values)


BAD: dict[str, tuple[type[Exception], str, Callable[[Mqtt], Any]]] = {
    "an unknown property": (
        ValueError,
        "did you mean ContentType",
        lambda mqtt: mqtt.publish("t", properties={"content_type": "x"}),
    ),
    "a property with another type": (
        TypeError,
        "ContentType is of type int: it must be a string",
        lambda mqtt: mqtt.publish("t", properties={"ContentType": 1}),
    ),
    "a name that is no string": (
        TypeError,
        "must be a string",
        lambda mqtt: mqtt.publish("t", properties={1: "x"}),
    ),
    "a property of another packet": (
        ValueError,
        "SessionExpiryInterval 1: it is no property of a PUBLISH",
        lambda mqtt: mqtt.publish(
            "t", properties=_properties(PacketTypes.CONNECT, SessionExpiryInterval=1)
        ),
    ),
    "properties of another type": (
        TypeError,
        "must be Properties, a dict or None, not list",
        lambda mqtt: mqtt.publish("t", properties=[("ContentType", "x")]),
    ),
    "a QoS and options": (
        ValueError,
        "both given",
        lambda mqtt: mqtt.subscribe("t", 1, SubscribeOptions(1)),
    ),
    "options of another type": (
        TypeError,
        "SubscribeOptions",
        lambda mqtt: mqtt.subscribe("t", options={"noLocal": True}),
    ),
    "a property of SUBSCRIBE with UNSUBSCRIBE": (
        ValueError,
        "SubscriptionIdentifier 1: it is no property of a UNSUBSCRIBE",
        lambda mqtt: mqtt.client.unsubscribe("t", {"SubscriptionIdentifier": 1}),
    ),
    "a reason that is no number": (
        TypeError,
        "reasoncode 'bad': it must be a number",
        lambda mqtt: mqtt.client.disconnect("bad"),  # type: ignore[arg-type]
    ),
    "a reason that is no byte": (
        ValueError,
        "reason code 256",
        lambda mqtt: mqtt.client.disconnect(256),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_call_that_mqtt_5_does_not_allow_says_what_would_be_right(
    broker: Mosquitto, name: str
) -> None:
    error, text, call = BAD[name]
    with connected(app5(broker)) as mqtt:
        with pytest.raises(error, match=text):
            call(mqtt)
        assert mqtt.connected


@pytest.mark.parametrize(
    "call",
    [
        lambda mqtt: mqtt.publish("t", properties={}),
        lambda mqtt: mqtt.subscribe("t", properties={}),
        lambda mqtt: mqtt.subscribe("t", options=SubscribeOptions()),
        lambda mqtt: mqtt.subscribe([("t", SubscribeOptions())]),
        lambda mqtt: mqtt.client.unsubscribe("t", {}),
        lambda mqtt: mqtt.client.disconnect(4),
        lambda mqtt: mqtt.client.will_set("t", properties={}),
    ],
)
def test_before_mqtt_5_what_only_it_has_is_a_value_error_that_names_the_key(
    broker: Mosquitto, call: Callable[[Mqtt], Any]
) -> None:
    with connected(make_app(broker.port)) as mqtt:
        with pytest.raises(ValueError, match=r"MQTT_PROTOCOL_VERSION is 4; set it to 5"):
            call(mqtt)
        assert mqtt.topics == {}
