"""What Flask-MQTT leaves to the application: `topics`, its attributes, `app.extensions`."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import Client, Mqtt, SubscribeOptions, TopicQos
from flask_mqtt.config import NAMES
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from support.scripted import ScriptedBroker

EDITS: dict[str, Callable[[Any], Any]] = {
    "put in": lambda topics: topics.__setitem__("d", TopicQos("d", 1)),
    "update": lambda topics: topics.update({"d": TopicQos("d", 1)}),
    "or": lambda topics: topics.__ior__({"d": TopicQos("d", 1)}),
    "setdefault": lambda topics: topics.setdefault("d", TopicQos("d", 1)),
    "a tuple": lambda topics: topics.__setitem__("d", ("d", 1)),
    "change": lambda topics: topics.__setitem__("b", TopicQos("b", 2)),
    "delete": lambda topics: topics.__delitem__("b"),
    "pop": lambda topics: topics.pop("b"),
    "pop nothing": lambda topics: topics.pop("x", None),
    "popitem": lambda topics: topics.popitem(),
    "clear": lambda topics: topics.clear(),
}


def app_of(broker: ScriptedBroker, **config: Any) -> Flask:
    return make_app(broker.port, reconnect_delay_min=0.1, **config)


def wanted(topics: dict[str, TopicQos]) -> set[tuple[str, int]]:
    return {(name, qos) for name, qos in topics.values()}


def filters(broker: ScriptedBroker, connection: int) -> list[tuple[str, int]]:
    """Return what was subscribed to on a connection, in order, once everything has come."""
    packets = [one for one in broker.of("SUBSCRIBE") if one.connection == connection]
    return [item for one in packets for item in one.filters]


def subscribed(mqtt: Mqtt) -> None:
    for topic, qos in (("a", 0), ("b", 1), ("c", 2)):
        mqtt.subscribe(topic, qos)


def lost(broker: ScriptedBroker, mqtt: Mqtt) -> None:
    """End the connection, and wait until the extension knows it; no other one follows yet."""
    told = threading.Event()
    mqtt.on_disconnect()(lambda *_: told.set())
    broker.stop_listening()
    broker.drop()
    assert told.wait(20)


def assert_next_connection(broker: ScriptedBroker, mqtt: Mqtt, number: int) -> None:
    """Look at what a connection subscribes to: exactly what is in `topics`, each once."""
    wait_until(lambda: mqtt.stats()["connections"] == number)
    # A message is handled after all that a new connection brings; `connected` is true before that.
    handled = threading.Event()
    mqtt.on_message()(lambda *_: handled.set())
    broker.publish("first")
    assert handled.wait(20)
    mqtt.publish("end", qos=1)
    wait_until(lambda: any(one.connection == number for one in broker.of("PUBLISH")))
    found = filters(broker, number)
    assert len(found) == len(set(found))
    assert set(found) == wanted(mqtt.topics)


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
@pytest.mark.parametrize("when", ["connected", "offline", "before"])
def test_an_edit_counts_for_the_next_connection(
    scripted: ScriptedBroker, edit: Callable[[Any], Any], when: str
) -> None:
    mqtt = Mqtt()
    with mqtt:
        if when == "before":
            subscribed(mqtt)
            edit(mqtt.topics)
            mqtt.init_app(app_of(scripted))
            assert_next_connection(scripted, mqtt, 1)
            return
        mqtt.init_app(app_of(scripted))
        wait_until(lambda: mqtt.connected)
        subscribed(mqtt)
        scripted.wait_for("SUBSCRIBE", 3)
        if when == "connected":
            edit(mqtt.topics)
        lost(scripted, mqtt)
        if when == "offline":
            edit(mqtt.topics)
        scripted.listen()
        assert_next_connection(scripted, mqtt, 2)


@pytest.mark.parametrize("offline", [False, True])
def test_another_dict_takes_its_place(scripted: ScriptedBroker, offline: bool) -> None:
    mine = {"b": TopicQos("b", 1), "d": TopicQos("d", 2)}
    with connected(app_of(scripted)) as mqtt:
        subscribed(mqtt)
        scripted.wait_for("SUBSCRIBE", 3)
        if not offline:
            mqtt.topics = mine
        lost(scripted, mqtt)
        if offline:
            mqtt.topics = mine
        scripted.listen()
        assert_next_connection(scripted, mqtt, 2)
        assert mqtt.topics is mine
        mqtt.subscribe("e")
        assert mine["e"] == ("e", 0)
        del mine["b"]
        lost(scripted, mqtt)
        scripted.listen()
        assert_next_connection(scripted, mqtt, 3)


def test_what_is_taken_out_of_ones_own_dict_too_late_is_unsubscribed_from(
    scripted: ScriptedBroker,
) -> None:
    with connected(app_of(scripted)) as mqtt:
        mine: dict[str, TopicQos] = {}
        mqtt.topics = mine
        mqtt.subscribe("a")
        scripted.wait_for("SUBSCRIBE")
        # The client has the subscription for the next connection by now.
        mqtt.on_disconnect()(lambda *_: mine.clear())
        scripted.drop()
        assert scripted.wait_for("UNSUBSCRIBE").connection == 2


def test_an_edit_of_the_present_connection_changes_nothing_on_it(scripted: ScriptedBroker) -> None:
    with connected(app_of(scripted)) as mqtt:
        subscribed(mqtt)
        del mqtt.topics["a"]
        mqtt.topics["d"] = TopicQos("d", 0)
        assert mqtt.unsubscribe("a") is None
        mqtt.publish("end", qos=1)
        scripted.wait_for("PUBLISH")
        assert len(scripted.of("SUBSCRIBE")) == 3
        assert not scripted.of("UNSUBSCRIBE")


def test_an_entry_that_cannot_be_subscribed_to_is_logged(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topics: Any
    seen: list[int] = []
    with connected(app_of(scripted)) as mqtt:
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: seen.append(rc))
        # What is edited before that would count for the first connection too.
        wait_until(lambda: seen)
        topics = mqtt.topics
        topics["a"], topics["b"], topics["c/#/d"] = 5, TopicQos("b", 1), TopicQos("c/#/d", 0)
        scripted.drop()
        wait_until(lambda: scripted.connections == 2)
        wait_until(lambda: len(seen) == 2)
    assert filters(scripted, 2) == [("b", 1)]
    errors = [text for text in caplog.messages if "mqtt.topics" in text]
    assert [text.partition(":")[0] for text in errors] == [
        "mqtt.topics['a'] = 5",
        "mqtt.topics['c/#/d'] = TopicQos(topic='c/#/d', qos=0)",
    ]


def test_options_outlive_a_connection_and_a_method_that_is_replaced(
    scripted: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []
    subscribe = Client.subscribe

    def watch(self: Client, **arguments: Any) -> Any:
        calls.append(arguments)
        return subscribe(self, **arguments)

    monkeypatch.setattr(Client, "subscribe", watch)
    options = SubscribeOptions(1, noLocal=True)
    scripted.close()
    mqtt = Mqtt()
    mqtt.client._parts.settings.change(protocol_version=5)
    mqtt.subscribe("a", options=options)
    mqtt._handle_connect(mqtt.client, None, {}, 0)
    assert calls == [
        {"topic": "a", "qos": 0, "options": options},
        {"topic": "a", "options": options},
    ]


@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        dict,
        lambda topics: topics.copy(),
        lambda topics: pickle.loads(pickle.dumps(topics)),
    ],
)
def test_a_copy_of_topics_is_a_plain_dict(copied: Callable[[Any], Any]) -> None:
    mqtt = Mqtt()
    mqtt.subscribe("a", 1)
    other = copied(mqtt.topics)
    assert type(other) is dict
    assert other == mqtt.topics == {"a": ("a", 1)}


# -- attributes -------------------------------------------------------------------------------


def names_of_ours() -> list[str]:
    """What an extension has that Flask-MQTT's has not, and keeps under a name of its own."""
    original = set(Mqtt.__annotations__)
    return sorted(NAMES - original)


