"""`MultiMQTT`: what is on the wire, and what its handlers get."""

from __future__ import annotations

import gc
import json
import logging
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, current_app

from flask_mqtt.extension.routes import routes_of
from flask_multimqtt import MultiMQTT
from support.children import in_child
from support.ports import closed_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_mqtt import MQTTMessage
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def make_app(port: int, prefix: str = "p", **config: Any) -> Flask:
    app = Flask("tests")
    app.config["MQTT_URI"] = f"mqtt://127.0.0.1:{port}/{prefix}"
    app.config["MQTT_RECONNECT_DELAY_MIN"] = 0.05
    app.config.update(config)
    return app


@pytest.fixture
def mqtt(scripted: ScriptedBroker) -> Iterator[MultiMQTT]:
    """One for `scripted`, with the prefix ``p``, that is to connect."""
    with MultiMQTT(make_app(scripted.port)) as mqtt:
        yield mqtt


def connect(mqtt: MultiMQTT) -> None:
    mqtt.connect()
    wait_until(lambda: mqtt.connected)


def subscriptions(broker: ScriptedBroker) -> list[tuple[str, int]]:
    return [item for packet in broker.of("SUBSCRIBE") for item in packet.filters]


def test_it_connects_when_it_is_told_to(scripted: ScriptedBroker, mqtt: MultiMQTT) -> None:
    mqtt.register_topic("a")
    assert not mqtt.connected
    assert scripted.connections == 0
    connect(mqtt)
    mqtt.connect()
    mqtt.init_app(mqtt.app or Flask("none"))
    scripted.wait_for("SUBSCRIBE")
    assert scripted.connections == 1
    mqtt.close()
    assert not mqtt.connected
    assert scripted.of("DISCONNECT")


def test_without_an_application_it_cannot_connect() -> None:
    with pytest.raises(RuntimeError, match=r"connect\(\): there is no application yet; call init"):
        MultiMQTT().connect()


def test_no_broker_is_an_error_of_connect() -> None:
    mqtt = MultiMQTT(make_app(closed_port()))
    with pytest.raises(ConnectionRefusedError):
        mqtt.connect()
    mqtt.close()


def test_the_client_identifier(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, MQTT_CLIENT_ID="key")
    for mqtt, expected in (
        (MultiMQTT(app), "key"),
        (MultiMQTT(app, "argument"), "argument"),
        (MultiMQTT(client_id="argument"), "argument"),
    ):
        with mqtt:
            if mqtt.app is None:
                mqtt.init_app(app)
            connect(mqtt)
            assert expected.encode() in scripted.of("CONNECT")[-1].raw
            assert mqtt.client_id == expected
    with MultiMQTT(client_id="one") as mqtt:
        mqtt.init_app(app, client_id="other")
        assert mqtt.client_id == "other"


