"""`unsubscribe` without a connection is remembered for the next one, as `subscribe` is."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any

from flask_mqtt import MQTT_ERR_NO_CONN, Client, Mqtt
from support.apps import make_app
from support.running import closing, connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def offline(broker: ScriptedBroker, mqtt: Mqtt) -> None:
    broker.stop_listening()
    broker.drop()
    wait_until(lambda: not mqtt.connected, what="the connection is lost")


def test_the_filter_leaves_topics_and_is_not_subscribed_to_again(
    scripted: ScriptedBroker,
) -> None:
    with connected(make_app(scripted.port, reconnect_delay_min=0.05)) as mqtt:
        subscribe(mqtt, "a")
        subscribe(mqtt, "b")
        offline(scripted, mqtt)
        assert mqtt.unsubscribe("a") == (MQTT_ERR_NO_CONN, None)
        assert list(mqtt.topics) == ["b"]
        assert mqtt.unsubscribe("a") is None
        count = len(scripted.packets)
        again = threading.Event()
        mqtt.on_connect()(lambda *_: again.set())
        scripted.listen()
        # What there is in `topics` is subscribed to before that; "c" must not be there yet.
        assert again.wait(20)
        subscribe(mqtt, "c")
        later = scripted.packets[count:]
    wanted = [filters for packet in later for filters in packet.filters]
    assert [name for name, *_ in wanted] == ["b", "c"]
    # There is no session to tell of it.
    assert scripted.of("UNSUBSCRIBE") == []


def test_unsubscribe_all_leaves_none(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port, reconnect_delay_min=0.05)) as mqtt:
        subscribe(mqtt, "a")
        mqtt.subscribe(["b", "c"])
        offline(scripted, mqtt)
        assert mqtt.unsubscribe_all()
        assert mqtt.topics == {}


def test_before_the_first_connection_too(broker: Mosquitto) -> None:
    mqtt = Mqtt()
    mqtt.subscribe("a")
    assert mqtt.unsubscribe("a") == (MQTT_ERR_NO_CONN, None)
    assert mqtt.topics == {}
    mqtt.init_app(make_app(broker.port))
    mqtt.close()


def test_a_broker_that_has_kept_the_session_is_told(broker: Mosquitto) -> None:
    name = f"offline/{uuid.uuid4()}"
    config: dict[str, Any] = {"client_id": name, "clean_session": False}
    with connected(make_app(broker.port, **config)) as mqtt:
        subscribe(mqtt, name, 1)
        subscribe(mqtt, f"{name}/stays", 1)
        mqtt._disconnect()
        wait_until(lambda: not mqtt.connected)
        mqtt.unsubscribe(name)
        done: list[int] = []
        mqtt.on_unsubscribe()(lambda _client, _userdata, mid: done.append(mid))
        mqtt.init_app(make_app(broker.port, **config))
        wait_until(lambda: done, what="the broker has confirmed it")
        mqtt._disconnect()
    with closing(Client()) as publisher:
        publisher.connect(broker.host, broker.port)
        publisher.loop_start()
        for topic in (name, f"{name}/stays"):
            publisher.publish(topic, "x", 1).wait_for_publish(20)
    seen: list[str] = []
    # Another object with the same identifier: what the broker has of the session comes.
    with connected(make_app(broker.port, **config)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.topic))
        wait_until(lambda: seen)
    assert seen == [f"{name}/stays"]
