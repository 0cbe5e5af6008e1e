"""Packet identifiers, of which there are 65,535: who needs one gets it, sooner or later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    Client,
    Mqtt,
)
from support.apps import make_app
from support.running import closing
from support.server import HOST
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

MOST_MESSAGES = 65_535 - 255


@pytest.mark.slow
def test_messages_that_wait_offline_do_not_keep_a_client_from_subscribing(
    scripted: ScriptedBroker,
) -> None:
    scripted.withhold.add("PUBACK")
    with closing(Client()) as client:
        answers: list[int] = []
        client.on_subscribe = lambda *args: answers.append(args[2])
        rcs = [client.publish("t", b"", 1)[0] for _ in range(MOST_MESSAGES + 1)]
        assert set(rcs[:-1]) == {MQTT_ERR_NO_CONN}
        assert rcs[-1] == MQTT_ERR_QUEUE_SIZE
        client.subscribe("offline")
        client.connect(HOST, scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        result, mid = client.subscribe("connected")
        assert (result, mid is None) == (MQTT_ERR_SUCCESS, False)
        wait_until(lambda: len(answers) == 2)
        assert client.publish("t", b"needs none", 0)[0] == MQTT_ERR_SUCCESS
        scripted.wait_for(lambda packet: packet.payload == b"needs none")


def test_messages_that_were_in_memory_when_a_file_was_opened_free_their_identifiers(
    scripted: ScriptedBroker, tmp_path: Path
) -> None:
    with closing(Client()) as client:
        published: list[int] = []
        client.on_publish = lambda *args: published.append(args[2])
        for _ in range(6):
            assert client.publish("t", b"", 1)[0] == MQTT_ERR_NO_CONN
        client.configure(persistence=str(tmp_path / "messages.db"))
        client.connect(HOST, scripted.port)
        client.loop_start()
        wait_until(lambda: len(published) == 6)
        # Where the six were not counted, an optimised build had less than none in use now.
        result, mid = client.subscribe("t")
        assert (result, mid is None) == (MQTT_ERR_SUCCESS, False)
        wait_until(lambda: scripted.of("SUBSCRIBE"))
        assert client.publish("t", b"", 1)[0] == MQTT_ERR_SUCCESS


@pytest.mark.slow
def test_more_filters_than_there_are_identifiers_are_all_subscribed_to(broker: Mosquitto) -> None:
    count = 70_000
    mqtt = Mqtt(connect_async=True)
    answered, payloads = [0], []

    def answer(*_: Any) -> None:
        answered[0] += 1

    mqtt.on_subscribe()(answer)
    mqtt.on_message()(lambda _client, _userdata, message: payloads.append(message.payload))
    for number in range(count):
        mqtt.subscribe(f"many/{number}")
    mqtt.init_app(make_app(broker.port))
    try:
        wait_until(lambda: answered[0] == count, timeout=30)
        assert len(mqtt.topics) == count
        for number in (0, 65_535, count - 1):
            mqtt.publish(f"many/{number}", str(number))
        wait_until(lambda: payloads == [b"0", b"65535", b"69999"])
    finally:
        mqtt.close()