def test_topics_that_were_registered_before_init_app(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    mqtt = MultiMQTT()

    @mqtt.topic("number/<int:number>")
    def number_topic(_client: Any, message: MQTTMessage, number: int) -> None:
        seen.append((message.topic, number, current_app.name))

    with mqtt:
        mqtt.init_app(make_app(scripted.port))
        assert list(mqtt.topics) == ["p/number/+"]
        connect(mqtt)
        scripted.wait_for("SUBSCRIBE")
        scripted.publish("p/number/42")
        wait_until(lambda: seen == [("number/42", 42, "tests")])


def test_what_is_registered_while_it_is_connected(
    scripted: ScriptedBroker, mqtt: MultiMQTT
) -> None:
    connect(mqtt)
    topic = mqtt.register_topic("a/<x>", qos=1)
    scripted.wait_for("SUBSCRIBE")
    assert subscriptions(scripted) == [("p/a/+", 1)]
    topic.on_message(lambda *_, **__: None)
    assert mqtt.register_topic("a/<x>", qos=1) is topic
    mqtt.register_topic("a/<y>", qos=1)
    mqtt.publish("end", "")
    scripted.wait_for("PUBLISH")
    assert subscriptions(scripted) == [("p/a/+", 1)]
    scripted.drop()
    wait_until(lambda: scripted.connections == 2 and mqtt.connected)
    scripted.wait_for("SUBSCRIBE", count=2)
    assert subscriptions(scripted) == [("p/a/+", 1)] * 2


def test_two_topics_with_one_filter_have_their_own_names(
    scripted: ScriptedBroker, mqtt: MultiMQTT
) -> None:
    """Flask-MultiMQTT gives both the values of the first."""
    seen: list[Any] = []
    first, second = mqtt.register_topic("a/<int:x>"), mqtt.register_topic("a/<y>", qos=1)
    first.on_message(lambda _client, _message, x: seen.append(x))
    second.on_message(lambda _client, _message, y: seen.append(y))
    connect(mqtt)
    scripted.wait_for("SUBSCRIBE")
    assert subscriptions(scripted) == [("p/a/+", 1)]
    assert mqtt.topics == {"p/a/+": first}
    for payload in ("1", "x"):
        scripted.publish(f"p/a/{payload}")
    wait_until(lambda: seen == [1, "1", "x"])


def test_handlers_are_called_in_their_order(scripted: ScriptedBroker, mqtt: MultiMQTT) -> None:
    seen: list[int] = []
    topic = mqtt.register_topic("a")
    handlers = [lambda *_, number=number: seen.append(number) for number in range(20)]
    for handler in handlers:
        topic.on_message(handler)
        mqtt.on_connect(lambda handler=handler: handler())  # type: ignore[misc]
    assert topic.handlers == handlers
    topic.on_message(handlers[0])
    connect(mqtt)
    wait_until(lambda: len(seen) == 20)
    scripted.publish("p/a")
    wait_until(lambda: len(seen) == 40)
    assert seen == [*range(20)] * 2
    topic.on_message(handlers[3], remove=True)
    scripted.publish("p/a", qos=1)
    scripted.wait_for("PUBACK")
    assert seen[40:] == [number for number in range(20) if number != 3]


def test_a_topic_without_handlers_stays_subscribed_to(
    scripted: ScriptedBroker, mqtt: MultiMQTT
) -> None:
    def handler(_client: Any, _message: Any, x: int) -> None:
        seen.append(x)

    seen: list[int] = []
    topic = mqtt.register_topic("a/<int:x>", route_name="one")
    topic.on_message(handler)
    routes = {route.handler for route in routes_of(mqtt.mqtt)}
    topic.on_message(handler, remove=True)
    assert (topic.name, mqtt.topic_for("one", x=1)) == ("p/a/+", "a/1")
    connect(mqtt)
    scripted.wait_for("SUBSCRIBE")
    scripted.publish("p/a/1", qos=1)
    scripted.wait_for("PUBACK")
    assert seen == []
    topic.on_message(handler)
    assert {route.handler for route in routes_of(mqtt.mqtt)} == routes
    scripted.publish("p/a/2")
    wait_until(lambda: seen == [2])
    assert subscriptions(scripted) == [("p/a/+", 0)]


def test_a_topic_with_a_handler_is_one_route(mqtt: MultiMQTT) -> None:
    def handler(_client: Any, _message: Any, x: str) -> None: ...

    mqtt.topic("a/<x>", name="one")(handler)
    assert [route.name for route in routes_of(mqtt.mqtt)] == ["one"]
    mqtt.topic("a/<x>", name="other")(handler)
    assert [route.name for route in routes_of(mqtt.mqtt) if route.handler is handler] == ["one"]
    assert mqtt.topic_for("one", x="b") == mqtt.topic_for("other", x="b") == "a/b"


def test_removing_what_is_not_there(mqtt: MultiMQTT) -> None:
    for remove in (mqtt.on_connect, mqtt.on_disconnect, mqtt.register_topic("a").on_message):
        with pytest.raises(KeyError, match="is no handler of"):
            remove(print, remove=True)


def test_handlers_of_connections(
    scripted: ScriptedBroker, mqtt: MultiMQTT, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    def fails() -> None:
        raise LookupError("hm")

    async def later() -> None:
        seen.append(("later", current_app.name))

    def gone() -> None:
        seen.append(("gone", mqtt.connected))

    removed = threading.Event()
    mqtt.on_connect(removed.set)
    mqtt.on_connect(fails)
    mqtt.on_connect(later)
    mqtt.on_connect(later)
    mqtt.on_connect(removed.set, remove=True)
    mqtt.on_disconnect(gone)
    connect(mqtt)
    wait_until(lambda: seen == [("later", "tests")])
    assert not removed.is_set()
    assert "MQTT handler" in caplog.text
    assert "LookupError: hm" in caplog.text
    scripted.drop()
    wait_until(lambda: seen == [("later", "tests"), ("gone", False), ("later", "tests")])


def test_a_refused_connection_is_none(scripted: ScriptedBroker, mqtt: MultiMQTT) -> None:
    scripted.connack = [5, 0]
    seen: list[bool] = []
    mqtt.on_connect(lambda: seen.append(mqtt.connected))
    mqtt.connect()
    wait_until(lambda: scripted.connections == 2 and mqtt.connected)
    wait_until(lambda: seen)
    assert seen == [True]


@pytest.mark.parametrize("handler", [lambda client: None, None, 3, lambda *, needed: None])
def test_handlers_that_cannot_be_called(mqtt: MultiMQTT, handler: Any) -> None:
    for register in (mqtt.on_connect, mqtt.on_disconnect, mqtt.register_topic("a").on_message):
        with pytest.raises(TypeError):
            register(handler)


@pytest.mark.parametrize("version", [4, 5])
def test_nolocal(broker: Mosquitto, version: int, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[str, bytes]] = []
    config = {"MQTT_PROTOCOL_VERSION": version}
    with (
        MultiMQTT(make_app(broker.port, "nolocal", **config)) as mqtt,
        MultiMQTT(make_app(broker.port, "nolocal", **config)) as other,
    ):

        @mqtt.topic(f"{version}", nolocal=True)
        def note(_client: Any, message: MQTTMessage) -> None:
            seen.append((message.topic, message.payload))

        subscribed = threading.Event()
        mqtt.mqtt.on_subscribe()(lambda *_: subscribed.set())
        connect(mqtt)
        connect(other)
        assert subscribed.wait(20)
        mqtt.publish(f"{version}", "mine", qos=1).wait_for_publish(20)
        other.publish(f"{version}", "other's", qos=1)
        expected = [b"other's"] if version == 5 else [b"mine", b"other's"]
        wait_until(lambda: [payload for _, payload in seen] == expected)
    warned = "nolocal needs MQTT_PROTOCOL_VERSION = 5" in caplog.text
    assert warned == (version == 4)


def test_messages_as_json(scripted: ScriptedBroker, mqtt: MultiMQTT) -> None:
    connect(mqtt)
    mqtt.publish("a", {"ü": [1, None]})
    mqtt.publish("a", [1])
    mqtt.publish("a", "text", 1, True)
    mqtt.publish("a", "x", 0, False, True)
    mqtt.publish("$CONTROL/x", {"a": 1}, no_prefix=True)
    scripted.wait_for("PUBLISH", count=5)
    packets = scripted.of("PUBLISH")
    assert [(one.topic, one.payload, one.qos, one.retain) for one in packets[2:4]] == [
        ("p/a", b"text", 1, True),
        ("a", b"x", 0, False),
    ]
    as_json = [packets[0], packets[1], packets[4]]
    assert [(one.topic, json.loads(one.payload)) for one in as_json] == [
        ("p/a", {"ü": [1, None]}),
        ("p/a", [1]),
        ("$CONTROL/x", {"a": 1}),
    ]


def test_topic_for(mqtt: MultiMQTT) -> None:
    topic = mqtt.register_topic("a/<int:x>/<path:rest>", route_name="one")
    assert topic.topic_for(x=1, rest="b/c") == "a/1/b/c"
    assert topic.topic_for(absolute=True, x=-1, rest="b") == "p/a/-1/b"
    assert mqtt.topic_for("one", x=1, rest="b") == "a/1/b"
    assert mqtt.topic_for("one", absolute=True, x=1, rest="b") == "p/a/1/b"
    with pytest.raises(ValueError, match="no value for 'rest'"):
        mqtt.topic_for("one", x=1)
    with pytest.raises(ValueError, match="no value for 'x'"):
        topic.topic_for(rest="a")
    with pytest.raises(ValueError, match="there is no such route, did you mean 'one'"):
        mqtt.topic_for("ones")
    with pytest.raises(ValueError, match="x"):
        mqtt.topic_for("one", x="b", rest="b")
    with pytest.raises(ValueError, match=r"the route .* has it already"):
        mqtt.register_topic("b", route_name="one")


@pytest.mark.parametrize(
    ("prefix", "topic", "full"),
    [("p", "/a", "p//a"), ("p/", "a/", "p/a/"), ("/p", "a", "/p/a"), ("", "/a", "/a")],
)
def test_slashes_stay_as_they_are_written(
    scripted: ScriptedBroker, prefix: str, topic: str, full: str
) -> None:
    """Flask-MultiMQTT takes them off, and finds the wrong values then."""
    seen: list[str] = []
    with MultiMQTT(make_app(scripted.port, MQTT_PREFIX=prefix)) as mqtt:
        made = mqtt.register_topic(topic)
        made.on_message(lambda _client, message: seen.append(message.topic))
        assert made.name == full
        connect(mqtt)
        scripted.wait_for("SUBSCRIBE")
        scripted.publish(full)
        wait_until(lambda: seen == [topic])


def test_two_of_them_are_two_clients(scripted: ScriptedBroker) -> None:
    """Flask-MultiMQTT has one for the process, with the settings of the first."""
    with (
        MultiMQTT(make_app(scripted.port, "one")) as one,
        MultiMQTT(make_app(scripted.port, "other")) as other,
    ):
        connect(one)
        connect(other)
        one.publish("a", "")
        other.publish("a", "")
        scripted.wait_for("PUBLISH", count=2)
        assert {packet.topic for packet in scripted.of("PUBLISH")} == {"one/a", "other/a"}
        assert scripted.connections == 2


def test_threads_connect_register_and_publish(scripted: ScriptedBroker, mqtt: MultiMQTT) -> None:
    topics: list[Any] = []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait(20)
        mqtt.connect()
        topics.append(mqtt.register_topic("same"))
        mqtt.on_connect(lambda: None)
        mqtt.publish("thread", str(number), qos=1).wait_for_publish(20)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert scripted.connections == 1
    assert len({id(topic) for topic in topics}) == 1
    scripted.wait_for("PUBLISH", count=8)
    scripted.wait_for("SUBSCRIBE")
    assert set(subscriptions(scripted)) == {("p/same", 0)}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("parent_connects", [False, True])
def test_each_worker_process_connects(
    scripted: ScriptedBroker, mqtt: MultiMQTT, parent_connects: bool
) -> None:
    mqtt.register_topic("a")
    if parent_connects:
        connect(mqtt)
        scripted.wait_for("SUBSCRIBE")
    before = scripted.connections

    def child() -> None:
        assert not mqtt.connected
        connect(mqtt)
        mqtt.publish("from", "the child", qos=1).wait_for_publish(20)
        mqtt.close()

    in_child(child)
    assert scripted.wait_for("PUBLISH").topic == "p/from"
    assert scripted.connections == before + 1
    assert subscriptions(scripted)[-1] == ("p/a", 0)
    assert mqtt.connected is parent_connects


def test_tls_is_verified(
    tls_broker: Mosquitto, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask-MultiMQTT takes every certificate."""
    port = tls_broker.listeners["tls"].port
    app = Flask("tests")
    app.config["MQTT_URI"] = f"mqtts://localhost:{port}/tls"
    with MultiMQTT(app) as mqtt, pytest.raises(OSError, match="certificate"):
        mqtt.connect()
    app.config["MQTT_TLS_CA_CERTS"] = str(certificates.ca)
    with MultiMQTT(app) as mqtt:
        assert mqtt.tls
        connect(mqtt)
    assert not [one for one in caplog.records if one.levelno == logging.WARNING]


def test_it_can_be_forgotten(scripted: ScriptedBroker) -> None:
    mqtt = MultiMQTT(make_app(scripted.port))
    mqtt.register_topic("a").on_message(lambda *_: None)
    connect(mqtt)
    mqtt.close()
    gone = weakref.ref(mqtt)
    del mqtt
    gc.collect()
    assert gone() is None


def test_topic_without_parentheses_is_an_error() -> None:
    with pytest.raises(TypeError, match="topic needs parentheses"):
        MultiMQTT().topic(print)  # type: ignore[arg-type]
