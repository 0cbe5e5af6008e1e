"""The configuration keys: what they default to, what they accept, and what bad input gets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import Mqtt, MQTTv5, PacketTypes, Properties
from flask_mqtt.config import MAX_PACKET_SIZE, Config, read
from support.apps import make_app
from support.packets import Will

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.smoke

DEFAULTS: dict[str, Any] = {
    "client_id": "",
    "broker_url": "localhost",
    "broker_port": 1883,
    "username": None,
    "password": None,
    "keepalive": 60,
    "clean_session": True,
    "connection_timeout": 5,
    "handshake_timeout": 30,
    "last_will_topic": None,
    "last_will_message": None,
    "last_will_qos": 0,
    "last_will_retain": False,
    "max_packet_size": 268_435_455,
    "tls_enabled": False,
    "tls_ca_certs": None,
    "tls_certfile": None,
    "tls_keyfile": None,
    "tls_ciphers": None,
    "tls_insecure": False,
}


def read_one(key: str, value: object) -> object:
    """Read a configuration with one key and return the value that it got."""
    return getattr(read({f"MQTT_{key}": value}, "MQTT"), key.lower())


def refusal(error: type[Exception], key: str, value: object) -> str:
    """Return the message of the exception that a value gets."""
    with pytest.raises(error) as caught:
        read_one(key, value)
    assert type(caught.value) is error
    message = str(caught.value)
    assert f"MQTT_{key}" in message
    return message


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_a_key_that_is_not_set_has_its_default(name: str, value: object) -> None:
    got = getattr(read({}, "MQTT"), name)
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_mqtt_has_every_attribute_before_init_app(name: str, value: object) -> None:
    assert getattr(Mqtt(), name) == value


def test_mqtt_starts_without_app_connection_and_topics() -> None:
    mqtt = Mqtt(config_prefix="MQTT2")
    assert mqtt.app is None
    assert mqtt.connected is False
    assert mqtt.topics == {}
    assert mqtt.config_prefix == "MQTT2"
    assert mqtt.client.is_connected() is False


def test_init_app_puts_the_values_on_attributes_and_on_the_wire(scripted: ScriptedBroker) -> None:
    given: dict[str, Any] = {
        "client_id": "device",
        "username": "me",
        "password": "secret",
        "keepalive": 7,
        "clean_session": False,
        "connection_timeout": 2.5,
        "last_will_topic": "gone",
        "last_will_message": "bye",
        "last_will_qos": 2,
        "last_will_retain": True,
        "max_packet_size": 1000,
    }
    app = make_app(scripted.port, **given)
    with Mqtt(app) as mqtt:
        connect = scripted.wait_for("CONNECT").connect
        assert {name: getattr(mqtt, name) for name in given} == given
        assert (mqtt.broker_url, mqtt.broker_port) == ("127.0.0.1", scripted.port)
        assert mqtt.app is app
        assert app.extensions["mqtt"] == {"MQTT": mqtt}
    assert connect is not None
    assert connect._asdict() == {
        "protocol": "MQTT",
        "level": 4,
        "clean_session": False,
        "keepalive": 7,
        "client_id": "device",
        "will": Will("gone", b"bye", 2, True),
        "username": "me",
        "password": b"secret",
    }


INTEGERS = {
    "BROKER_PORT": (1, 65_535),
    "KEEPALIVE": (0, 65_535),
    "LAST_WILL_QOS": (0, 2),
    "MAX_PACKET_SIZE": (1, MAX_PACKET_SIZE),
}


@pytest.mark.parametrize(("key", "bounds"), INTEGERS.items())
def test_a_number_may_be_a_string_of_digits(key: str, bounds: tuple[int, int]) -> None:
    for bound in bounds:
        assert read_one(key, bound) == bound
        assert read_one(key, str(bound)) == bound
        assert read_one(key, f" {bound}\n") == bound
        assert type(read_one(key, str(bound))) is int


@pytest.mark.parametrize(("key", "bounds"), INTEGERS.items())
def test_a_number_out_of_bounds_is_refused_with_the_bounds(
    key: str, bounds: tuple[int, int]
) -> None:
    low, high = bounds
    wrong = [low - 1, high + 1, str(high + 1), "abc", "1.5", "-1", "0x10", "²", "1_0"]
    for value in wrong:
        message = refusal(ValueError, key, value)
        assert f"from {low} to {high}" in message
        assert repr(value) in message or str(value) in message


@pytest.mark.parametrize("key", INTEGERS)
@pytest.mark.parametrize("value", [None, 1.0, True, [1], b"1"])
def test_a_number_of_another_type_is_refused(key: str, value: object) -> None:
    message = refusal(TypeError, key, value)
    assert repr(value) in message
    assert type(value).__name__ in message
    assert "whole number" in message


@pytest.mark.parametrize(("value", "seconds"), [(5, 5), (0.5, 0.5), ("5", 5), ("2.5", 2.5)])
def test_the_connection_timeout_may_be_a_fraction(value: object, seconds: float) -> None:
    assert read_one("CONNECTION_TIMEOUT", value) == seconds


@pytest.mark.parametrize("value", [0, -1, "0", "soon", 3601, float("nan"), float("inf"), "nan"])
def test_a_connection_timeout_that_makes_no_sense_is_refused(value: object) -> None:
    message = refusal(ValueError, "CONNECTION_TIMEOUT", value)
    assert "seconds above 0" in message
    assert str(value) in message


@pytest.mark.parametrize("value", [None, True, [5]])
def test_a_connection_timeout_of_another_type_is_refused(value: object) -> None:
    assert "seconds above 0" in refusal(TypeError, "CONNECTION_TIMEOUT", value)


BOOLEANS = ["CLEAN_SESSION", "LAST_WILL_RETAIN", "TLS_ENABLED", "TLS_INSECURE", "TCP_NODELAY"]


@pytest.mark.parametrize("key", BOOLEANS)
@pytest.mark.parametrize("value", [False, 0, "False", "false", "0", "no", "off", "OFF"])
def test_words_for_false_are_understood(key: str, value: object) -> None:
    assert read_one(key, value) is False


@pytest.mark.parametrize("value", ["", None])
def test_nothing_is_false_as_in_flask_mqtt_but_switches_nothing_else_off(value: object) -> None:
    for key in ("CLEAN_SESSION", "LAST_WILL_RETAIN", "TLS_ENABLED", "TLS_INSECURE"):
        assert read_one(key, value) is False
    for key in ("TCP_NODELAY", "RECONNECT_ON_FAILURE"):
        assert read_one(key, value) is True


@pytest.mark.parametrize("key", BOOLEANS)
@pytest.mark.parametrize("value", [True, 1, "True", "true", "1", "yes", "on", "ON"])
def test_words_for_true_are_understood(key: str, value: object) -> None:
    assert read_one(key, value) is True


@pytest.mark.parametrize("key", BOOLEANS)
@pytest.mark.parametrize(("value", "error"), [("maybe", ValueError), ([], TypeError)])
def test_what_is_neither_true_nor_false_is_refused(
    key: str, value: object, error: type[Exception]
) -> None:
    message = refusal(error, key, value)
    assert repr(value) in message
    assert "True or False" in message


@pytest.mark.parametrize("key", ["CLIENT_ID", "BROKER_URL", "USERNAME", "LAST_WILL_TOPIC"])
def test_a_text_of_another_type_is_refused(key: str) -> None:
    for value in (True, 1.5, {"a": "dict"}):
        message = refusal(TypeError, key, value)
        assert repr(value) in message
        assert "a string" in message


@pytest.mark.parametrize("key", ["CLIENT_ID", "BROKER_URL", "USERNAME", "LAST_WILL_TOPIC"])
def test_a_text_that_mqtt_cannot_carry_is_refused(key: str) -> None:
    assert "null character" in refusal(ValueError, key, "a\0b")
    assert "65535" in refusal(ValueError, key, "x" * 65_536)
    assert "UTF-8" in refusal(ValueError, key, "\udcff")


def test_a_client_id_of_none_is_an_empty_one() -> None:
    assert read_one("CLIENT_ID", None) == ""


@pytest.mark.parametrize("value", ["a/#", "a/+/b"])
def test_a_last_will_topic_with_a_wildcard_is_refused(value: str) -> None:
    assert repr(value).strip("'") in refusal(ValueError, "LAST_WILL_TOPIC", value)


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"b"), 5, 2.5, None])
def test_a_last_will_message_may_be_what_a_payload_may_be(value: object) -> None:
    assert read_one("LAST_WILL_MESSAGE", value) == value


def test_a_last_will_message_of_another_type_or_size_is_refused() -> None:
    assert "bytearray" in refusal(TypeError, "LAST_WILL_MESSAGE", ["x"])
    assert "65535" in refusal(ValueError, "LAST_WILL_MESSAGE", "é" * 32_768)
    assert "UTF-8" in refusal(ValueError, "LAST_WILL_MESSAGE", "\udcff")


def test_a_last_will_message_without_a_topic_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    read({"MQTT_LAST_WILL_MESSAGE": "bye"}, "MQTT")
    assert "MQTT_LAST_WILL_TOPIC" in caplog.text


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (1234567.8, TypeError),
        ("hunter2\0", ValueError),
        ("hunter2\udcff", ValueError),
        ("hunter2" * 10_000, ValueError),
    ],
)
def test_a_bad_password_is_never_shown(value: object, error: type[Exception]) -> None:
    message = refusal(error, "PASSWORD", value)
    assert "hunter2" not in message
    assert "1234567" not in message


def test_the_password_is_not_in_the_representation_of_the_configuration() -> None:
    assert "hunter2" not in repr(read({"MQTT_PASSWORD": "hunter2"}, "MQTT"))


@pytest.mark.parametrize("value", [3, 4, 5, "3", " 4 ", "5"])
def test_the_protocol_version_is_one_of_three(value: int | str) -> None:
    assert read_one("PROTOCOL_VERSION", value) == int(value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (2, ValueError),
        (6, ValueError),
        ("3.1.2", ValueError),
        (4.0, TypeError),
        (None, TypeError),
        (True, TypeError),
    ],
)
def test_another_protocol_version_is_refused_with_the_three(
    value: object, error: type[Exception]
) -> None:
    message = refusal(error, "PROTOCOL_VERSION", value)
    assert "3 (MQTTv31), 4 (MQTTv311) or 5 (MQTTv5)" in message
    assert repr(value) in message


def test_unknown_keys_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    config = {"MQTT_REFRESH_TIME": 1.0, "MQTT_": 1, "MQTT": "x", "OTHER": 1, "mqtt_thing": 2}
    assert read(config, "MQTT") == Config()
    assert caplog.records == []


@pytest.mark.parametrize("key", ["MQTT_broker_url", "mqtt_broker_url", "Mqtt_Broker_Url"])
def test_a_key_in_lower_case_is_read_with_a_warning(
    key: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert read({key: "broker.example"}, "MQTT").broker_url == "broker.example"
    [record] = caplog.records
    assert (record.name, record.levelno) == ("flask_mqtt", logging.WARNING)
    assert "MQTT_BROKER_URL" in record.getMessage()
    assert key in record.getMessage()


def test_the_right_spelling_wins_over_the_wrong_one() -> None:
    config = {"MQTT_broker_port": 1, "MQTT_BROKER_PORT": 2}
    assert read(config, "MQTT").broker_port == 2


def test_a_bad_value_under_a_key_in_lower_case_is_refused_under_its_right_name() -> None:
    with pytest.raises(ValueError, match="MQTT_BROKER_PORT = 'x'"):
        read({"MQTT_broker_port": "x"}, "MQTT")


def test_only_the_keys_with_the_prefix_are_read() -> None:
    config = {"MQTT_BROKER_PORT": 1, "MQTT2_BROKER_PORT": 2, "MQTT_2_BROKER_PORT": 3}
    assert read(config, "MQTT").broker_port == 1
    assert read(config, "MQTT2").broker_port == 2
    assert read(config, "MQTT_2").broker_port == 3
    assert read(config, "MQTT3").broker_port == 1883


def test_the_prefix_of_the_constructor_holds_in_init_app(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, config_prefix="MQTT2", client_id="second")
    app.config["MQTT_BROKER_PORT"] = 1
    with Mqtt(config_prefix="MQTT2") as mqtt:
        mqtt.init_app(app)
        connect = scripted.wait_for("CONNECT").connect
        assert app.extensions["mqtt"] == {"MQTT2": mqtt}
    assert connect is not None
    assert connect.client_id == "second"


def test_the_prefix_of_init_app_wins_over_that_of_the_constructor(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, config_prefix="MQTT3")
    with Mqtt(config_prefix="MQTT2") as mqtt:
        mqtt.init_app(app, config_prefix="MQTT3")
        scripted.wait_for("CONNECT")
        assert mqtt.config_prefix == "MQTT3"
        assert app.extensions["mqtt"] == {"MQTT3": mqtt}


def test_several_brokers_in_one_application_are_kept_by_their_prefix(
    scripted: ScriptedBroker,
) -> None:
    app = make_app(scripted.port, client_id="one")
    app.config |= {"MQTT2_BROKER_URL": "127.0.0.1", "MQTT2_BROKER_PORT": scripted.port}
    with Mqtt(app) as first, Mqtt(app, config_prefix="MQTT2") as second:
        scripted.wait_for("CONNECT", count=2)
        assert app.extensions["mqtt"] == {"MQTT": first, "MQTT2": second}


def test_a_bad_value_leaves_nothing_behind() -> None:
    app = Flask("tests")
    app.config["MQTT_BROKER_PORT"] = "x"
    with pytest.raises(ValueError, match="MQTT_BROKER_PORT"):
        Mqtt(app)
    assert not app.extensions.get("mqtt")


def test_init_app_again_changes_nothing(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    with Mqtt(app) as mqtt:
        scripted.wait_for("CONNECT")
        mqtt.init_app(app)
        assert scripted.connections == 1


@pytest.mark.parametrize(
    "properties",
    [
        {"SessionExpiryInterval": 60, "ReceiveMaximum": 7},
        Properties(PacketTypes.CONNECT, SessionExpiryInterval=60, ReceiveMaximum=7),
    ],
    ids=["dict", "Properties"],
)
def test_who_only_publishes_has_neither_session_nor_will(properties: Any) -> None:
    given = Config(key_prefix="MQTT", client_id="site").updated(
        {
            "protocol_version": MQTTv5,
            "clean_session": False,
            "connect_properties": properties,
            "last_will_topic": "gone",
            "last_will_qos": 1,
        }
    )
    own = given.for_publishing()
    assert given.keeps_session
    assert not own.keeps_session
    assert (own.client_id, own.last_will_topic, own.last_will_qos) == ("site", None, 0)
    left = own.connect_properties
    assert type(left) is type(properties)
    assert (left if isinstance(left, dict) else left.json()) == {"ReceiveMaximum": 7}
    assert given.last_will_topic == "gone"
