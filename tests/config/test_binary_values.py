"""Bytes for what CONNECT carries, pairs as lists, and files that are looked at when named."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt, Properties, SubscribeOptions
from flask_mqtt.config import read
from flask_mqtt.paho.subscribeoptions import wanted
from support.apps import app_for, make_app
from support.running import closing

if TYPE_CHECKING:
    from pathlib import Path

    from support.certificates import Certificates
    from support.packets import Connect
    from support.scripted import ScriptedBroker

#: No UTF-8, and with a null character.
RAW = b"\xff\x00p\xc3"


def connect_of(scripted: ScriptedBroker) -> Connect:
    connect = scripted.wait_for("CONNECT").connect
    assert connect is not None
    return connect


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_the_configuration_are_sent_as_they_are(
    kind: Any, scripted: ScriptedBroker
) -> None:
    app = make_app(
        scripted.port,
        client_id=kind(b"me"),
        username=kind("ä".encode()),
        password=kind(RAW),
        last_will_topic=kind("a/ä".encode()),
        last_will_message=kind(RAW),
    )
    with Mqtt(app):
        connect = connect_of(scripted)
    assert (connect.client_id, connect.username, connect.password) == ("me", "ä", RAW)
    assert connect.will is not None
    assert connect.will[:2] == ("a/ä", RAW)


@pytest.mark.parametrize("way", ["username_pw_set", "attributes"])
def test_bytes_that_a_client_is_given_are_sent_as_they_are(
    way: str, scripted: ScriptedBroker
) -> None:
    with closing(Client(client_id="me")) as client:
        if way == "attributes":
            client.username, client.password = "u", RAW
        else:
            client.username_pw_set("u", RAW)
        client.will_set("gone", RAW)
        assert client.password == RAW
        client.connect("127.0.0.1", scripted.port)
        connect = connect_of(scripted)
    assert (connect.username, connect.password) == ("u", RAW)
    assert connect.will is not None
    assert connect.will[1] == RAW


def test_bytes_of_a_text_are_read_as_text_as_in_paho() -> None:
    client = Client()
    client.username_pw_set(b"u", b"p")
    assert (client.username, client.password) == ("u", "p")


@pytest.mark.parametrize("secret", ["%ff%00p%c3", "p%C3%A4"])
def test_a_password_in_a_url_may_be_any_bytes(secret: str, scripted: ScriptedBroker) -> None:
    with Mqtt(app_for(f"mqtt://u:{secret}@127.0.0.1:{scripted.port}")):
        connect = connect_of(scripted)
    assert connect.password == (RAW if "ff" in secret else "pä".encode())


@pytest.mark.parametrize("name", ["client_id", "username", "last_will_topic"])
def test_a_text_of_mqtt_is_utf_8_and_the_error_does_not_show_it(name: str) -> None:
    with pytest.raises(ValueError, match=f"MQTT_{name.upper()} has bytes") as caught:
        read({f"MQTT_{name.upper()}": b"hunter2\xff"}, "MQTT")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_password_is_in_no_representation(scripted: ScriptedBroker) -> None:
    mqtt = Mqtt(make_app(scripted.port, username="u", password=b"hunter2\xff"))
    with mqtt:
        assert "hunter2" not in repr(mqtt.client._parts.settings.config)
    with pytest.raises(ValueError, match="password is longer") as caught:
        Client().username_pw_set("u", b"hunter2\xff" * 10_000)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["t", 1], [("t", 1)]),
        (["t", 0], [("t", 0)]),
        ([["t", 1], ["u", 2]], [("t", 1), ("u", 2)]),
        ([["t", 1], ("u", 2), "v"], [("t", 1), ("u", 2), ("v", 0)]),
        (["t", "u"], [("t", 0), ("u", 0)]),
        ([["t", SubscribeOptions(qos=2)]], [("t", 2)]),
    ],
)
def test_a_pair_of_a_filter_and_its_qos_may_be_a_list(given: Any, expected: Any) -> None:
    assert [(name, qos) for name, qos, *_ in wanted(given, 0, None)] == expected


@pytest.mark.parametrize("given", [[["t"]], [["t", 1, 2]], [[1, "t"]], [["t", "u"]], [[]]])
def test_what_is_no_pair_is_refused(given: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        wanted(given, 0, None)


@pytest.mark.parametrize("given", [["a", "b"], ("a", "b"), [["a", "b"]], [("a", "b")]])
def test_a_pair_of_a_user_property_may_be_a_list(given: Any) -> None:
    assert Properties(UserProperty=given).UserProperty == [("a", "b")]


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["ca_certs", "certfile", "keyfile"])
def test_tls_set_with_a_file_that_is_missing_raises_at_once(
    argument: str, certificates: Certificates, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    files: dict[str, Any] = {argument: missing}
    if argument == "keyfile":
        files["certfile"] = certificates.client.certificate
    client = Client()
    with pytest.raises(FileNotFoundError, match=f"tls_{argument}") as caught:
        client.tls_set(**files)
    assert caught.value.filename == str(missing)
    assert client._parts.settings.config.tls_enabled is False


def test_tls_set_with_what_is_no_certificate_or_an_unknown_cipher_raises_at_once(
    tmp_path: Path,
) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    for arguments in ({"ca_certs": tmp_path / "bad.pem"}, {"ciphers": "nonsense"}):
        with pytest.raises(ssl.SSLError):
            Client().tls_set(**arguments)


@pytest.mark.parametrize("connect_async", [False, True])
@pytest.mark.parametrize("name", ["ca_certs", "certfile"])
def test_a_file_of_the_configuration_that_is_missing_raises_at_once(
    connect_async: bool, name: str, scripted: ScriptedBroker, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.pem"
    keys: dict[str, Any] = {f"tls_{name}": missing}
    app = make_app(scripted.port, tls_enabled=True, **keys)
    with pytest.raises(FileNotFoundError, match=f"MQTT_TLS_{name.upper()}"):
        Mqtt(app, connect_async=connect_async)
    assert scripted.connections == 0
