"""`init_app` again: nothing happens where it would be the same, and it connects otherwise."""

from __future__ import annotations

import threading
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from flask import current_app

from flask_mqtt import Mqtt, MQTTv5
from support.apps import make_app
from support.packets import MQTT5
from support.ports import closed_port
from support.running import connected, lose
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto

# -- what stands for an application ---------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["Mqtt", "init_app"])
def test_current_app_is_the_application_for_handlers_too(broker: Mosquitto, later: bool) -> None:
    app = make_app(broker.port)
    names: list[str] = []
    with app.app_context():
        mqtt = Mqtt() if later else Mqtt(current_app)
        if later:
            mqtt.init_app(current_app)
            mqtt.init_app(current_app)

    @mqtt.on_connect()
    def handle_connect(*_: Any) -> None:
        names.append(current_app.name)

    with mqtt:
        wait_until(lambda: names == ["tests"])
        assert mqtt.app is app


@pytest.mark.parametrize("kind", [SimpleNamespace, mock.MagicMock, mock.Mock])
def test_something_with_a_config_is_enough(scripted: ScriptedBroker, kind: Any) -> None:
    app = kind(config=make_app(scripted.port).config)
    calls: list[str] = []
    mqtt = Mqtt(app)
    mqtt.on_connect()(lambda *_: calls.append("on_connect"))
    mqtt.on_message()(lambda *_: calls.append("on_message"))
    with mqtt:
        wait_until(lambda: mqtt.connected)
        scripted.publish("a", b"1")
        wait_until(lambda: calls == ["on_connect", "on_message"])
        mqtt._handle_connect(mqtt.client, None, {}, 0)
        assert calls[2:] == ["on_connect"]


# -- where it would be the same -------------------------------------------------------------------

#: Keys whose values take a way of their own to the connection.
KEYS: list[dict[str, Any]] = [
    {},
    {"username": "me", "password": "secret", "keepalive": 17, "client_id": "again"},
    {"last_will_topic": "will", "last_will_message": b"gone", "last_will_qos": 1},
    {"bind_address": "127.0.0.1", "clean_session": False, "client_id": "again"},
    {"protocol_version": 5, "connect_properties": {"SessionExpiryInterval": 60}},
    {"protocol_version": 5, "clean_session": False, "client_id": "again"},
    {"reconnect_delay_min": 2, "max_inflight": 7, "handler_threads": 2},
]


@pytest.mark.parametrize("later", [False, True], ids=["connect", "connect_async"])
@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: "-".join(keys) or "none")
def test_nothing_happens(broker: Mosquitto, keys: dict[str, Any], later: bool) -> None:
    app = make_app(broker.port, **keys)
    with connected(app, connect_async=later) as mqtt:
        for _ in range(3):
            mqtt.init_app(app)
        assert mqtt.client.stats()["connections"] == 1
        assert mqtt.connected


def test_nothing_happens_where_the_loop_was_stopped_but_that_it_goes_on(
    scripted: ScriptedBroker,
) -> None:
    app = make_app(scripted.port)
    seen = threading.Event()
    with connected(app) as mqtt:
        mqtt.on_message()(lambda *_: seen.set())
        mqtt.client.loop_stop()
        mqtt.init_app(app)
        scripted.publish("t")
        assert seen.wait(20)
    assert scripted.connections == 1


def test_attempts_that_go_on_are_not_begun_again(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, reconnect_delay_min=0.2, reconnect_delay_max=0.2)
    with connected(app) as mqtt:
        scripted.stop_listening()
        lose(scripted, mqtt.client)
        wait_until(lambda: not mqtt.connected)
        # Nothing is tried here, so nothing is raised.
        mqtt.init_app(app)
        scripted.listen()
        wait_until(lambda: mqtt.connected)
    assert scripted.connections == 2


