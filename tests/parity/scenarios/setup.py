"""Names, attributes and ways of writing an application that must go on working."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import flask_mqtt
from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt, TopicQos
from parity.recording import describe
from parity.registry import Difference, scenario

if TYPE_CHECKING:
    from flask import Flask

    from parity.recording import Run

ATTRIBUTES = (
    "client_id",
    "clean_session",
    "username",
    "password",
    "broker_url",
    "broker_port",
    "keepalive",
    "config_prefix",
    "connected",
    "topics",
    "tls_enabled",
    "last_will_topic",
    "last_will_message",
    "last_will_qos",
    "last_will_retain",
    "tls_ca_certs",
    "tls_certfile",
    "tls_keyfile",
    "tls_ciphers",
    "tls_insecure",
    "app",
)


@scenario(
    Difference("MQTT_ERR_KEEPALIVE", None, 16, "on_disconnect gets it, so it has a name"),
    Difference("MQTTv5", None, 5, "it has a name beside MQTTv31 and MQTTv311"),
)
def names_and_numbers_of_the_module(run: Run) -> None:
    for name in sorted(dir(flask_mqtt)):
        if name.startswith(("MQTT_ERR_", "MQTT_LOG_", "MQTTv")):
            run.fact(name, getattr(flask_mqtt, name))
    run.fact("ssl", flask_mqtt.ssl is ssl)
    run.fact("logger", flask_mqtt.logger.name)
    run.fact("version", isinstance(flask_mqtt.__version__, str))
    run.fact("TopicQos", [TopicQos("t", 1), TopicQos("t", 1) == ("t", 1)])
    run.fact("fields", list(TopicQos._fields))


TLS_DEFAULTS = (
    Difference("tls_cert_reqs", 0, 2, "it says what holds as soon as TLS is used"),
    Difference("tls_version", 3, 16, "brokers of today refuse TLS 1.0"),
)


@scenario(*TLS_DEFAULTS)
def attributes_before_init_app(run: Run) -> None:
    mqtt = Mqtt()
    run.fact("tls_cert_reqs", mqtt.tls_cert_reqs)
    run.fact("tls_version", mqtt.tls_version)
    run.fact("attributes", {name: getattr(mqtt, name) for name in ATTRIBUTES})
    run.fact("client", isinstance(mqtt.client, Client))
    run.call("publish", mqtt.publish, "a", "b")
    run.call("subscribe", mqtt.unsubscribe, "a")
    run.call("unsubscribe_all", mqtt.unsubscribe_all)


@scenario(*TLS_DEFAULTS)
def attributes_after_init_app(run: Run) -> None:
    config = {
        "client_id": "me",
        "clean_session": False,
        "username": "u",
        "password": "p",
        "keepalive": 33,
        "last_will_topic": "w",
        "last_will_message": "m",
        "last_will_qos": 1,
        "last_will_retain": True,
    }
    app = run.app(**config)
    mqtt = run.connected(Mqtt(app))
    run.fact("port", mqtt.broker_port == run.broker.port)
    names = [name for name in ATTRIBUTES if name != "broker_port"]
    run.fact("attributes", {name: getattr(mqtt, name) for name in names})
    run.fact("tls_cert_reqs", mqtt.tls_cert_reqs)
    run.fact("tls_version", mqtt.tls_version)
    run.fact("app", mqtt.app is app)


@scenario()
def connected_can_be_assigned(run: Run) -> None:
    mqtt = run.start()
    mqtt.connected = False
    run.fact("connected", mqtt.connected)
    run.call("publish", mqtt.publish, "a", "b")
    run.wait_event("publish")
    run.broker.wait_for("PUBLISH")


@scenario()
def positional_arguments_of_the_constructor(run: Run) -> None:
    mqtt = Mqtt(run.app(client_id="me"), True, False, "MQTT")
    run.connected(mqtt)
    run.fact("client id", mqtt.client_id)


@scenario()
def a_subclass_passes_its_arguments_on(run: Run) -> None:
    class Mine(Mqtt):
        def __init__(self, name: str, app: Flask) -> None:
            super().__init__(app, False, False, "MQTT")
            self.name = name
            self.on_message()(self.handle)

        def handle(self, client: Any, userdata: Any, message: Any) -> None:
            run.events.append([self.name, describe(message)])

    mine = run.connected(Mine("mine", run.app()))
    mine.subscribe("a")
    run.broker.wait_for("SUBSCRIBE")
    run.broker.publish("a", b"1")
    run.wait_event("mine")


@scenario()
def a_subclass_with_a_metaclass_is_a_singleton(run: Run) -> None:
    class Singleton(type):
        made: dict[type, Any] = {}  # noqa: RUF012 - written as applications write it

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            if cls not in cls.made:
                cls.made[cls] = super().__call__(*args, **kwargs)
            return cls.made[cls]

    class Mine(Mqtt, metaclass=Singleton):
        pass

    app = run.app()
    run.fact("the same", Mine(app) is Mine())
    run.connected(Mine())
    run.fact("connections", run.broker.connections)


@scenario()
def a_subclass_overrides_what_happens_on_connect(run: Run) -> None:
    class Mine(Mqtt):
        def _handle_connect(self, client: Any, userdata: Any, flags: Any, rc: Any) -> None:
            super()._handle_connect(client, userdata, flags, rc)
            run.events.append(["overridden connect", describe(flags), int(rc), self.connected])

        def _handle_disconnect(self, client: Any, userdata: Any, rc: Any) -> None:
            super()._handle_disconnect(client, userdata, rc)
            run.events.append(["overridden disconnect", int(rc), self.connected])

    mine = run.record(Mine())
    mine.init_app(run.app())
    run.wait_event("overridden connect")
    run.broker.drop()
    run.wait_event("overridden connect", 2)


@scenario()
def handlers_inside_of_init(run: Run) -> None:
    class Service:
        def __init__(self, app: Flask) -> None:
            self.mqtt = Mqtt()

            @self.mqtt.on_connect()
            def on_connect(client: Any, userdata: Any, flags: Any, rc: Any) -> None:
                run.call("subscribe", self.mqtt.subscribe, "service/#")

            self.mqtt.on_message()(self.on_message)
            self.mqtt.init_app(app)

        def on_message(self, client: Any, userdata: Any, message: Any) -> None:
            run.events.append(["message", message.payload.decode()])

    Service(run.app())
    run.broker.wait_for("SUBSCRIBE")
    run.broker.publish("service/x", b"42")
    run.wait_event("message")


@scenario()
def handlers_assigned_to_the_client(run: Run) -> None:
    mqtt = Mqtt()
    client: Any = mqtt.client
    for name in ("message", "publish", "subscribe", "unsubscribe"):
        setattr(client, f"on_{name}", run.handler(name, mqtt))
    mqtt.init_app(run.app())
    run.connected(mqtt)
    run.fact("the same client", mqtt.client is client)
    run.call("subscribe", client.subscribe, "a", 1)
    run.wait_event("subscribe")
    run.fact("topics", mqtt.topics)
    run.call("publish", lambda: client.publish("a", "x", 1)[0] == MQTT_ERR_SUCCESS)
    run.wait_event("publish")
    run.broker.publish("a", b"1")
    run.wait_event("message")
    run.call("unsubscribe", client.unsubscribe, "a")
    run.wait_event("unsubscribe")


@scenario(
    Difference("subscribed again", 1, 2, "an assignment does not cut off the subscriptions"),
    Difference("connected", False, True, "nor what keeps `connected`"),
)
def on_connect_assigned_to_the_client(run: Run) -> None:
    mqtt = run.start()
    mqtt.subscribe("a")
    run.wait_event("subscribe")
    client: Any = mqtt.client
    client.on_connect = run.handler("assigned", mqtt)
    run.broker.drop()
    run.wait_event("assigned")
    run.settle()
    run.fact("subscribed again", len(run.broker.of("SUBSCRIBE")))
    run.fact("connected", mqtt.connected)
    run.only("CONNECT")
    run.events[:] = run.named("connect", "disconnect", "assigned")


@scenario()
def settings_of_the_client_hold_where_no_key_says_otherwise(run: Run) -> None:
    configs: dict[str, dict[str, Any]] = {
        "no keys": {},
        "keys with the default": {"username": None, "last_will_topic": None},
        "keys": {"username": "key", "last_will_topic": "key"},
    }
    for count, (name, config) in enumerate(configs.items(), 1):
        mqtt = Mqtt()
        mqtt.client.username_pw_set("own", "secret")
        mqtt.client.will_set("own", "gone", 1, True)
        mqtt.init_app(run.app(client_id=name, **config))
        run.fact(name, run.broker.wait_for("CONNECT", count).raw)
        run.connected(mqtt)


@scenario()
def client_disconnect_and_connect(run: Run) -> None:
    mqtt = run.start()
    mqtt.client.disconnect()  # what it returns depends, in the original, on which thread is faster
    run.wait_event("disconnect")
    run.broker.wait_for("DISCONNECT")
    run.call("connect", mqtt.client.connect, "127.0.0.1", run.broker.port, 60)
    mqtt.client.loop_start()
    run.wait_event("connect", 2)


@scenario()
def loop_start_on_a_running_client_does_no_harm(run: Run) -> None:
    mqtt = run.start()
    mqtt.client.loop_start()
    run.call("publish", mqtt.publish, "a", "b", 1)
    run.wait_event("publish")
    run.fact("connections", run.broker.connections)


@scenario(
    Difference("registered", False, True, "app.extensions is Flask's place for it"),
)
def the_application_knows_the_extension(run: Run) -> None:
    app = run.app()
    mqtt = run.connected(Mqtt(app))
    run.fact("registered", app.extensions.get("mqtt", {}).get("MQTT") is mqtt)
