"""``MQTT_PREFIX`` at a broker: what has it on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flask_mqtt import (
    Mqtt,
    MQTTErrorCode,
    MQTTMessageInfo,
    SubscribeOptions,
    TopicQos,
)
from support.apps import make_app
from support.prefixes import filters, names, note
from support.running import connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def test_what_is_sent_has_it(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a/#")
    prefixed.subscribe([("b", 1), ("$share/g/c", 2)])
    prefixed.subscribe("$SYS/#")
    prefixed.subscribe("d", no_prefix=True)
    prefixed.publish("t", "1")
    prefixed.publish("/t", "2")
    prefixed.publish("t", "3", no_prefix=True)
    prefixed.publish("$CONTROL/x", "4")
    scripted.wait_for("PUBLISH", count=4)
    assert filters(scripted) == ["p/a/#", "p/b", "$share/g/p/c", "$SYS/#", "d"]
    assert [packet.topic for packet in scripted.of("PUBLISH")] == [
        "p/t",
        "p//t",
        "t",
        "$CONTROL/x",
    ]
    assert list(prefixed.topics) == ["a/#", "b", "$share/g/c", "$SYS/#", "d"]
    assert prefixed.topics["b"] == ("b", 1)
    assert prefixed.prefix == "p"  # type: ignore[attr-defined]


def test_unsubscribing(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a")
    prefixed.subscribe("b", no_prefix=True)
    prefixed.subscribe("c")
    prefixed.subscribe("d", no_prefix=True)
    assert prefixed.unsubscribe("a", no_prefix=True) is None
    assert prefixed.unsubscribe("b", no_prefix=False) is None
    assert prefixed.unsubscribe("p/a") is None
    assert prefixed.unsubscribe("a") is not None
    assert prefixed.unsubscribe("b", no_prefix=True) is not None
    assert prefixed.unsubscribe_all()
    scripted.wait_for("UNSUBSCRIBE", count=4)
    assert filters(scripted, "UNSUBSCRIBE") == ["p/a", "b", "p/c", "d"]
    assert prefixed.topics == {}


def test_one_name_cannot_stand_for_two_filters(prefixed: Mqtt) -> None:
    prefixed.subscribe("a")
    with pytest.raises(ValueError, match="no_prefix=True: 'a' is subscribed to as 'p/a' already"):
        prefixed.subscribe("a", no_prefix=True)
    prefixed.subscribe("b", no_prefix=True)
    with pytest.raises(ValueError, match="no_prefix=False: 'b' is subscribed to as 'b' already"):
        prefixed.subscribe(["c", "b"])
    assert list(prefixed.topics) == ["a", "b"]
    prefixed.subscribe("b", 1, no_prefix=True)
    prefixed.unsubscribe("b")
    prefixed.subscribe("b")


def test_without_a_prefix_it_makes_no_difference(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[Any] = []
    mqtt.on_topic("a")(note(seen, "one"))
    mqtt.on_topic("a", no_prefix=True)(note(seen, "other"))
    mqtt.subscribe("a")
    mqtt.subscribe("a", no_prefix=True)
    mqtt.publish("t", no_prefix=True)
    assert scripted.wait_for("PUBLISH").topic == "t"
    assert filters(scripted) == ["a", "a"]
    scripted.publish("a")
    wait_until(lambda: seen == [("one", "a"), ("other", "a")])
    assert "handle" not in vars(mqtt.client._parts.dispatcher.message_handlers)
    assert mqtt.unsubscribe("a", no_prefix=True) is not None


def test_what_was_registered_before_init_app(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    mqtt = Mqtt()
    mqtt.on_topic("a")(note(seen, "plain"))
    mqtt.on_topic("b", no_prefix=True)(note(seen, "full"))
    mqtt.subscribe("a", 1)
    mqtt.subscribe("b", no_prefix=True)
    with mqtt:
        mqtt.init_app(make_app(scripted.port, prefix="p"))
        scripted.wait_for("SUBSCRIBE", count=2)
        assert sorted(filters(scripted)) == ["b", "p/a"]
        scripted.publish("p/a")
        scripted.publish("b")
        wait_until(lambda: seen == [("plain", "a"), ("full", "b")])


def test_init_app_with_another_prefix(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    app = make_app(scripted.port, prefix="p", clean_session=False, client_id="me")
    with connected(app) as mqtt:
        mqtt.on_topic("a")(note(seen))
        subscribe(mqtt, "a", 1)
        mqtt.subscribe("b", no_prefix=True)
        mqtt.init_app(app)
        assert scripted.connections == 1
        for number, (prefix, old, new) in enumerate([("q", "p/a", "q/a"), (None, "q/a", "a")], 2):
            scripted.session_present = True
            app.config["MQTT_PREFIX"] = prefix
            mqtt.init_app(app)
            wait_until(lambda number=number: scripted.connections == number and mqtt.connected)  # type: ignore[misc]
            scripted.wait_for(lambda packet, old=old: old in names(packet, "UNSUBSCRIBE"))  # type: ignore[misc]
            scripted.wait_for(lambda packet, new=new: new in names(packet, "SUBSCRIBE"))  # type: ignore[misc]
            mqtt.publish("t", prefix)
            topic = new.removesuffix("a") + "t"
            scripted.wait_for(lambda packet, topic=topic: packet.topic == topic)  # type: ignore[misc]
            # The index of handlers is the same, and finds them by what follows the new one.
            scripted.publish(new)
            wait_until(lambda number=number: seen == ["a"] * (number - 1))  # type: ignore[misc]
        assert list(mqtt.topics) == ["a", "b"]
        assert "b" not in filters(scripted, "UNSUBSCRIBE")


def test_it_is_there_after_a_reconnect(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a", 1)
    prefixed.subscribe("b", no_prefix=True)
    prefixed.topics["c"] = TopicQos("c", 0)
    scripted.wait_for("SUBSCRIBE", count=2)
    count = len(scripted.packets)
    scripted.drop()
    scripted.wait_for(lambda packet: "p/c" in names(packet, "SUBSCRIBE"))
    again = [name for packet in scripted.packets[count:] for name in names(packet, "SUBSCRIBE")]
    assert sorted(again) == ["b", "p/a", "p/c"]


def test_topics_that_the_application_edits(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a")
    prefixed.subscribe("b", no_prefix=True)
    prefixed.subscribe("c", no_prefix=True)
    prefixed.topics["b"] = TopicQos("b", 1)
    del prefixed.topics["a"]
    del prefixed.topics["c"]
    prefixed.topics["c"] = TopicQos("c", 0)
    scripted.wait_for("SUBSCRIBE", count=3)
    count = len(scripted.packets)
    scripted.drop()
    scripted.wait_for(lambda packet: "p/c" in names(packet, "SUBSCRIBE"))
    again = [name for packet in scripted.packets[count:] for name in names(packet, "SUBSCRIBE")]
    assert sorted(again) == ["b", "p/c"]


def test_another_dict_in_the_place_of_topics(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a")
    prefixed.subscribe("b", no_prefix=True)
    scripted.wait_for("SUBSCRIBE", count=2)
    prefixed.topics = {"x": TopicQos("x", 0)}
    count = len(scripted.packets)
    scripted.session_present = True
    scripted.drop()
    scripted.wait_for(lambda packet: "p/x" in names(packet, "SUBSCRIBE"))
    later = scripted.packets[count:]
    assert [name for packet in later for name in names(packet, "SUBSCRIBE")] == ["p/x"]


def test_the_will_has_it(broker_factory: Callable[..., Mosquitto]) -> None:
    broker = broker_factory()
    seen: list[str] = []
    app = make_app(broker.port, prefix="p", last_will_topic="gone", client_id="me")
    with connected(make_app(broker.port)) as watcher:
        watcher.on_message()(note(seen))
        subscribe(watcher, "#")
        with connected(app) as mqtt:
            assert mqtt.last_will_topic == "gone"
            # The broker ends the connection of the first of two.
            with connected(make_app(broker.port, client_id="me")):
                wait_until(lambda: seen == ["p/gone"])
                mqtt.client.disconnect()


def test_retained_messages_and_shared_subscriptions(broker: Mosquitto, threads: int) -> None:
    """At a real broker, with one handler thread and with several."""
    seen: list[Any] = []
    prefix = f"prefixed/{threads}"
    app = make_app(broker.port, prefix=prefix, handler_threads=threads)
    with connected(make_app(broker.port)) as other, connected(app) as mqtt:
        other.publish(f"{prefix}/kept/1", "kept", qos=1, retain=True).wait_for_publish(20)
        mqtt.publish("kept/2", "kept", qos=1, retain=True).wait_for_publish(20)
        mqtt.on_topic("kept/+")(note(seen, "kept"))
        mqtt.on_topic("$share/g/jobs/#")(note(seen, "job"))
        mqtt.subscribe([("kept/+", 1), ("$share/g/jobs/#", 1)])
        wait_until(lambda: sorted(seen) == [("kept", "kept/1"), ("kept", "kept/2")])
        subscribe(mqtt, "$share/g/jobs/#", 1)
        for number in range(20):
            mqtt.publish(f"jobs/{number % 2}", str(number), qos=1)
        wait_until(lambda: len(seen) == 22)
        assert set(seen[2:]) == {("job", "jobs/0"), ("job", "jobs/1")}
        for number in (1, 2):
            mqtt.publish(f"kept/{number}", retain=True, qos=1).wait_for_publish(20)


def test_messages_in_the_file_have_it(scripted: ScriptedBroker, tmp_path: Path) -> None:
    app = make_app(scripted.port, prefix="p", persistence=tmp_path / "messages.db")
    scripted.withhold.add("PUBACK")
    with connected(app) as mqtt:
        mqtt.publish("t", "1", qos=1)
        scripted.wait_for("PUBLISH")
    scripted.withhold.clear()
    del app.config["MQTT_PREFIX"]
    with connected(app):
        assert scripted.wait_for("PUBLISH", count=2).topic == "p/t"


def test_topic_aliases_and_options_of_mqtt_5(scripted5: ScriptedBroker) -> None:
    with connected(make_app(scripted5.port, prefix="p", protocol_version=5)) as mqtt:
        mqtt.subscribe("a", options=SubscribeOptions(1, noLocal=True))
        mqtt.subscribe([("b", SubscribeOptions(2))])
        mqtt.publish("t", "1", properties={"ResponseTopic": "answers"})
        packet = scripted5.wait_for("PUBLISH")
        scripted5.wait_for("SUBSCRIBE", count=2)
    assert packet.topic == "p/t"
    assert dict(packet.properties)["ResponseTopic"] == "answers"
    assert filters(scripted5) == ["p/a", "p/b"]


def test_errors_are_those_of_the_client(prefixed: Mqtt) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        prefixed.publish("")
    with pytest.raises(ValueError, match='invalid topic "p/\\+"'):
        prefixed.publish("+")
    with pytest.raises(ValueError, match="must not be longer than 65535 bytes"):
        prefixed.publish("x" * 65_534)
    with pytest.raises(ValueError, match="it must be a filter"):
        prefixed.subscribe(3)
    for wrong in (None, 3):
        with pytest.raises((TypeError, ValueError)):
            prefixed.publish(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="filter"):
        prefixed.on_topic("a#", no_prefix=True)(print)
    with pytest.raises(TypeError, match="callback"):
        prefixed.on_topic("a", no_prefix=True)(lambda: None)
    assert prefixed.topics == {}


def test_a_stand_in_for_the_client_gets_full_topics() -> None:
    with mock.patch("flask_mqtt.Client") as made:
        client = made.return_value
        client.publish.return_value = MQTTMessageInfo((MQTTErrorCode.MQTT_ERR_SUCCESS, 1))
        client.subscribe.return_value = (0, 1)
        mqtt = Mqtt(make_app(1883, prefix="p", last_will_topic="gone"))
        mqtt.subscribe("a")
        mqtt.publish("t", "1")
        mqtt.on_topic("x", no_prefix=True)(note([]))
    client.subscribe.assert_called_once_with(topic="p/a", qos=0)
    client.publish.assert_called_once_with("p/t", "1", 0, False)
    assert client.will_set.call_args.args[0] == "p/gone"
    assert client.message_callback_add.call_args.args[0] == "x"
