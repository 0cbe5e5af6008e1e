"""Values as they come from the environment: empty, as JSON, as names and as digits."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
from flask import Flask

from flask_mqtt import Client, config
from flask_mqtt.config import Config, read

pytestmark = pytest.mark.smoke

#: Of these an empty text is a value or an error.
EMPTY = {
    "client_id": "", "username": "", "password": "", "last_will_message": "",
    "clean_session": False,
}  # fmt: skip


def from_environment(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Config:
    """Read what `from_prefixed_env` makes of variables."""
    for name, text in variables.items():
        monkeypatch.setenv(f"FLASK_MQTT_{name.upper()}", text)
    app = Flask("tests")
    app.config.from_prefixed_env()
    return read(app.config, "MQTT")


@pytest.mark.parametrize("name", sorted(config.NAMES - {"broker_url"}))
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_variable_is_as_if_it_was_not_there(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    values = from_environment(monkeypatch, **{name: text})
    if name in EMPTY and not (isinstance(EMPTY[name], str) and text):
        assert getattr(values, name) == EMPTY[name]
    elif name not in EMPTY:
        assert values == Config()
        assert not values.is_set(name)
    values.connect_options()
    if not text or name not in EMPTY:
        assert caplog.messages == []


def test_a_whole_file_of_empty_variables_connects_to_the_broker_that_it_names(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    names = config.NAMES - {"broker_url", "clean_session"}
    url = "mqtts://me:secret@broker:8884"
    del_tls = {"tls_ca_certs", "tls_ciphers"}
    variables = dict.fromkeys(sorted(names - del_tls), "")
    [broker] = from_environment(monkeypatch, **variables, broker_url=url).endpoints()
    assert (broker.tls, broker.port) == (True, 8884)
    assert (broker.username, broker.password) == ("me", "secret")
    assert caplog.messages == []


@pytest.mark.parametrize("name", ["tls_ca_certs", "tls_ciphers"])
def test_what_is_trusted_must_not_get_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variables in ({"tls_enabled": "true"}, {"broker_url": "mqtts://broker"}):
        with pytest.raises(ValueError, match=f"MQTT_{name.upper()} = '': it must not be empty"):
            from_environment(monkeypatch, **{name: ""}, **variables)
    monkeypatch.delenv("FLASK_MQTT_TLS_ENABLED")
    monkeypatch.setenv("FLASK_MQTT_BROKER_URL", "mqtt://broker")
    from_environment(monkeypatch, **{name: ""})


def test_without_verification_nothing_is_trusted_that_could_get_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    variables = {"tls_enabled": "true", "tls_cert_reqs": "CERT_NONE", "tls_ca_certs": ""}
    assert from_environment(monkeypatch, **variables).tls_ca_certs is None


def test_an_empty_argument_of_a_client_is_no_unset_one() -> None:
    with pytest.raises(ValueError, match="topic"):
        Client().will_set("")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("password", "123456", "123456"),
        ("password", "007", "007"),
        ("password", "-5", "-5"),
        ("password", '"1.50"', "1.50"),
        ("password", '"true"', "true"),
        ("username", "42", "42"),
        ("client_id", "42", "42"),
        ("last_will_topic", "42", "42"),
        ("last_will_message", "42", 42),
        ("last_will_message", "offline", "offline"),
        ("last_will_message", '"{}"', "{}"),
        ("tls_keyfile_password", "1234", "1234"),
        ("broker_port", "1884", 1884),
        ("broker_port", '"1884"', 1884),
        ("keepalive", "30", 30),
        ("connection_timeout", "2.5", 2.5),
        ("clean_session", "false", False),
        ("clean_session", "False", False),
        ("clean_session", "0", False),
        ("tls_enabled", "true", True),
        ("tls_enabled", "True", True),
        ("tls_enabled", "yes", True),
        ("tls_version", "TLSv1_2", ssl.TLSVersion.TLSv1_2),
        ("tls_version", "ssl.TLSVersion.TLSv1_2", ssl.TLSVersion.TLSv1_2),
        ("tls_version", "TLSv1.3", ssl.TLSVersion.TLSv1_3),
        ("tls_version", "1.2", ssl.TLSVersion.TLSv1_2),
        ("tls_version", '"1.3"', ssl.TLSVersion.TLSv1_3),
        ("tls_version", "PROTOCOL_TLSv1_2", ssl.TLSVersion.TLSv1_2),
        ("tls_version", "ssl.PROTOCOL_TLS_CLIENT", ssl.PROTOCOL_TLS_CLIENT),
        ("tls_version", "PROTOCOL_TLS", 2),
        ("tls_version", "5", 5),
        ("tls_version", "null", ssl.PROTOCOL_TLS_CLIENT),
        ("tls_cert_reqs", "CERT_NONE", ssl.CERT_NONE),
        ("tls_cert_reqs", "ssl.CERT_NONE", ssl.CERT_NONE),
        ("tls_cert_reqs", "VerifyMode.CERT_OPTIONAL", ssl.CERT_OPTIONAL),
        ("tls_cert_reqs", "cert_required", ssl.CERT_REQUIRED),
        ("tls_cert_reqs", "none", ssl.CERT_NONE),
        ("tls_cert_reqs", "0", ssl.CERT_NONE),
        ("tls_cert_reqs", "false", ssl.CERT_NONE),
        ("tls_cert_reqs", "False", ssl.CERT_NONE),
        ("tls_cert_reqs", "True", ssl.CERT_OPTIONAL),
        ("tls_cert_reqs", "null", ssl.CERT_REQUIRED),
        ("protocol_version", "MQTTv311", 4),
        ("protocol_version", "MQTTv5", 5),
        ("protocol_version", "3.1.1", 4),
        ("protocol_version", "3.1", 3),
        ("protocol_version", "5.0", 5),
        ("protocol_version", "5", 5),
        ("transport", "WEBSOCKETS", "websockets"),
        ("incoming_overflow", "drop_oldest", "drop-oldest"),
        ("broker_url", '["mqtt://one", "mqtt://two"]', ["mqtt://one", "mqtt://two"]),
        ("tls_alpn", '["a", "b"]', ["a", "b"]),
        ("tls_alpn", "a,b", ["a", "b"]),
        ("ws_headers", '{"X-Token": "t"}', {"X-Token": "t"}),
        ("ws_headers", '[["X-Token", "t"], ["X-Id", "5"]]', {"X-Token": "t", "X-Id": "5"}),
        ("proxy", "null", None),
        ("password", "null", None),
    ],
)
def test_a_variable_means_what_is_written(
    name: str, text: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert getattr(from_environment(monkeypatch, **{name: text}), name) == expected
    if name in {"tls_alpn", "ws_headers", "broker_url"}:
        # Without `from_prefixed_env` all variables are strings.
        assert getattr(read({f"MQTT_{name.upper()}": text}, "MQTT"), name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("password", "1.50"),
        ("password", "true"),
        ("password", '{"a": 1}'),
        ("username", "1.5"),
        ("username", "false"),
        ("client_id", "1e5"),
        ("client_id", "[1]"),
        ("last_will_topic", "true"),
        ("last_will_message", '{"state": "gone"}'),
    ],
)
def test_a_text_that_json_reads_otherwise_is_refused_with_what_to_write(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match=f"MQTT_{name.upper()} .*double quotes"):
        from_environment(monkeypatch, **{name: text})
    assert getattr(from_environment(monkeypatch, **{name: json.dumps(text)}), name) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tls_cert_reqs", "None"),
        ("tls_cert_reqs", "CERT_MAYBE"),
        ("tls_version", "TLSv2"),
        ("tls_version", "1.4"),
        ("protocol_version", "3.2"),
        ("ws_headers", '[["X", "1"], ["X", "2"]]'),
        ("ws_headers", '[["X"]]'),
        ("ws_headers", '{"broken'),
        ("broker_url", ""),
    ],
)
def test_what_means_nothing_is_refused(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises((TypeError, ValueError), match=f"MQTT_{name.upper()}"):
        from_environment(monkeypatch, **{name: text})


@pytest.mark.parametrize("name", ["connect_properties", "last_will_properties"])
@pytest.mark.parametrize("prefixed", [False, True])
def test_properties_may_be_json_with_pairs_as_lists(
    name: str, prefixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        name: '{"UserProperty": [["a", "b"], ["c", "d"]]}',
        "protocol_version": "5",
        "last_will_topic": "gone",
    }
    if prefixed:
        from_environment(monkeypatch, **variables).connect_options()
    else:
        keys = {f"MQTT_{key.upper()}": text for key, text in variables.items()}
        read(keys, "MQTT").connect_options()


#: One of each kind that JSON has.
JSON = ["true", "false", "5", "0", "-1", "1.5", "1e400", "NaN", '"text"', '["a", 1]', '{"a": [1]}']


@pytest.mark.parametrize("name", sorted(config.NAMES))
@pytest.mark.parametrize("text", JSON)
def test_whatever_json_makes_of_a_variable_is_used_or_refused_by_its_key(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = f"MQTT_{name.upper()}"
    try:
        from_environment(monkeypatch, **{name: text})
    except (TypeError, ValueError) as error:
        said = str(error)
    assert f"MQTT_{name.upper()}" in said


@pytest.mark.parametrize("name", sorted(config.NAMES))
def test_a_number_may_be_written_as_digits(name: str) -> None:
    default = getattr(Config(), name)
    if isinstance(default, (int, float)) and not isinstance(default, bool):
        key = f"MQTT_{name.upper()}"
        digits = str(default if isinstance(default, float) else int(default))
        values = [read({key: value}, "MQTT") for value in (default, digits)]
        assert getattr(values[0], name) == getattr(values[1], name)


def test_two_underscores_make_a_dict_which_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FLASK_MQTT__TLS_ENABLED", "true")
    monkeypatch.setenv("FLASK_MQTT__TOPIC", "mine")
    from_environment(monkeypatch)
    assert caplog.messages == [
        "MQTT['TLS_ENABLED'] is not read; did you mean MQTT_TLS_ENABLED, with one underscore?"
    ]
