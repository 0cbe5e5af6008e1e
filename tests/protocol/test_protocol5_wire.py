"""MQTT 5 on the wire: what goes out, and what a broker may say that mosquitto does not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_PROTOCOL,
    CallbackAPIVersion,
    Client,
    MQTTv5,
    PacketTypes,
    Properties,
    ReasonCode,
    SubscribeOptions,
)
from support import codec
from support.apps import make_app
from support.packets import MQTT5
from support.running import closing, connected
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.smoke


def _app(broker: ScriptedBroker, **config: Any) -> Any:
    return make_app(broker.port, protocol_version=MQTTv5, **config)


def test_the_properties_of_connect_and_will_are_sent(scripted5: ScriptedBroker) -> None:
    config = {
        "connect_properties": {"ReceiveMaximum": 7, "UserProperty": [("a", "1"), ("a", "2")]},
        "last_will_topic": "w",
        "last_will_message": "gone",
        "last_will_properties": Properties(WillDelayInterval=5, ContentType="text/plain"),
    }
    with connected(_app(scripted5, **config)):
        packet: Any = scripted5.wait_for("CONNECT")
    assert packet.connect.level == 5
    sent = list(packet.properties)
    assert ("ReceiveMaximum", 7) in sent
    assert [value for name, value in sent if name == "UserProperty"] == [("a", "1"), ("a", "2")]
    assert dict(packet.will_properties) == {"WillDelayInterval": 5, "ContentType": "text/plain"}


def test_connect_takes_properties_and_whether_to_start_clean(scripted5: ScriptedBroker) -> None:
    client = Client(client_id="me", protocol=MQTTv5)
    properties = {"SessionExpiryInterval": 30}
    client.connect("127.0.0.1", scripted5.port, clean_start=False, properties=properties)
    packet: Any = scripted5.wait_for("CONNECT")
    client.close()
    assert not packet.connect.clean_session
    assert ("SessionExpiryInterval", 30) in packet.properties


def test_options_and_properties_of_subscriptions_are_sent(scripted5: ScriptedBroker) -> None:
    with connected(_app(scripted5)) as mqtt:
        how = SubscribeOptions(1, noLocal=True, retainAsPublished=True, retainHandling=2)
        mqtt.subscribe([("a", how), ("b", 2), "c"], properties={"SubscriptionIdentifier": 300})
        packet: Any = scripted5.wait_for("SUBSCRIBE")
        mqtt.client.unsubscribe(["a", "b"], {"UserProperty": ("n", "v")})
        end: Any = scripted5.wait_for("UNSUBSCRIBE")
    assert packet.filters == (("a", 0b0010_1101), ("b", 2), ("c", 0))
    assert packet.properties == (("SubscriptionIdentifier", 300),)
    assert end.properties == (("UserProperty", ("n", "v")),)


def test_a_disconnect_carries_its_reason_and_properties(scripted5: ScriptedBroker) -> None:
    with connected(_app(scripted5)) as mqtt:
        mqtt.client.disconnect(
            ReasonCode(PacketTypes.DISCONNECT, identifier=4), {"ReasonString": "tired"}
        )
        packet: Any = scripted5.wait_for("DISCONNECT")
    assert (packet.reason, packet.properties) == (4, (("ReasonString", "tired"),))


def test_a_second_disconnect_does_not_change_what_the_first_one_says(
    scripted5: ScriptedBroker,
) -> None:
    with connected(_app(scripted5)) as mqtt:
        mqtt.client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=4))
        mqtt.client.disconnect()
    packet: Any = scripted5.wait_for("DISCONNECT")
    assert packet.reason == 4


@pytest.mark.parametrize("late", [False, True])
def test_a_disconnect_of_the_broker_reaches_on_disconnect(
    scripted5: ScriptedBroker, late: bool
) -> None:
    ends: list[Any] = []
    with connected(_app(scripted5)) as mqtt:
        if late:
            mqtt.on_disconnect()(lambda _c, _u, rc: ends.append((rc, None)))
        else:
            mqtt.on_disconnect()(lambda _c, _u, rc, properties: ends.append((rc, properties)))
        scripted5.send(MQTT5.disconnect(142, {"ReasonString": "another one came"}))
        wait_until(lambda: ends)
    rc, properties = ends[0]
    assert rc == 142
    assert str(rc) == "Session taken over"
    assert isinstance(rc, ReasonCode)
    assert properties is None if late else properties.ReasonString == "another one came"


@pytest.mark.parametrize(
    ("packet", "version_1"),
    [
        (b"\xe0\x00", (0, None)),
        (b"\xe0\x01\x8e", (142, None)),
        (b"\xe0\x02\x8e\x00", (142, Properties())),
        (MQTT5.disconnect(142, {"ReasonString": "no"}), (142, Properties(ReasonString="no"))),
        (None, (7, None)),
    ],
)
@pytest.mark.parametrize("version", CallbackAPIVersion)
def test_on_disconnect_gets_the_properties_that_there_are(
    scripted5: ScriptedBroker,
    version: CallbackAPIVersion,
    packet: bytes | None,
    version_1: tuple[int, Any],
) -> None:
    ends: list[Any] = []
    client = Client(version, protocol=MQTTv5, reconnect_on_failure=False)
    client.on_disconnect = lambda *arguments: ends.append(arguments[2:])
    client.connect("127.0.0.1", scripted5.port)
    with closing(client):
        client.loop_start()
        wait_until(client.is_connected)
        if packet is None:
            scripted5.drop()
        else:
            scripted5.send(packet)
        wait_until(lambda: ends)
    if version is CallbackAPIVersion.VERSION1:
        assert ends[0] == version_1
    else:
        # Here there always are some.
        assert ends[0][2] == (version_1[1] or Properties())


def test_the_keep_alive_is_what_the_broker_has_chosen(scripted5: ScriptedBroker) -> None:
    scripted5.connack = MQTT5.connack(properties={"ServerKeepAlive": 42})
    client: Any = Client(protocol=MQTTv5)
    with closing(client):
        client.connect("127.0.0.1", scripted5.port, keepalive=7)
        assert client.keepalive == 7
        client.loop_start()
        wait_until(client.is_connected)
        wait_until(lambda: client.keepalive == 42)
        assert client._keepalive == 42
        client.disconnect()
        client.loop_stop()
        scripted5.connack = 0
        client.reconnect()
        packet: Any = scripted5.wait_for("CONNECT", 2)
        assert packet.connect.keepalive == 7
        client.loop_start()
        wait_until(client.is_connected)
        assert client.keepalive == 7
        client.disconnect()
        client.keepalive = 9
        assert client.keepalive == 9


def test_a_lost_connection_keeps_its_return_code(scripted5: ScriptedBroker) -> None:
    ends: list[Any] = []
    with connected(_app(scripted5)) as mqtt:
        mqtt.on_disconnect()(lambda _c, _u, rc, properties: ends.append((rc, properties)))
        scripted5.drop()
        wait_until(lambda: ends)
    assert ends[0] == (7, None)


def test_a_packet_larger_than_what_was_announced_ends_the_connection(
    scripted5: ScriptedBroker,
) -> None:
    ends: list[int] = []
    with connected(_app(scripted5, connect_properties={"MaximumPacketSize": 200})) as mqtt:
        mqtt.on_disconnect()(lambda _c, _u, rc: ends.append(rc))
        scripted5.send(MQTT5.publish("t", b"x" * 300))
        packet: Any = scripted5.wait_for("DISCONNECT")
        wait_until(lambda: ends)
    assert packet.reason == 0x95
    assert ends[0] == MQTT_ERR_PROTOCOL


def test_a_refusal_shows_the_reason_and_what_the_broker_says(scripted5: ScriptedBroker) -> None:
    scripted5.connack = MQTT5.connack(
        0x87, properties={"ReasonString": "no", "UserProperty": ("a", "b")}
    )
    seen: list[Any] = []
    client = Client(protocol=MQTTv5)
    client.on_connect = lambda _c, _u, _flags, rc, properties: seen.append((rc, properties))
    client.connect("127.0.0.1", scripted5.port)
    client.loop_start()
    wait_until(lambda: seen)
    client.close()
    client.loop_stop()
    rc, properties = seen[0]
    assert rc == "Not authorized"
    assert (properties.ReasonString, properties.UserProperty) == ("no", [("a", "b")])


def test_a_handler_that_came_late_gets_the_properties_too(scripted5: ScriptedBroker) -> None:
    scripted5.connack = MQTT5.connack(properties={"AssignedClientIdentifier": "you"})
    seen: list[str] = []
    with connected(_app(scripted5)) as mqtt:

        @mqtt.on_connect()
        def on_connect(_c: Any, _u: Any, _flags: Any, _rc: Any, properties: Any) -> None:
            seen.append(properties.AssignedClientIdentifier)

        wait_until(lambda: seen)
    assert seen == ["you"]


def test_a_refused_message_shows_its_reason_and_properties(scripted5: ScriptedBroker) -> None:
    scripted5.withhold = {"PUBACK"}
    seen: list[Any] = []
    with connected(_app(scripted5)) as mqtt:

        @mqtt.on_publish()
        def on_publish(_c: Any, _u: Any, mid: int, properties: Any, reason: Any) -> None:
            seen.append((mid, properties.ReasonString, reason))

        _, mid = mqtt.publish("t", "x", 1)
        scripted5.wait_for("PUBLISH")
        scripted5.send(MQTT5.ack("PUBACK", mid, 0x97, {"ReasonString": "full"}))
        wait_until(lambda: seen)
    assert seen == [(mid, "full", 151)]
    assert seen[0][2] == "Quota exceeded"


def test_reason_codes_of_unsuback_reach_the_handler(scripted5: ScriptedBroker) -> None:
    scripted5.withhold = {"UNSUBACK"}
    seen: list[Any] = []
    done = threading.Event()

    def on_unsubscribe(_c: Any, _u: Any, mid: int, properties: Any, reasons: Any) -> None:
        seen.extend((mid, properties, reasons))
        done.set()

    with connected(_app(scripted5)) as mqtt:
        mqtt.client.on_unsubscribe = on_unsubscribe
        _, mid = mqtt.client.unsubscribe(["a"])
        packet = scripted5.wait_for("UNSUBSCRIBE")
        body = packet.mid.to_bytes(2, "big") + b"\0\x11"
        scripted5.send(codec.frame("UNSUBACK", body))
        assert done.wait(20)
    assert seen == [mid, Properties(), (0x11,)]
    assert str(seen[2][0]) == "No subscription existed"


def test_publishing_with_bad_properties_sends_nothing(scripted5: ScriptedBroker) -> None:
    with connected(_app(scripted5)) as mqtt:
        for bad in ({"SubscriptionIdentifier": 1}, {"ContentType": 5}, {"Nothing": 1}, 5):
            with pytest.raises((TypeError, ValueError)):
                mqtt.publish("t", properties=bad)
    scripted5.wait_for("DISCONNECT")
    assert [packet.kind for packet in scripted5.packets] == ["CONNECT", "DISCONNECT"]
