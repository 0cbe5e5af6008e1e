"""MQTT 3.1: its CONNECT, messages with mosquitto, and brokers that speak another version only."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt, MQTTv5, MQTTv31
from support.apps import app_for, make_app
from support.exchange import new_topic, receive, round_trip
from support.packets import MQTT311
from support.peer import Peer
from support.running import connected
from support.scripted import ScriptedBroker
from support.server import Server
from support.wait import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from flask import Flask

    from flask_mqtt import ReasonCode
    from support.mosquitto import Mosquitto


def app_31(port: int, **config: Any) -> Flask:
    return make_app(port, protocol_version=MQTTv31, **config)


@pytest.mark.smoke
def test_messages_go_both_ways_with_every_qos(broker: Mosquitto) -> None:
    with connected(app_31(broker.port, client_id="speaks-3.1")) as mqtt:
        round_trip(mqtt)
    # p1: the protocol in mosquitto's numbering.
    wait_until(lambda: re.search(r" as speaks-3\.1 \(p1, c1, k60\)", broker.log))


def test_the_connect_names_the_protocol_of_3_1(scripted: ScriptedBroker) -> None:
    with connected(app_31(scripted.port, client_id="me", keepalive=7, clean_session=False)):
        asked = scripted.wait_for("CONNECT").connect
    assert asked
    assert (asked.protocol, asked.level, asked.client_id) == ("MQIsdp", 3, "me")
    assert (asked.keepalive, asked.clean_session) == (7, False)


def test_an_empty_client_id_gets_one_that_stays_and_that_the_broker_takes(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with connected(app_31(broker.port)) as mqtt:
        broker.restart()
        wait_until(lambda: broker.log.count(" (p1, c1, k60)") == 2, what="connected again")
        wait_until(lambda: mqtt.connected)
        round_trip(mqtt)
    ids = re.findall(r" as (\S+) \(p1, c1, k60\)", broker.log)
    # MQTT 3.1, section 3.1: 1 to 23 characters.
    assert re.fullmatch(r"[0-9a-zA-Z]{1,23}", ids[0])
    assert ids[0] == ids[1]


def test_on_connect_gets_0_and_the_flags(broker: Mosquitto) -> None:
    calls: list[tuple[dict[str, int], int]] = []
    mqtt = Mqtt()
    mqtt.on_connect()(lambda _client, _userdata, flags, rc: calls.append((flags, rc)))
    mqtt.init_app(app_31(broker.port))
    with mqtt:
        wait_until(lambda: calls)
    assert calls == [({"session present": 0}, 0)]


def test_user_and_password_and_the_will_are_sent(broker_factory: Callable[..., Mosquitto]) -> None:
    broker = broker_factory(users={"me": "s3cret", "watcher": "s3cret"})
    topic = new_topic()
    who = {"username": "me", "password": "s3cret"}
    with connected(make_app(broker.port, username="watcher", password="s3cret")) as watching:
        messages = receive(watching, topic)
        will = {"last_will_topic": topic, "last_will_message": "gone", "last_will_qos": 1}
        # The broker ends the connection of the first for the second with its identifier.
        with (
            connected(app_31(broker.port, client_id="twin", **who, **will)),
            connected(app_31(broker.port, client_id="twin", **who)),
        ):
            message = messages.get(timeout=20)
    assert (message.payload, message.qos) == (b"gone", 1)


def test_a_session_is_kept_while_the_client_is_away(broker: Mosquitto) -> None:
    topic = new_topic()
    keys = {"client_id": "sleeper-3.1", "clean_session": False}
    with connected(app_31(broker.port, **keys)) as mqtt:
        receive(mqtt, topic, 1)
    with connected(make_app(broker.port)) as other:
        sent: list[int] = []
        other.on_publish()(lambda _client, _userdata, mid: sent.append(mid))
        other.publish(topic, "kept", 1)
        wait_until(lambda: sent)
    received: list[bytes] = []
    mqtt = Mqtt()
    mqtt.on_message()(lambda _client, _userdata, message: received.append(message.payload))
    mqtt.init_app(app_31(broker.port, **keys))
    with mqtt:
        wait_until(lambda: received == [b"kept"])
        mqtt.client.unsubscribe(topic)


def test_it_talks_with_a_client_that_speaks_3_1_1(broker: Mosquitto) -> None:
    topic = new_topic()
    with connected(app_31(broker.port)) as mqtt, Peer(broker.port) as peer:
        messages = receive(mqtt, topic)
        peer.publish(topic, b"from 3.1.1")
        assert messages.get(timeout=20).payload == b"from 3.1.1"


def test_it_goes_over_websockets_and_unix_sockets(tls_broker: Mosquitto) -> None:
    ways = tls_broker.listeners
    for url in (f"ws://127.0.0.1:{ways['ws'].port}", f"unix://{ways['unix'].path}"):
        with connected(app_for(url, protocol_version=3)) as mqtt:
            round_trip(mqtt)


def test_a_bare_client_speaks_it_too(broker: Mosquitto) -> None:
    client = Client(client_id="bare-3.1", protocol=MQTTv31)
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    client.disconnect()
    client.close()
    assert " as bare-3.1 (p1, " in broker.log


def test_a_broker_from_before_mqtt_5_is_told_from_its_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class OldBroker(Server):
        def serve(self, connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(MQTT311.connack(1))

    codes: list[ReasonCode] = []
    mqtt = Mqtt()
    mqtt.on_connect()(lambda _client, _userdata, _flags, rc: codes.append(rc))
    with OldBroker() as broker, mqtt:
        mqtt.init_app(make_app(broker.port, protocol_version=MQTTv5))
        wait_until(lambda: "next attempt" in caplog.text and codes)
    assert "unacceptable protocol version (code 1); look at MQTT_PROTOCOL_VERSION" in caplog.text
    assert codes == [1]
    assert str(codes[0]) == "Unacceptable protocol version"
    assert codes[0].is_failure


def test_a_broker_that_does_not_speak_it_is_logged_with_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    codes: list[int] = []
    with ScriptedBroker(connack=1) as broker:
        mqtt = Mqtt()
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: codes.append(rc))
        mqtt.init_app(app_31(broker.port))
        with mqtt:
            wait_until(lambda: "next attempt" in caplog.text)
            assert not mqtt.connected
    assert codes == [1]
    text = "connection refused by the broker: unacceptable protocol version (code 1)"
    assert f"{text}; look at MQTT_PROTOCOL_VERSION; next attempt" in caplog.text
