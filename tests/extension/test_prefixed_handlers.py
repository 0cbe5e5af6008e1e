"""``MQTT_PREFIX``: which handlers and routes get a message, and with which topic."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import (
    Mqtt,
    MqttBlueprint,
)
from support.apps import make_app
from support.prefixes import filters, note
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import MQTTMessage
    from support.pool import Gate
    from support.scripted import ScriptedBroker


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