def test_what_on_pre_connect_sets_is_not_a_change(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, reconnect_delay_min=0.05)
    numbers = iter(range(100))
    mqtt = Mqtt()
    mqtt.client.on_pre_connect = lambda client, _: client.username_pw_set(f"u{next(numbers)}")
    mqtt.init_app(app)
    with mqtt:
        lose(scripted, mqtt.client)
        scripted.wait_for("CONNECT", 2)
        wait_until(mqtt.client.is_connected)
        mqtt.init_app(app)
    assert scripted.connections == 2


# -- where there is no connection -----------------------------------------------------------------


def end_by_itself(mqtt: Mqtt, broker: ScriptedBroker) -> None:
    mqtt.client.configure(reconnect_on_failure=False)
    # So that the connection's thread knows.
    mqtt.client.reconnect()
    lose(broker, mqtt.client)
    wait_until(lambda: not mqtt.client._parts.holder.core.is_running())


def has(items: list[int], count: int) -> bool:
    return len(items) == count


ENDS: dict[str, Callable[[Mqtt, ScriptedBroker], Any]] = {
    "client.disconnect": lambda mqtt, _: mqtt.client.disconnect(),
    "_disconnect": lambda mqtt, _: mqtt._disconnect(),
    "close": lambda mqtt, _: mqtt.close(),
    "client.close": lambda mqtt, _: mqtt.client.close(),
    "by itself": end_by_itself,
}


