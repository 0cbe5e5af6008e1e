"""Reaching the broker, and the CONNECT that it gets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import Difference, scenario
from support.apps import make_app
from support.ports import closed_port, unanswered_port

if TYPE_CHECKING:
    from parity.recording import Run

WILL = {"last_will_topic": "will"}
CONNECTS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "client id": {"client_id": "me"},
    "client id with an umlaut": {"client_id": "grün"},
    "persistent": {"client_id": "me", "clean_session": False},
    "keepalive": {"keepalive": 500},
    "no keepalive": {"keepalive": 0},
    "longest keepalive": {"keepalive": 65535},
    "user": {"username": "user"},
    "user and password": {"username": "user", "password": "pass"},
    "user and empty password": {"username": "user", "password": ""},
    "empty user": {"username": ""},
    "empty user and password": {"username": "", "password": ""},
    "umlauts": {"username": "grün", "password": "weiß"},
    "password alone": {"password": "pass"},
    "no user and no password": {"username": None, "password": None},
    "will without message": WILL,
    "will without topic": {"last_will_message": "x"},
    "will of None": {**WILL, "last_will_message": None},
    "will of str": {**WILL, "last_will_message": "töt"},
    "will of empty str": {**WILL, "last_will_message": ""},
    "will of bytes": {**WILL, "last_will_message": b"\x00\xff"},
    "will of int": {**WILL, "last_will_message": 5},
    "will of float": {**WILL, "last_will_message": 1.5},
    "will with QoS 1": {**WILL, "last_will_message": "x", "last_will_qos": 1},
    "will with QoS 2": {**WILL, "last_will_message": "x", "last_will_qos": 2},
    "retained will": {**WILL, "last_will_message": "x", "last_will_retain": True},
    "all": {
        "client_id": "all",
        "username": "u",
        "password": "p",
        "keepalive": 900,
        "clean_session": False,
        "last_will_topic": "w/ü",
        "last_will_message": "gone",
        "last_will_qos": 1,
        "last_will_retain": True,
    },
}


@scenario()
def connect_says_what_the_configuration_says(run: Run) -> None:
    for count, (name, config) in enumerate(CONNECTS.items(), 1):
        run.app(**config)
        mqtt = Mqtt(run.app(**config))
        packet = run.broker.wait_for("CONNECT", count)
        run.fact(name, packet.raw)
        run.connected(mqtt)


@scenario()
def init_app_does_not_wait_for_the_connack(run: Run) -> None:
    run.broker.connack = None
    before = time.monotonic()
    mqtt = Mqtt(run.app())
    run.fact("at once", time.monotonic() - before < 1)
    run.fact("connected", mqtt.connected)
    run.broker.wait_for("CONNECT")


@scenario()
def on_connect_gets_flags_and_rc(run: Run) -> None:
    run.broker.session_present = True
    mqtt = run.mqtt("connect")

    @mqtt.on_connect()
    def handle(client: Any, userdata: Any, flags: Any, rc: Any) -> None:
        run.fact("flags", flags)
        run.fact("connected before the handler", mqtt.connected)
        run.fact("client", client is mqtt.client)
        run.fact("rc", [rc, isinstance(rc, int), type(flags).__name__, userdata])
        run.events.append(["connect"])

    mqtt.init_app(run.app(client_id="me", clean_session=False))
    run.wait_event("connect")


def reach(run: Run, name: str, port: int, **config: Any) -> None:
    try:
        Mqtt(make_app(port, **config))
    except OSError as error:
        run.fact(name, [type(error).__name__, error.errno])


@scenario()
def a_broker_that_cannot_be_reached_raises(run: Run) -> None:
    reach(run, "refused", closed_port())
    reach(run, "unknown host", 1883, broker_url="no.such.host.invalid")


@scenario()
def a_broker_that_does_not_answer_raises_after_five_seconds(run: Run) -> None:
    before = time.monotonic()
    with unanswered_port() as port:
        try:
            Mqtt(make_app(port))
        except OSError as error:
            run.fact("class", type(error).__name__)
    run.fact("after five seconds", 4 < time.monotonic() - before < 8)


@scenario()
def connect_async_does_not_raise_and_goes_on_trying(run: Run) -> None:
    run.broker.stop_listening()
    mqtt = run.record(Mqtt(connect_async=True))
    run.call("init_app", mqtt.init_app, run.app())
    run.call("init_app for an unknown host", Mqtt, make_app(1, broker_url="no.invalid"), True)
    run.fact("connected", mqtt.connected)
    run.call("publish", mqtt.publish, "a", "kept", 1)
    run.broker.listen()
    run.wait_event("connect")
    run.wait_event("publish")


@scenario(
    Difference("second", "raises RuntimeError", None, "the project's own example does it"),
    Difference("still connected", True, True, "one connection either way"),
)
def initialising_twice(run: Run) -> None:
    app = run.app()
    mqtt = run.record(Mqtt(app), "connect")
    run.connected(mqtt)
    run.call("second", mqtt.init_app, app)
    run.settle(0.5)
    run.fact("still connected", mqtt.connected)
    run.fact("connections", run.broker.connections)


@scenario()
def several_brokers_with_prefixes(run: Run) -> None:
    other = run.second_broker()
    app = run.app(client_id="one", username="u1")
    app.config.update(
        MQTT2_BROKER_URL="127.0.0.1",
        MQTT2_BROKER_PORT=other.port,
        MQTT2_CLIENT_ID="two",
        MQTT2_KEEPALIVE=33,
    )
    first = run.connected(Mqtt(app))
    second = run.connected(Mqtt(app, config_prefix="MQTT2"))
    for name, mqtt in (("first", first), ("second", second)):
        values = [mqtt.client_id, mqtt.username, mqtt.keepalive, mqtt.config_prefix]
        run.fact(name, values)
    second.publish("to", "two")
    run.fact("the other", other.wait_for("CONNECT").raw)
    run.fact("published", other.wait_for("PUBLISH").raw)


@scenario()
def init_app_takes_a_prefix(run: Run) -> None:
    other = run.second_broker()
    app = run.app(client_id="one")
    app.config.update(
        MQTT2_BROKER_URL="127.0.0.1", MQTT2_BROKER_PORT=other.port, MQTT2_CLIENT_ID="two"
    )
    mqtt = Mqtt()
    mqtt.init_app(app, config_prefix="MQTT2")
    run.connected(mqtt)
    run.fact("client id", mqtt.client_id)
    run.fact("the other", other.wait_for("CONNECT").raw)


@scenario(
    Difference("client id", "one", "two", "the prefix given to the constructor holds"),
)
def the_prefix_of_the_constructor_with_init_app(run: Run) -> None:
    app = run.app(client_id="one")
    app.config.update(
        MQTT2_BROKER_URL="127.0.0.1", MQTT2_BROKER_PORT=run.broker.port, MQTT2_CLIENT_ID="two"
    )
    mqtt = Mqtt(config_prefix="MQTT2")
    mqtt.init_app(app)
    run.fact("client id", mqtt.client_id)
    run.only("DISCONNECT")