@pytest.mark.parametrize("before", [False, True])
def test_every_attribute_of_a_subclass_stays(scripted: ScriptedBroker, before: bool) -> None:
    further = """stats close _values _given _started _apply _core _registrar _log_refusal
    _handle_fork _topics _handlers _options"""
    names = [*names_of_ours(), *further.split()]

    class Mine(Mqtt):
        def __init__(self, app: Flask) -> None:
            if before:
                self.set_all()
            super().__init__(app)
            if not before:
                self.set_all()

        def set_all(self) -> None:
            for name in names:
                setattr(self, name, f"my {name}")

    mine: Any = Mine(app_of(scripted, client_id="me"))
    wait_until(lambda: mine.connected)
    mine.subscribe("a")
    mine.publish("b", "1")
    scripted.wait_for("PUBLISH")
    scripted.drop()
    wait_until(lambda: len(scripted.of("SUBSCRIBE")) == 2)
    wait_until(lambda: mine.connected)
    mine.unsubscribe_all()
    mine._disconnect()
    mine._connect()
    wait_until(lambda: mine.connected)
    assert [getattr(mine, name) for name in names] == [f"my {name}" for name in names]
    mine._disconnect()
    mine.client.close()


def test_a_class_of_the_same_name_with_properties(scripted: ScriptedBroker) -> None:
    class Mqtt(flask_mqtt.Mqtt):
        transport = "road"

        @property
        def proxy(self) -> str:
            return "mine"

        @property
        def persistence(self) -> str:
            return "mine too"

    with Mqtt(app_of(scripted)) as mqtt:
        wait_until(lambda: mqtt.connected)
        assert (mqtt.transport, mqtt.proxy, mqtt.persistence) == ("road", "mine", "mine too")


