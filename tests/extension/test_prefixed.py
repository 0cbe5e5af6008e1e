"""``MQTT_PREFIX`` at a broker: what has it on the wire, and what handlers get."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from flask import Flask

from flask_mqtt import (
    Mqtt,
    MqttBlueprint,
    MQTTErrorCode,
    MQTTMessageInfo,
    SubscribeOptions,
    TopicQos,
)
from support.apps import make_app
from support.running import connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_mqtt import MQTTMessage
    from support.mosquitto import Mosquitto
    from support.packets import Packet
    from support.pool import Gate
    from support.scripted import ScriptedBroker


@pytest.fixture
def prefixed(scripted: ScriptedBroker) -> Iterator[Mqtt]:
    """A client of `scripted` with the prefix ``p``."""
    app = make_app(scripted.port, config_prefix="MQTT", prefix="p", reconnect_delay_min=0.05)
    with connected(app) as mqtt:
        yield mqtt


def filters(broker: ScriptedBroker, kind: str = "SUBSCRIBE") -> list[str]:
    found = [packet.filters for packet in broker.of(kind)]
    return [item if isinstance(item, str) else item[0] for one in found for item in one]


def note(seen: list[Any], name: str = "") -> Callable[..., None]:
    def handler(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
        seen.append((name, message.topic) if name else message.topic)

    return handler


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


def test_handlers_are_found_by_what_follows_it(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    seen: list[Any] = []
    prefixed.on_topic("a/+")(note(seen, "plain"))
    prefixed.on_topic("#")(note(seen, "all"))
    prefixed.on_topic("$SYS/#")(note(seen, "system"))
    prefixed.on_topic("$share/g/s/+")(note(seen, "shared"))
    prefixed.on_topic("p/a/+", no_prefix=True)(note(seen, "full"))
    prefixed.on_topic("other/#", no_prefix=True)(note(seen, "other"))
    prefixed.on_message()(note(seen, "rest"))
    expected = {
        "p/a/1": [("plain", "a/1"), ("all", "a/1"), ("full", "p/a/1")],
        "p/s/1": [("all", "s/1"), ("shared", "s/1")],
        "p/p/x": [("all", "p/x")],
        "p//x": [("all", "/x")],
        "other/1": [("other", "other/1")],
        "$SYS/x": [("system", "$SYS/x")],
        # Not one of the application's topics, though the filter p/# matches it.
        "p": [("rest", "p")],
        "p/$SYS/x": [("rest", "p/$SYS/x")],
        "a/1": [("rest", "a/1")],
    }
    for topic, calls in [*expected.items(), *expected.items()]:
        seen.clear()
        scripted.publish(topic)
        wait_until(lambda calls=calls: len(seen) >= len(calls))  # type: ignore[misc]
        assert sorted(seen) == sorted(calls), topic
    prefixed.client.message_callback_remove("p/a/+")
    seen.clear()
    scripted.publish("p/a/1")
    scripted.publish("a/1")
    wait_until(lambda: seen[-1:] == [("rest", "a/1")])
    assert sorted(seen[:-1]) == [("all", "a/1"), ("plain", "a/1")]


def test_the_handler_of_all_messages_gets_plain_topics(
    scripted: ScriptedBroker, prefixed: Mqtt
) -> None:
    seen: list[str] = []
    prefixed.on_message()(note(seen))
    for topic in ("p/a", "p/p/a", "x"):
        scripted.publish(topic)
    wait_until(lambda: seen == ["a", "p/a", "x"])


def test_a_handler_may_change_the_topic_for_the_next(
    scripted: ScriptedBroker, prefixed: Mqtt
) -> None:
    seen: list[str] = []

    @prefixed.on_topic("a/b")
    def change(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
        seen.append(message.topic)
        message.topic = "changed"

    prefixed.on_topic("a/+")(note(seen))
    prefixed.on_topic("p/#", no_prefix=True)(note(seen))
    scripted.publish("p/a/b", qos=1)
    scripted.wait_for("PUBACK")
    assert seen == ["a/b", "changed", "p/a/b"]


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
            scripted.wait_for(lambda packet, old=old: old in _names(packet, "UNSUBSCRIBE"))  # type: ignore[misc]
            scripted.wait_for(lambda packet, new=new: new in _names(packet, "SUBSCRIBE"))  # type: ignore[misc]
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
    scripted.wait_for(lambda packet: "p/c" in _names(packet, "SUBSCRIBE"))
    again = [name for packet in scripted.packets[count:] for name in _names(packet, "SUBSCRIBE")]
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
    scripted.wait_for(lambda packet: "p/c" in _names(packet, "SUBSCRIBE"))
    again = [name for packet in scripted.packets[count:] for name in _names(packet, "SUBSCRIBE")]
    assert sorted(again) == ["b", "p/c"]


def test_another_dict_in_the_place_of_topics(scripted: ScriptedBroker, prefixed: Mqtt) -> None:
    prefixed.subscribe("a")
    prefixed.subscribe("b", no_prefix=True)
    scripted.wait_for("SUBSCRIBE", count=2)
    prefixed.topics = {"x": TopicQos("x", 0)}
    count = len(scripted.packets)
    scripted.session_present = True
    scripted.drop()
    scripted.wait_for(lambda packet: "p/x" in _names(packet, "SUBSCRIBE"))
    later = scripted.packets[count:]
    assert [name for packet in later for name in _names(packet, "SUBSCRIBE")] == ["p/x"]


def _names(packet: Packet, kind: str) -> list[str]:
    return [item[0] for item in packet.filters] if packet.kind == kind else []


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
        other.publish(f"{prefix}/kept/1", "kept", qos=1, retain=True).wait_for_publish(5)
        mqtt.publish("kept/2", "kept", qos=1, retain=True).wait_for_publish(5)
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
            mqtt.publish(f"kept/{number}", retain=True, qos=1).wait_for_publish(5)


def test_a_pool_keeps_the_order_of_each_topic(scripted: ScriptedBroker, gate: Gate) -> None:
    app = make_app(scripted.port, prefix="p", handler_threads=2)
    with connected(app) as mqtt:
        mqtt.on_message()(gate.handle)
        for topic in ("p/shut", "p/shut", "p/b"):
            scripted.publish(topic, qos=1)
        wait_until(lambda: [topic for topic, _ in gate.seen] == ["b"])
        wait_until(lambda: gate.entered.count("shut") == 1)
        gate.open("shut")
        scripted.wait_for("PUBACK", count=3)
    assert [topic for topic, _ in gate.seen] == ["b", "shut", "shut"]


def test_many_messages_at_once(scripted: ScriptedBroker, threads: int) -> None:
    """So many that the core would call the handlers itself without a prefix."""
    seen: list[str] = []
    app = make_app(scripted.port, prefix="p", handler_threads=threads)
    with connected(app) as mqtt:
        mqtt.on_topic("a/#")(note(seen))
        mqtt.on_message()(note(seen))
        topics = [f"{prefix}{number}" for number in range(500) for prefix in ("p/a/", "p/p/", "")]
        for topic in topics:
            scripted.publish(topic)
        wait_until(lambda: len(seen) == len(topics))
    assert sorted(seen) == sorted(topic.removeprefix("p/") for topic in topics)
    if threads == 1:
        assert seen == [topic.removeprefix("p/") for topic in topics]


def test_a_pool_that_runs_gets_a_new_prefix(scripted: ScriptedBroker) -> None:
    seen: list[str] = []
    app = make_app(scripted.port, handler_threads=2)
    with connected(app) as mqtt:
        mqtt.on_message()(note(seen))
        scripted.publish("p/a")
        wait_until(lambda: seen == ["p/a"])
        app.config["MQTT_PREFIX"] = "p"
        mqtt.init_app(app)
        wait_until(lambda: scripted.connections == 2 and mqtt.connected)
        scripted.publish("p/a")
        wait_until(lambda: seen == ["p/a", "a"])


def test_a_message_that_comes_again_has_its_full_topic(scripted: ScriptedBroker) -> None:
    """Ctrl-C before the handler began: the message is handled once more, under one prefix less."""
    seen: list[str] = []
    interrupted: list[int] = []

    class App(Flask):
        def app_context(self) -> Any:
            if not interrupted and threading.current_thread() is threading.main_thread():
                interrupted.append(1)
                raise KeyboardInterrupt
            return super().app_context()

    app = App("tests")
    app.config.update(make_app(scripted.port, prefix="p").config)
    with Mqtt(app) as mqtt:
        wait_until(lambda: mqtt.connected)
        mqtt.client.loop_stop()
        mqtt.client.reconnect()
        while not mqtt.client.is_connected():
            mqtt.client.loop(0.1)
        interrupted.clear()
        mqtt.on_message()(note(seen))
        scripted.publish("p/p/x", qos=1)
        with pytest.raises(KeyboardInterrupt):
            mqtt.client.loop_forever()
        while not seen:
            mqtt.client.loop(0.1)
    assert seen == ["p/x"]


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


def test_routes(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    mqtt = Mqtt()

    @mqtt.topic("lamps/<int:number>", qos=1)
    def lamp(_client: Any, message: MQTTMessage, number: int) -> None:
        seen.append(("lamp", message.topic, number))

    @mqtt.topic("news/<name>", no_prefix=True)
    def news(_client: Any, message: MQTTMessage, name: str) -> None:
        seen.append(("news", message.topic, name))

    @mqtt.topic("jobs/<path:job>", share="g")
    def work(_client: Any, message: MQTTMessage, job: str) -> None:
        seen.append(("work", message.topic, job))

    mqtt.init_app(make_app(scripted.port, prefix="p"))
    with mqtt:
        scripted.wait_for("SUBSCRIBE", count=3)
        assert filters(scripted) == ["p/lamps/+", "news/+", "$share/g/p/jobs/#"]
        for topic in ("p/lamps/3", "news/today", "p/jobs/a/b", "lamps/3", "p/news/today"):
            scripted.publish(topic, qos=1)
        scripted.wait_for("PUBACK", count=5)
        assert seen == [
            ("lamp", "lamps/3", 3),
            ("news", "news/today", "today"),
            ("work", "jobs/a/b", "a/b"),
        ]
        assert mqtt.topic_for("lamp", number=3) == "lamps/3"
        assert mqtt.topic_for("lamp", absolute=True, number=3) == "p/lamps/3"
        assert mqtt.topic_for("news", absolute=True, name="x") == "news/x"
        with pytest.raises(ValueError, match="no_prefix is True for the first"):
            mqtt.topic("news/<name>")(news)


def test_blueprints(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    blueprint = MqttBlueprint("site", prefix="site/<int:number>")

    @blueprint.topic("door")
    def door(_client: Any, message: MQTTMessage, number: int) -> None:
        seen.append((message.topic, number))

    blueprint.on_topic("lamp")(note(seen, "plain"))
    blueprint.on_topic("news", no_prefix=True)(note(seen, "full"))
    mqtt = Mqtt()
    mqtt.register_blueprint(blueprint)
    with mqtt:
        mqtt.init_app(make_app(scripted.port, prefix="p"))
        scripted.wait_for("SUBSCRIBE")
        assert filters(scripted) == ["p/site/+/door"]
        for topic in ("p/site/1/door", "p/site/2/lamp", "site/3/news", "p/site/3/news"):
            scripted.publish(topic, qos=1)
        scripted.wait_for("PUBACK", count=4)
    assert seen == [("site/1/door", 1), ("plain", "site/2/lamp"), ("full", "site/3/news")]


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
