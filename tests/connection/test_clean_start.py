"""MQTT 5: `connect` starts clean once, and the session goes on with later connections."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, MQTTv5, MQTTv311
from support.apps import make_app
from support.protocol5 import new_topic
from support.running import closing, connected, lose
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

HOST = "127.0.0.1"


def make_client(protocol: int = MQTTv5, client_id: str = "") -> Client:
    client = Client(client_id=client_id, protocol=protocol)
    client.reconnect_delay_set(0.05)
    return client


def starts(broker: ScriptedBroker, count: int) -> list[bool]:
    """Wait for so many CONNECTs, and return which of them start clean."""
    broker.wait_for("CONNECT", count)
    return [
        bool(packet.connect and packet.connect.clean_session) for packet in broker.of("CONNECT")
    ]


def test_only_the_first_connection_starts_clean(scripted5: ScriptedBroker) -> None:
    client = make_client()
    client.connect(HOST, scripted5.port)
    lose(scripted5, client)
    assert starts(scripted5, 2) == [True, False]
    lose(scripted5, client)
    assert starts(scripted5, 3) == [True, False, False]
    wait_until(client.is_connected)
    client.reconnect()
    assert starts(scripted5, 4)[3] is False
    client.connect(HOST, scripted5.port)
    assert starts(scripted5, 5)[4] is True
    client.close()


def test_a_connection_that_was_refused_does_not_count(scripted5: ScriptedBroker) -> None:
    scripted5.connack = [0x88, 0]
    client = make_client()
    client.connect(HOST, scripted5.port)
    lose(scripted5, client)
    assert starts(scripted5, 3) == [True, True, False]
    client.close()


@pytest.mark.parametrize("clean_start", [True, False])
def test_who_says_so_gets_it_every_time(scripted5: ScriptedBroker, clean_start: bool) -> None:
    client = make_client()
    client.connect(HOST, scripted5.port, clean_start=clean_start)
    lose(scripted5, client)
    assert starts(scripted5, 2) == [clean_start, clean_start]
    client.close()


def test_it_is_so_with_settings_that_have_changed_too(scripted5: ScriptedBroker) -> None:
    with closing(make_client()) as client:
        has_changed = threading.Event()

        def on_disconnect(*_: Any) -> None:
            client.username_pw_set("me")
            has_changed.set()

        client.on_disconnect = on_disconnect
        client.connect_async(HOST, scripted5.port)
        client.loop_start()
        wait_until(client.is_connected)
        # The next attempt does not wait for the handler.
        scripted5.stop_listening()
        scripted5.drop()
        assert has_changed.wait(10)
        scripted5.listen()
        assert starts(scripted5, 2) == [True, False]
    packet: Any = scripted5.of("CONNECT")[1]
    assert packet.connect.username == "me"


@pytest.mark.parametrize("clean_session", [True, False])
def test_the_extension_starts_as_its_key_says_every_time(
    scripted5: ScriptedBroker, clean_session: bool
) -> None:
    app = make_app(
        scripted5.port,
        protocol_version=MQTTv5,
        clean_session=clean_session,
        reconnect_delay_min=0.05,
    )
    with connected(app) as mqtt:
        lose(scripted5, mqtt.client)
        assert starts(scripted5, 2) == [clean_session, clean_session]


def test_before_mqtt_5_a_clean_session_is_clean_every_time(scripted: ScriptedBroker) -> None:
    client = make_client(MQTTv311)
    client.connect(HOST, scripted.port)
    lose(scripted, client)
    assert starts(scripted, 2) == [True, True]
    client.close()


def test_a_session_with_an_end_outlives_the_connection(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker, topic = broker_factory(), new_topic()
    sessions: queue.Queue[int] = queue.Queue()
    messages: queue.Queue[bytes] = queue.Queue()
    subscribed = threading.Event()
    client = make_client(client_id="stays")
    # Long enough for a message to come in between.
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda _c, _u, flags, *_: sessions.put(flags["session present"])
    client.on_message = lambda _c, _u, message: messages.put(message.payload)
    client.on_subscribe = lambda *_: subscribed.set()
    client.connect(HOST, broker.port, properties={"SessionExpiryInterval": 60})
    client.loop_start()
    assert sessions.get(timeout=20) == 0
    client.subscribe(topic, 1)
    assert subscribed.wait(20)

    # Another client with the name ends the connection, and leaves the session behind.
    other = make_client(client_id="stays")
    properties = {"SessionExpiryInterval": 60}
    other.connect(HOST, broker.port, clean_start=False, properties=properties)
    wait_until(other.is_connected)
    other.disconnect(properties=properties)
    sender = make_client()
    sender.connect(HOST, broker.port)
    wait_until(sender.is_connected)
    sender.publish(topic, b"in between", 1)

    assert sessions.get(timeout=20) == 1
    assert messages.get(timeout=20) == b"in between"
    for each in (client, sender):
        each.disconnect()
        each.loop_stop()
        each.close()