def test_a_class_of_the_same_name_with_private_names_of_its_own(scripted: ScriptedBroker) -> None:
    # Python makes `_Mqtt__handlers` and so on of them, whichever class of that name it is.
    words = "handlers values started read refusals subscribed apply hook core call register"

    class Mqtt(flask_mqtt.Mqtt):
        def __init__(self, app: Flask) -> None:
            for word in words.split():
                setattr(self, f"_Mqtt__{word}", word)
            super().__init__(app)

    with Mqtt(app_of(scripted)) as mqtt:
        wait_until(lambda: mqtt.connected)
        mqtt.subscribe("a")
        scripted.wait_for("SUBSCRIBE")
        assert [getattr(mqtt, f"_Mqtt__{word}") for word in words.split()] == words.split()


def test_a_class_may_have_topics(scripted: ScriptedBroker) -> None:
    class Mine(Mqtt):
        topics: dict[str, TopicQos] = {}  # noqa: RUF012 - as applications write it

    with Mine(app_of(scripted)) as mine:
        wait_until(lambda: mine.connected)
        mine.subscribe("a", 1)
        assert mine.topics == {"a": ("a", 1)}
        assert not Mine.topics
        assert mine.unsubscribe("a") is not None
        assert not mine.topics


def test_a_value_can_be_read_where_a_subclass_has_nothing_of_its_name() -> None:
    mqtt: Any = Mqtt()
    assert (mqtt.transport, mqtt.max_inflight) == ("tcp", 20)
    with pytest.raises(AttributeError, match="'Mqtt' object has no attribute 'nothing'"):
        _ = mqtt.nothing


def test_an_attribute_assigned_before_init_app_holds_where_no_key_is_set(
    scripted: ScriptedBroker,
) -> None:
    mqtt = Mqtt()
    mqtt.username, mqtt.client_id = "ann", "mine"
    with mqtt:
        mqtt.init_app(app_of(scripted, client_id="theirs"))
        connect = scripted.wait_for("CONNECT").connect
    assert connect is not None
    assert (connect.username, connect.client_id) == ("ann", "theirs")


def test_a_client_of_ones_own_takes_its_place(scripted: ScriptedBroker) -> None:
    mqtt = Mqtt()
    mqtt.client = Client(client_id="mine")
    with mqtt:
        mqtt.init_app(app_of(scripted))
        wait_until(lambda: mqtt.connected)
        connect = scripted.wait_for("CONNECT").connect
    assert connect is not None
    assert connect.client_id == "mine"


# -- app.extensions ---------------------------------------------------------------------------


class Strange:
    """An object that does nothing that others do."""

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __bool__(self) -> bool:
        raise RuntimeError


@pytest.mark.parametrize(
    "other", [None, 5, "text", [], {}, {"MQTT": 1}, object(), Mqtt, Strange()], ids=type
)
def test_something_else_among_the_extensions_is_left_alone(
    scripted: ScriptedBroker, other: Any
) -> None:
    app = app_of(scripted)
    app.extensions["mqtt"] = other
    before = dict(other) if isinstance(other, dict) else None
    with connected(app) as mqtt:
        mqtt.init_app(app)
        assert app.extensions["mqtt"] is other
        assert before is None or other == before
    assert scripted.connections == 1


@pytest.mark.parametrize("missing", ["deleted", None])
def test_an_application_without_extensions(scripted: ScriptedBroker, missing: str | None) -> None:
    app: Any = app_of(scripted)
    if missing:
        del app.extensions
    else:
        app.extensions = None
    with connected(app) as mqtt:
        assert app.extensions == {"mqtt": {"MQTT": mqtt}}


def test_two_with_the_same_prefix_both_connect(scripted: ScriptedBroker) -> None:
    app = app_of(scripted)
    with connected(app) as first, connected(app) as second:
        assert first.connected
        assert app.extensions["mqtt"] == {"MQTT": second}
        first.init_app(app)
        second.init_app(app)
        assert scripted.connections == 2


def test_a_class_behind_the_extension_keeps_its_names_too() -> None:
    class Mixin:
        transport = "by bicycle"

    class Mine(Mqtt, Mixin):
        pass

    assert Mine().transport == Mine.transport == "by bicycle"
    assert getattr(Mqtt(), "transport") == "tcp"  # noqa: B009 - it is not declared
