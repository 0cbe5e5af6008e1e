"""Routes against a real broker: what they subscribe to, and what their handlers get."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
import uuid
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest
from flask import Flask, current_app, render_template_string
from werkzeug.routing import BaseConverter

from flask_mqtt import CallbackAPIVersion, Client, Mqtt, MQTTMessage, MQTTv5
from flask_mqtt.stats import no_routes
from support.apps import make_app
from support.running import connected, echoes
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


class Celsius(BaseConverter):
    regex = r"-?\d+C"

    def to_python(self, value: str) -> int:
        return int(value[:-1])

    def to_url(self, value: int) -> str:
        return f"{value}C"


def subscriptions(broker: ScriptedBroker) -> list[tuple[str, int]]:
    return [item for packet in broker.of("SUBSCRIBE") for item in packet.filters]


@pytest.mark.parametrize("other", ["reinitialised", "replaced"])
def test_init_app_registers_routes_again_with_another_client(broker: Mosquitto, other: str) -> None:
    top = f"routes/{uuid.uuid4()}"
    seen: list[tuple[str, int]] = []
    app = make_app(broker.port)
    mqtt = Mqtt()

    @mqtt.topic(f"{top}/<int:id>", qos=1)
    def one(client: Any, message: Any, id: int) -> None:  # noqa: A002
        seen.append(("one", id))

    @mqtt.batch(f"{top}/+", qos=1, max=1)
    def several(client: Any, messages: list[Any]) -> None:
        seen.append(("several", len(messages)))

    with mqtt:
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        if other == "reinitialised":
            mqtt.client.reinitialise()
        else:
            mqtt.client.close()
            mqtt.client = Client(CallbackAPIVersion.VERSION1)
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        assert echoes(mqtt)
        mqtt.publish(f"{top}/7", "x", qos=1)
        wait_until(lambda: len(seen) == 2)
    assert seen == [("one", 7), ("several", 1)]


def test_a_route_subscribes_and_gets_the_values(broker: Mosquitto) -> None:
    top = f"routes/{uuid.uuid4()}"
    seen: list[tuple[Any, ...]] = []
    app = make_app(broker.port)
    mqtt = Mqtt()

    @mqtt.topic(f"{top}/<int:id>/temperature", qos=1)
    def temperature(client: Any, message: Any, id: int) -> None:  # noqa: A002
        seen.append((client is mqtt.client, message.topic, message.payload, id, current_app.name))

    with mqtt:
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        assert echoes(mqtt)
        mqtt.publish(mqtt.topic_for("temperature", id=42), "21", qos=1)
        wait_until(lambda: seen)
        assert seen == [(True, f"{top}/42/temperature", b"21", 42, app.name)]
        assert mqtt.topics[f"{top}/+/temperature"].qos == 1
        assert mqtt.stats()["routes"] == no_routes() | {"routes": 1}


def test_a_value_that_does_not_convert_is_another_route_s(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[tuple[str, Any]] = []

    @mqtt.topic("a/<int:number>")
    def numbers(client: Any, message: Any, number: int) -> None:
        seen.append(("number", number))

    @mqtt.topic("a/<text>")
    async def texts(client: Any, message: Any, *, text: str) -> None:
        seen.append(("text", text))

    @mqtt.topic("a/<path:all>")
    def everything(client: Any, message: Any, **values: Any) -> None:
        seen.append(("path", values))

    with caplog.at_level(logging.DEBUG, "flask_mqtt"):
        for topic in ("a/1", "a/x", "a/1/x"):
            scripted.publish(topic)
        wait_until(lambda: len(seen) == 6)
    assert seen == [
        ("number", 1),
        ("text", "1"),
        ("path", {"all": "1"}),
        ("text", "x"),
        ("path", {"all": "x"}),
        ("path", {"all": "1/x"}),
    ]
    assert mqtt.stats()["routes"] == no_routes() | {"routes": 3, "not_converted": 1}
    lines = [record.getMessage() for record in caplog.records if "does not fit" in record.msg]
    assert lines == ["'a/x' does not fit the route 'a/<int:number>'"]


def test_routes_of_one_filter_share_a_subscription_with_the_highest_qos(
    scripted: ScriptedBroker,
) -> None:
    mqtt = Mqtt()
    for name, qos in (("x", 1), ("y", 0), ("z", 2)):
        mqtt.topic(f"a/<{name}>", qos=qos)(lambda *_, **__: None)
    with mqtt:
        mqtt.init_app(make_app(scripted.port))
        wait_until(lambda: subscriptions(scripted) == [("a/+", 2)])
        # A later one subscribes again only where it wants more.
        mqtt.topic("b/<int:x>", qos=1)(lambda *_, **__: None)
        mqtt.topic("b/<x>")(lambda *_, **__: None)
        mqtt.topic("b/<y>", qos=2)(lambda *_, **__: None)
        wait_until(lambda: len(subscriptions(scripted)) == 3)
        assert subscriptions(scripted)[1:] == [("b/+", 1), ("b/+", 2)]
        scripted.drop()
        wait_until(lambda: scripted.connections == 2)
        wait_until(lambda: len(subscriptions(scripted)) == 5)
        assert sorted(subscriptions(scripted)[3:]) == [("a/+", 2), ("b/+", 2)]


def test_the_group_of_a_shared_subscription(broker: Mosquitto) -> None:
    top = f"routes/{uuid.uuid4()}"
    app = make_app(broker.port, protocol_version=MQTTv5)
    seen: list[int] = []
    with connected(app) as one, connected(app) as other:
        for mqtt in (one, other):

            @mqtt.topic(f"{top}/<int:job>", share="workers", qos=1)
            def work(client: Any, message: Any, job: int) -> None:
                seen.append(job)

            assert echoes(mqtt)
        for job in range(10):
            one.publish(one.topic_for("work", job=job), qos=1)
        wait_until(lambda: len(seen) == 10)
        assert sorted(seen) == list(range(10))
        assert list(one.topics)[:1] == [f"$share/workers/{top}/+"]


def test_own_converters_and_those_of_the_application(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    app.url_map.converters["celsius"] = Celsius
    mqtt, seen = Mqtt(), list[Any]()
    # The application's are known when it is there.
    mqtt.topic("a/<celsius:t>", name="a")(lambda _c, _m, t: seen.append(t))
    with pytest.raises(ValueError, match=r"rule 'a/<celsius:t>': there is no converter 'celsius'"):
        mqtt.topic_for("a", t=3)
    mqtt.converters["degrees"] = Celsius
    mqtt.topic("b/<degrees:t>")(lambda _c, _m, t: seen.append(t))
    with mqtt:
        mqtt.init_app(app)
        wait_until(lambda: len(subscriptions(scripted)) == 2)
        for topic in ("a/-3C", "a/3", "b/4C"):
            scripted.publish(topic)
        wait_until(lambda: len(seen) == 2)
        assert seen == [-3, 4]
        assert mqtt.topic_for("a", t=-3) == "a/-3C"
        with pytest.raises(ValueError, match="there is no converter 'nothing'"):
            mqtt.topic("<nothing:x>")(lambda *_, **__: None)
        assert mqtt.stats()["routes"]["routes"] == 2


def test_none_is_no_value_for_topic_for() -> None:
    mqtt = Mqtt()

    @mqtt.topic("a/<x>")
    @mqtt.topic("a/<x>/<int:y>")
    def handle(client: Any, message: Any, x: str, y: int = 0) -> None: ...

    assert mqtt.topic_for("handle", x="b", y=0) == "a/b/0"
    assert mqtt.topic_for("handle", x="b", y=None) == "a/b"
    with pytest.raises(ValueError, match=r"topic_for\('handle'\): no value for 'x'"):
        mqtt.topic_for("handle", x=None)


def test_topic_for_in_a_template(scripted: ScriptedBroker) -> None:
    app: Flask = make_app(scripted.port)
    with connected(app) as mqtt:
        mqtt.topic("a/<int:x>", name="a")(lambda *_, **__: None)
        with app.app_context():
            assert render_template_string("{{ topic_for('a', x=3) }}") == "a/3"


def test_threads_may_register_at_once(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[int] = []
    start = threading.Barrier(8)

    def register(number: int) -> None:
        start.wait()
        for each in range(20):
            qos = (number + each) % 3
            mqtt.topic(f"t/<int:v{number}_{each}>", qos=qos)(
                lambda *_, **values: seen.extend(values.values())
            )

    threads = [threading.Thread(target=register, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: subscriptions(scripted))
    # The last word has the highest QoS.
    wait_until(lambda: subscriptions(scripted)[-1] == ("t/+", 2))
    scripted.publish("t/5")
    wait_until(lambda: len(seen) == 160)
    assert mqtt.stats()["routes"]["routes"] == 160


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_what_only_mqtt_5_has(
    version: str, scripted: ScriptedBroker, scripted5: ScriptedBroker
) -> None:
    mqtt = Mqtt()
    mqtt.topic("a", no_local=True, retain_handling=2)(lambda *_: None)
    with mqtt:
        if version == "5":
            mqtt.init_app(make_app(scripted5.port, protocol_version=MQTTv5))
            wait_until(lambda: scripted5.of("SUBSCRIBE"))
            assert scripted5.of("SUBSCRIBE")[0].raw[-1] == 0b0010_0100
        else:
            with pytest.raises(ValueError, match="MQTT 5"):
                mqtt.init_app(make_app(scripted.port))


def test_a_route_that_cannot_be_subscribed_to_is_none(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    with pytest.raises(ValueError, match="MQTT 5"):
        mqtt.topic("a/<x>", no_local=True, name="a")(lambda *_, **__: None)
    with pytest.raises(ValueError, match="there is no such route"):
        mqtt.topic_for("a", x=1)
    # Nor does it stand in the way of another one.
    mqtt.topic("a/<x>", name="a")(lambda *_, **__: None)
    wait_until(lambda: subscriptions(scripted) == [("a/+", 0)])


def test_contradicting_options_of_one_filter_are_an_error() -> None:
    mqtt = Mqtt()
    mqtt.topic("a/<x>", no_local=True)(lambda *_, **__: None)
    with pytest.raises(ValueError, match=r"'a/<x>' and 'a/<int:y>' .*no_local is True .* False"):
        mqtt.topic("a/<int:y>")(lambda *_, **__: None)
    # One of another group is another subscription.
    mqtt.topic("a/<y>", share="g")(lambda *_, **__: None)


def test_routes_and_other_handlers_are_called_in_their_order(
    scripted: ScriptedBroker, threads: int
) -> None:
    seen: list[str] = []
    mqtt = Mqtt()
    mqtt.topic("a/<x>")(lambda *_, x: seen.append(f"first {x}"))
    with mqtt:
        mqtt.init_app(make_app(scripted.port, handler_threads=threads))
        wait_until(lambda: mqtt.connected)
        mqtt.on_topic("a/+")(lambda *_: seen.append("on_topic"))
        mqtt.topic("a/<int:x>")(lambda *_, x: seen.append(f"second {x}"))
        mqtt.topic("a/1")(lambda *_: seen.append("exact"))
        mqtt.on_message()(lambda *_: seen.append("nobody's"))
        scripted.publish("a/1", qos=1)
        scripted.wait_for("PUBACK")
        assert seen == ["exact", "first 1", "on_topic", "second 1"]


def test_a_route_of_a_filter_that_was_unsubscribed_subscribes_again(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    mqtt.topic("a/<x>", qos=1)(lambda *_, **__: None)
    wait_until(lambda: subscriptions(scripted) == [("a/+", 1)])
    mqtt.unsubscribe("a/+")
    mqtt.topic("a/<y>")(lambda *_, **__: None)
    wait_until(lambda: subscriptions(scripted) == [("a/+", 1)] * 2)


def test_what_stands_in_for_a_client_sees_the_usual_calls() -> None:
    mqtt = Mqtt()
    mqtt.client = stand_in = Mock()
    stand_in.connect.return_value = 0
    stand_in.subscribe.return_value = (0, 1)
    seen: list[Any] = []
    mqtt.topic("a/<int:x>", qos=1)(lambda _c, _m, x: seen.append(x))
    mqtt.init_app(make_app(1883))
    stand_in.subscribe.assert_called_once_with(topic="a/+", qos=1)
    [(sub, handler)] = [call.args for call in stand_in.message_callback_add.call_args_list]
    assert sub == "a/+"
    message = MQTTMessage(topic=b"a/5")
    handler(stand_in, None, message)
    assert seen == [5]


def test_init_app_that_fails_can_be_repeated(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    mqtt = Mqtt()
    mqtt.topic("a/<int:x>")(lambda _c, _m, x: seen.append(x))
    mqtt.topic("a/<celsius:x>")(lambda _c, _m, x: seen.append(x))
    app = make_app(scripted.port)
    with mqtt:
        with pytest.raises(ValueError, match="no converter 'celsius'"):
            mqtt.init_app(app)
        mqtt.converters["celsius"] = Celsius
        mqtt.init_app(app)
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        scripted.publish("a/5", qos=1)
        scripted.publish("a/6C", qos=1)
        scripted.wait_for("PUBACK", 2)
        assert seen == [5, 6]
        assert subscriptions(scripted) == [("a/+", 0)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_the_routes(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    with connected(app) as mqtt:
        mqtt.topic("a/<int:x>", name="a")(
            lambda client, _m, x: client.publish("from", f"{x} {os.getpid()}", 1)
        )
        wait_until(lambda: subscriptions(scripted))
        router = vars(mqtt)["_rs_router"]
        held, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            with router._lock, router.counts._lock:
                held.set()
                go_on.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        def child() -> None:
            assert mqtt.topic_for("a", x=1) == "a/1"
            assert mqtt.stats()["routes"]["routes"] == 1
            mqtt.init_app(app)
            wait_until(lambda: mqtt.connected)
            wait_until(lambda: mqtt.publish("ready", qos=1).is_published())
            # The parent ends this when it has heard.
            wait_until(lambda: False, timeout=10)

        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                child()
            os._exit(1)
        try:
            go_on.set()
            thread.join()
            wait_until(lambda: scripted.connections == 2)
            wait_until(lambda: any(one.topic == "ready" for one in scripted.of("PUBLISH")))
            scripted.publish("a/7")
            wait_until(lambda: any(one.topic == "from" for one in scripted.of("PUBLISH")))
            [answer] = [one for one in scripted.of("PUBLISH") if one.topic == "from"]
            assert answer.payload == f"7 {pid}".encode()
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"response": "answers"}, "response 'answers': it must be True or False"),
        ({"json": 1}, "json 1: it must be True or False"),
        ({"no_prefix": None}, "no_prefix None: it must be True or False"),
        ({"no_local": "no"}, "no_local 'no': it must be True or False"),
        ({"retain_as_published": 0}, "retain_as_published 0: it must be True or False"),
        ({"qos": "1"}, "qos '1': it must be 0, 1 or 2"),
    ],
)
def test_an_option_of_a_wrong_type_is_an_error_that_names_it(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(TypeError) as caught:
        Mqtt().topic("a", **options)(lambda *_: None)
    assert str(caught.value) == text


@pytest.mark.parametrize("name", [None, ["a"], print])
def test_topic_for_takes_a_name(name: Any) -> None:
    with pytest.raises(TypeError, match=r"topic_for\(.*\): it must be the name of a route, a str"):
        Mqtt().topic_for(name)