@pytest.mark.parametrize("later", [False, True], ids=["connect", "connect_async"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_it_connects_after_the_end(
    scripted: ScriptedBroker, end: Callable[[Mqtt, ScriptedBroker], Any], later: bool
) -> None:
    app = make_app(scripted.port)
    messages: list[bytes] = []
    accepted: list[int] = []
    with connected(app, connect_async=later) as mqtt:
        mqtt.on_connect()(lambda *_: accepted.append(1))
        wait_until(lambda: accepted)
        mqtt.on_message()(lambda _client, _userdata, message: messages.append(message.payload))
        for number in range(1, 4):
            end(mqtt, scripted)
            before = scripted.connections
            mqtt.init_app(app)
            # Each connection is told once.
            wait_until(partial(has, accepted, before + 1))
            scripted.publish("t", b"%d" % number)
            wait_until(partial(messages.__contains__, b"%d" % number))
            mqtt.client.configure(reconnect_on_failure=True)


def test_it_connects_after_a_failed_one(scripted: ScriptedBroker) -> None:
    app = make_app(closed_port())
    mqtt = Mqtt()
    with pytest.raises(ConnectionRefusedError):
        mqtt.init_app(app)
    with pytest.raises(ConnectionRefusedError):
        mqtt.init_app(app)
    app.config["MQTT_BROKER_PORT"] = scripted.port
    mqtt.init_app(app)
    with mqtt:
        wait_until(lambda: mqtt.connected)


# -- where something has changed ------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["connect", "connect_async"])
def test_a_changed_key_holds(scripted: ScriptedBroker, later: bool) -> None:
    app = make_app(scripted.port, username="one", password="secret")
    with ScriptedBroker() as other, connected(app, connect_async=later) as mqtt:
        app.config["MQTT_USERNAME"] = "two"
        mqtt.init_app(app)
        assert mqtt.username == "two"
        connect = scripted.wait_for("CONNECT", 2).connect
        assert connect is not None
        assert connect.username == "two"
        wait_until(mqtt.client.is_connected)
        app.config["MQTT_BROKER_PORT"] = other.port
        mqtt.init_app(app)
        other.wait_for("CONNECT")
        # And back to a default.
        del app.config["MQTT_USERNAME"], app.config["MQTT_PASSWORD"]
        mqtt.init_app(app)
        connect = other.wait_for("CONNECT", 2).connect
        assert connect is not None
        assert connect.username is None
    assert scripted.connections == 2


@pytest.mark.parametrize(
    ("key", "value", "change"),
    [
        ("ws_headers", {"X-Key": "1"}, lambda headers: headers.update({"X-Key": "2"})),
        ("connect_properties", {"UserProperty": [("a", "b")]}, lambda one: one.clear()),
        (
            "last_will_properties",
            {"UserProperty": [("a", "b")]},
            lambda properties: properties["UserProperty"].append(("c", "d")),
        ),
        ("last_will_message", bytearray(b"x"), lambda message: message.extend(b"y")),
        ("broker_url", ["127.0.0.1"], lambda brokers: brokers.append("localhost")),
    ],
)
def test_a_value_that_was_changed_in_place_holds(
    key: str, value: Any, change: Callable[[Any], None]
) -> None:
    with ScriptedBroker(version=MQTT5) as broker:
        settings = {"protocol_version": MQTTv5, "last_will_topic": "will", key: value}
        app = make_app(broker.port, **settings)
        with connected(app) as mqtt:
            mqtt.init_app(app)
            assert broker.connections == 1
            change(app.config[f"MQTT_{key.upper()}"])
            mqtt.init_app(app)
            broker.wait_connected(2)


def test_the_number_of_handler_threads_holds(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)

    def there_are(count: int) -> bool:
        names = (thread.name for thread in threading.enumerate())
        return count == sum(name.startswith("mqtt-handler") for name in names)

    with connected(app) as mqtt:
        for wanted, shown in ((3, 3), (2, 2), (1, 0)):
            app.config["MQTT_HANDLER_THREADS"] = wanted
            mqtt.init_app(app)
            wait_until(lambda: mqtt.connected)
            wait_until(partial(there_are, shown))


def test_what_was_set_on_the_client_holds(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    with connected(app) as mqtt:
        mqtt.client.username_pw_set("me")
        mqtt.init_app(app)
        connect = scripted.wait_for("CONNECT", 2).connect
        assert connect is not None
        assert connect.username == "me"
        mqtt.init_app(app)
    assert scripted.connections == 2


def test_an_attribute_holds_where_no_key_says_otherwise(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    mqtt = Mqtt()
    mqtt.keepalive = 17
    mqtt.init_app(app)
    with mqtt:
        wait_until(mqtt.client.is_connected)
        mqtt.init_app(app)
        assert scripted.connections == 1
        mqtt.keepalive = 18
        # The key says otherwise.
        mqtt.broker_port = 1
        mqtt.init_app(app)
        scripted.wait_for("CONNECT", 2)
        wait_until(mqtt.client.is_connected)
        mqtt.init_app(app)
        assert mqtt.broker_port == scripted.port
    connects = [packet.connect for packet in scripted.of("CONNECT")]
    assert [connect.keepalive for connect in connects if connect] == [17, 18]


def test_another_application_or_prefix_is_another_connection(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    app.config |= {"MQTT2_BROKER_URL": "127.0.0.1", "MQTT2_BROKER_PORT": scripted.port}
    with connected(app) as mqtt:
        mqtt.init_app(make_app(scripted.port))
        scripted.wait_for("CONNECT", 2)
        mqtt.init_app(app)
        scripted.wait_for("CONNECT", 3)
        mqtt.init_app(app, "MQTT2")
        scripted.wait_for("CONNECT", 4)
        wait_until(lambda: mqtt.connected)


def test_values_that_cannot_be_used_leave_the_connection_alone(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, reconnect_delay_min=0.05)
    with connected(app) as mqtt:
        for key, value in (("MQTT_BROKER_PORT", "x"), ("MQTT_TLS_CA_CERTS", "/no/such/file")):
            app.config[key] = value
            app.config["MQTT_TLS_ENABLED"] = "CA" in key
            with pytest.raises((ValueError, OSError)):
                mqtt.init_app(app)
            del app.config[key]
        app.config["MQTT_BROKER_PORT"] = scripted.port
        assert mqtt.connected
        assert mqtt.client.is_connected()
        app.config["MQTT_TLS_ENABLED"] = False
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
