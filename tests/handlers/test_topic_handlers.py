"""Handlers of topics: those of shared subscriptions, many at once, and changes while they run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTv5, MQTTv311
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def subscribe(mqtt: Mqtt, *filters: str) -> None:
    """Subscribe, and wait until the broker has done so."""
    answered = threading.Event()
    mqtt.on_subscribe()(lambda *_: answered.set())
    mqtt.subscribe(list(filters))
    assert answered.wait(20)


@pytest.mark.parametrize("version", [MQTTv311, MQTTv5])
def test_the_handler_of_a_shared_subscription_gets_its_messages(
    broker: Mosquitto, version: int
) -> None:
    topic = f"shared/{version}/jobs"
    shared = f"$share/workers/{topic}/+"
    seen: list[tuple[str, str]] = []
    with connected(make_app(broker.port, protocol_version=version)) as mqtt:

        def note(name: str) -> None:
            mqtt.on_topic(name)(lambda _c, _u, message: seen.append((name, message.topic)))

        note(shared)
        subscribe(mqtt, shared)
        mqtt.publish(f"{topic}/1")
        wait_until(lambda: seen == [(shared, f"{topic}/1")])
        note(f"{topic}/+")
        mqtt.publish(f"{topic}/2")
        wait_until(lambda: len(seen) == 3)
        assert seen[1:] == [(shared, f"{topic}/2"), (f"{topic}/+", f"{topic}/2")]
        mqtt.client.message_callback_remove(shared)
        mqtt.publish(f"{topic}/3")
        wait_until(lambda: len(seen) == 4)
        assert seen[3] == (f"{topic}/+", f"{topic}/3")


def test_each_message_goes_to_one_of_the_workers(broker: Mosquitto) -> None:
    app = make_app(broker.port)
    seen: list[tuple[str, bytes]] = []
    with connected(app) as one, connected(app) as other:
        for name, worker in (("one", one), ("other", other)):
            worker.on_topic("$share/team/tasks/#")(
                lambda _c, _u, message, name=name: seen.append((name, message.payload))
            )
            subscribe(worker, "$share/team/tasks/#")
        for number in range(20):
            one.publish("tasks/x", str(number), qos=1)
        wait_until(lambda: len(seen) == 20)
    assert {payload for _, payload in seen} == {str(number).encode() for number in range(20)}
    assert {name for name, _ in seen} == {"one", "other"}


def test_a_handler_may_add_and_remove_handlers(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[str] = []

    @mqtt.on_topic("a/b")
    def change(*_: Any) -> None:
        seen.append("change")
        mqtt.client.message_callback_remove("a/+")
        mqtt.on_topic("a/#")(lambda *_: seen.append("added"))

    mqtt.on_topic("a/+")(lambda *_: seen.append("removed"))
    scripted.publish("a/b")
    # Who gets a message is decided before the first handler of it runs.
    wait_until(lambda: seen == ["change", "removed"])
    scripted.publish("a/b")
    wait_until(lambda: seen[2:] == ["change", "added"])


def test_handlers_come_and_go_while_messages_are_handled(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[int] = []
    rest: list[str] = []
    mqtt.on_topic("home/+")(lambda _c, _u, message: seen.append(int(message.payload)))
    mqtt.on_message()(lambda _c, _u, message: rest.append(message.topic))
    over = threading.Event()

    def change(name: str) -> None:
        while not over.is_set():
            mqtt.on_topic(f"$share/{name}/home/1")(lambda *_: None)
            mqtt.on_topic(f"{name}/#")(lambda *_: None)
            mqtt.client.message_callback_remove(f"{name}/#")
            mqtt.client.message_callback_remove(f"$share/{name}/home/1")

    threads = [threading.Thread(target=change, args=(name,)) for name in ("x", "y")]
    for thread in threads:
        thread.start()
    for number in range(3_000):
        scripted.publish(f"home/{number % 3}", str(number).encode())
    wait_until(lambda: len(seen) == 3_000, timeout=20)
    over.set()
    for thread in threads:
        thread.join()
    # Nothing that was found while they changed is remembered.
    scripted.publish("x/1")
    wait_until(lambda: rest)
    assert seen == list(range(3_000))
    assert rest == ["x/1"]


def test_more_topics_than_are_remembered_find_their_handlers(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[str] = []
    mqtt.on_topic("room/+")(lambda _c, _u, message: seen.append(message.topic))
    topics = [f"room/{number}" for number in range(10_000)] * 2
    for topic in topics:
        scripted.publish(topic)
    wait_until(lambda: len(seen) == len(topics), timeout=20)
    assert seen == topics


def test_the_longest_topic_finds_its_handlers(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[str] = []
    levels = 32_768  # of one character each: 65,535 bytes
    for filter_ in ("/".join("+" * levels), "/".join("+" * (levels - 1)), "a/#"):
        mqtt.on_topic(filter_)(lambda *_, filter_=filter_: seen.append(filter_[-3:]))
    topic = "/".join("a" * levels)
    scripted.publish(topic)
    scripted.publish(topic)
    wait_until(lambda: len(seen) == 4)
    assert seen == ["a/#", "+/+"] * 2


def test_handlers_beside_each_other_are_called_in_the_order_of_registration(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    client, seen = mqtt.client, list[str]()
    routes = client._parts.dispatcher

    def note(name: str) -> Any:
        return lambda *_: seen.append(name)

    def called() -> list[str]:
        seen.clear()
        scripted.publish("a/b")
        scripted.publish("last")
        wait_until(lambda: "last" in seen)
        return seen[:-1]

    client.message_callback_add("last", note("last"))
    assert called() == []
    first = routes.add_route_beside("a/+", note("first"))
    client.message_callback_add("a/+", note("set"))
    third = routes.add_route_beside("a/+", note("third"))
    exact = routes.add_route_beside("a/b", note("exact"))
    assert called() == ["exact", "first", "set", "third"]
    # The one that is set is replaced by the next one, in its place, and no other is.
    mqtt.on_topic("a/+")(note("set again"))
    assert called() == ["exact", "first", "set again", "third"]
    client.message_callback_remove("a/+")
    assert called() == ["exact", "first", "third"]
    client.message_callback_remove("a/+")
    assert called() == ["exact", "first", "third"]
    # Exactly that one goes, and its number means nothing any more, nor elsewhere.
    routes.remove_route("a/+", first)
    routes.remove_route("a/+", first)
    routes.remove_route("a/b", third)
    assert called() == ["exact", "third"]
    fourth = routes.add_route_beside("a/+", note("fourth"))
    assert len({first, third, exact, fourth}) == 4
    mqtt.on_topic("a/+")(note("set"))
    assert called() == ["exact", "third", "fourth", "set"]
    for sub, number in [("a/+", third), ("a/+", fourth), ("a/b", exact)]:
        routes.remove_route(sub, number)
    assert called() == ["set"]
    client.message_callback_remove("a/+")
    mqtt.on_message()(note("nobody's"))
    assert called() == ["nobody's"]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_message_is_acknowledged_after_all_handlers_of_its_filter(
    scripted: ScriptedBroker, threads: int
) -> None:
    """Where one fails, the others are called; one that comes meanwhile gets the next message."""
    seen: list[str] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        routes = mqtt.client._parts.dispatcher

        def fail(*_: Any) -> None:
            seen.append("fails")
            raise RuntimeError("on purpose")

        def change(*_: Any) -> None:
            seen.append("changes")
            routes.remove_route("a", failing)
            routes.add_route_beside("a", lambda *_: seen.append("new"))
            routes.remove_route("a", changing)

        def look(*_: Any) -> None:
            seen.append(f"{len(scripted.of('PUBACK'))} PUBACK")

        failing = routes.add_route_beside("a", fail)
        changing = routes.add_route_beside("a", change)
        routes.add_route_beside("a", look)
        scripted.publish("a", qos=1)
        scripted.wait_for("PUBACK")
        assert seen == ["fails", "changes", "0 PUBACK"]
        seen.clear()
        scripted.publish("a", qos=1)
        scripted.wait_for("PUBACK", 2)
        assert seen == ["1 PUBACK", "new"]
