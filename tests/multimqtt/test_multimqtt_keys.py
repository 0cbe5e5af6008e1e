"""The keys of Flask-MultiMQTT: what each becomes, and what is refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask

from flask_multimqtt import MultiMQTT
from flask_multimqtt.keys import as_mqtt

pytestmark = pytest.mark.smoke

BROKER = ("MQTT_BROKER_URL", "MQTT_BROKER_PORT", "MQTT_TLS_ENABLED")
LOGIN = ("MQTT_USERNAME", "MQTT_PASSWORD", "MQTT_PREFIX")


def made(names: tuple[str, ...], **config: Any) -> tuple[Any, ...]:
    """Return what becomes of keys, which go without MQTT_ here, for some keys of `Mqtt`."""
    found = as_mqtt({f"MQTT_{name.upper()}": value for name, value in config.items()}, None)
    assert "MQTT_URI" not in found
    assert "MQTT_HOST" not in found
    return tuple(found.get(name) for name in names)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("127.0.0.1", None, None)),
        ({"uri": ""}, ("127.0.0.1", None, None)),
        ({"uri": "mqtt://username:password@", "host": ""}, ("127.0.0.1", None, None)),
        ({"uri": "mqtt://example.com"}, ("example.com", None, None)),
        ({"uri": " MQTT://example.com "}, ("example.com", None, None)),
        ({"uri": "mqtt://example.com:1884/x"}, ("example.com", 1884, None)),
        ({"uri": "mqtts://example.com"}, ("example.com", 8883, True)),
        ({"uri": "mqtts://example.com:1884"}, ("example.com", 1884, True)),
        ({"uri": "mqtt://[::1]:1884"}, ("::1", 1884, None)),
        ({"uri": "mqtts://example.com", "host": "other"}, ("other", 8883, True)),
        ({"uri": "mqtts://example.com", "broker_port": 1}, ("example.com", 1, True)),
        ({"uri": "mqtts:///x", "host": "other"}, ("other", 8883, True)),
        ({"host": "other", "broker_port": 1884}, ("other", 1884, None)),
        ({"host": "", "broker_url": "other"}, ("other", None, None)),
        ({"broker_url": "mqtts://other"}, ("mqtts://other", None, None)),
    ],
)
def test_where_the_broker_is(config: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert made(BROKER, **config) == expected


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"uri": "mqtt://h"}, (None, None, None)),
        ({"uri": "mqtt://h/"}, (None, None, None)),
        ({"uri": "mqtt://me:secret@h/p"}, ("me", "secret", "p")),
        ({"uri": "mqtt://m%40e:s%2Fec%3Fret@h/a/%C3%BC"}, ("m@e", "s/ec?ret", "a/ü")),
        ({"uri": "mqtt://me@h//p/"}, ("me", None, "/p/")),
        ({"uri": "mqtt://me:secret@h/p", "username": "you"}, ("you", "secret", "p")),
        ({"uri": "mqtt://me:a@h/p", "password": "b", "prefix": "q"}, ("me", "b", "q")),
        ({"uri": "mqtt://me:a@h/p", "prefix": ""}, ("me", "a", "")),
        ({"username": "me", "password": "a", "prefix": "p"}, ("me", "a", "p")),
    ],
)
def test_who_logs_in_and_the_prefix(config: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert made(LOGIN, **config) == expected


def test_other_keys_are_those_of_mqtt() -> None:
    assert made(("MQTT_KEEPALIVE", "MQTT_JSON"), keepalive=3) == (3, True)
    assert made(("MQTT_JSON",), json=False) == (False,)
    assert as_mqtt({"MQTT_CLIENT_ID": "a"}, None)["MQTT_CLIENT_ID"] == "a"
    assert as_mqtt({"MQTT_CLIENT_ID": "a"}, "b")["MQTT_CLIENT_ID"] == "b"


def test_the_configuration_itself_stays_as_it_is() -> None:
    config = {"MQTT_URI": "mqtts://me:secret@h/p"}
    as_mqtt(config, "x")
    assert config == {"MQTT_URI": "mqtts://me:secret@h/p"}


@pytest.mark.parametrize(
    ("config", "error", "text"),
    [
        ({"uri": 3}, TypeError, "MQTT_URI = 3 is of type int: it must be a string"),
        ({"host": 3}, TypeError, "MQTT_HOST = 3 is of type int: it must be a string"),
        ({"uri": "h/p"}, ValueError, "MQTT_URI = 'h/p': it must begin with mqtt:// or mqtts://"),
        ({"uri": "mqtt:h"}, ValueError, "it must begin with mqtt:// or mqtts://"),
        ({"uri": "ws://h"}, ValueError, "MQTT_TRANSPORT has websockets"),
        (
            {"uri": "mqtt://h:port/p"},
            ValueError,
            "it must be mqtt://user:password@host:port/prefix",
        ),
        ({"uri": "mqtt://h:99999"}, ValueError, "it must be mqtt://user:password@host:port/prefix"),
        ({"uri": "mqtt://[::1"}, ValueError, "it must be mqtt://user:password@host:port/prefix"),
        ({"uri": "mqtt://h/p?x=1"}, ValueError, "it must not have ? and #"),
        ({"uri": "mqtt://h/p#x"}, ValueError, "it must not have ? and #"),
    ],
)
def test_what_is_refused(config: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        made(BROKER, **config)
    assert text in str(caught.value)
    assert str(caught.value).startswith("MQTT_")


@pytest.mark.parametrize(
    "uri",
    [
        "mqtt://me:hunter2@h:port",
        "mqtt://me:hunter2@[h",
        "mqtt://me:hunter2#@h",
        "mqtt://me:hunter2?@h",
        "http://me:hunter2@h",
        "mqtt://me:hunter2",
        b"mqtt://me:hunter2@h",
    ],
)
def test_no_error_shows_the_password(uri: object) -> None:
    app = Flask("tests")
    app.config["MQTT_URI"] = uri
    with pytest.raises((TypeError, ValueError)) as caught:
        MultiMQTT(app)
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2" not in str(error)
        error = error.__cause__ or error.__context__


def test_a_key_that_is_overridden_is_named(caplog: pytest.LogCaptureFixture) -> None:
    made(BROKER, uri="mqtt://me:hunter2@a", broker_url="mqtt://me:hunter2@b")
    [record] = caplog.records
    assert record.getMessage() == (
        "MQTT_BROKER_URL = 'mqtt://…@b' has no effect: MQTT_URI or MQTT_HOST says 'a'"
    )
    caplog.clear()
    made(BROKER, uri="mqtt://a", broker_url="a")
    assert not caplog.records


def test_its_own_keys_are_no_typos(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("tests")
    app.config.update(MQTT_URI="mqtt://me:x@127.0.0.1/p", MQTT_HOST="127.0.0.1", MQTT_PREFIX="p")
    with caplog.at_level(logging.WARNING):
        MultiMQTT(app)
    assert not caplog.records
