"""What is secret is nowhere to be read: not in texts of objects, errors or log records."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import make_app
from support.packets import MQTT5
from support.ports import closed_port
from support.proxy import HttpProxy, SocksProxy
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from flask import Flask

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.proxy import Proxy

#: In every secret.
MARK = "hunter"

SECRETS: dict[str, Any] = {
    "username": "user-hunter0",
    "password": "hunter1",
    "ws_path": "/mqtt?token=hunter2",
    "ws_headers": {"Authorization": "Bearer hunter3"},
    "connect_properties": {"UserProperty": [("token", "hunter4")]},
    "protocol_version": 5,
    "reconnect_delay_min": 1,
}


class Watch:
    """Everything that is shown of clients while it lasts."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        # Its list is another one in each phase of a test.
        self._caplog = caplog
        self.texts: list[str] = []

    def connect(self, app: Flask, *, wait: bool = True) -> Mqtt:
        """Connect, or fail, and look at all that there is then."""
        mqtt = Mqtt(mqtt_logging=True, connect_async=not wait)
        mqtt.on_log()(lambda client, userdata, level, text: self.texts.append(text))
        try:
            mqtt.init_app(app)
        except OSError as error:
            self.texts += self._shown(error)
        config = mqtt.client._parts.settings.config
        objects = [mqtt, mqtt.client, config, config.connect_options(), *config.endpoints()]
        self.texts += [show(item) for item in objects for show in (repr, str, format)]
        return mqtt

    def _shown(self, error: BaseException) -> Iterator[str]:
        link: BaseException | None = error
        while link is not None:
            yield "".join(traceback.format_exception_only(link))
            yield repr((link, link.args, vars(link)))
            link = link.__cause__ or link.__context__

    def assert_no_secret(self) -> None:
        """Look for secrets in what was seen, also as a header has them."""
        texts = [*self.texts, *(repr(vars(record)) for record in self._caplog.records)]
        texts += [record.getMessage() for record in self._caplog.records]
        assert texts
        encoded = [base64.b64encode(b"hunter"[start:]).decode()[:4] for start in range(3)]
        found = [text for text in texts for mark in (MARK, *encoded) if mark in text]
        assert found == []


@pytest.fixture
def watch(caplog: pytest.LogCaptureFixture) -> Watch:
    caplog.set_level(logging.DEBUG)
    return Watch(caplog)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param({}, id="TCP"),
        pytest.param({"tls_enabled": True}, id="TLS"),
        pytest.param({"transport": "websockets"}, id="websocket"),
        pytest.param({"transport": "websockets", "tls_enabled": True}, id="websocket in TLS"),
        pytest.param({"broker_url": "mqtt://hunter7:hunter8@127.0.0.1"}, id="URL"),
        pytest.param({"broker_url": "wss://h:hunter8@127.0.0.1/x?token=hunter9"}, id="wss URL"),
        pytest.param({"broker_url": "no-such-host.invalid"}, id="host"),
        pytest.param({"proxy": "socks5://user:hunter6@127.0.0.1:1"}, id="no proxy"),
    ],
)
@pytest.mark.parametrize("listening", [True, False], ids=["not MQTT", "refused"])
def test_of_a_connection_that_cannot_be_made(
    config: dict[str, Any], listening: bool, watch: Watch
) -> None:
    # What it answers is neither TLS nor a websocket nor MQTT.
    with ScriptedBroker(connack=b"HTTP/1.1 401 Unauthorized\r\n\r\n") as broker:
        port = broker.port if listening else closed_port()
        timeouts = {"connection_timeout": 1, "handshake_timeout": 1}
        app = make_app(port, **{**SECRETS, **timeouts, **config})
        for wait in (True, False):
            watch.connect(app, wait=wait).close()
    watch.assert_no_secret()


@pytest.mark.parametrize("connack", [0x87, 0])
def test_of_a_connection_that_is_refused_or_lost(connack: int, watch: Watch) -> None:
    with ScriptedBroker(connack=[connack, 0], version=MQTT5) as broker:
        mqtt = watch.connect(make_app(broker.port, **SECRETS))
        broker.wait_connected()
        wait_until(lambda: connack or mqtt.connected)
        broker.drop()
        broker.wait_connected(2, 10)
        wait_until(lambda: mqtt.connected)
        mqtt.close()
        assert b"hunter1" in broker.of("CONNECT")[0].raw
    watch.assert_no_secret()


@pytest.mark.parametrize("kind", [HttpProxy, SocksProxy])
@pytest.mark.parametrize("password", ["hunter6", "wrong-hunter6"])
def test_of_a_proxy(
    kind: type[Proxy], password: str, watch: Watch, scripted: ScriptedBroker, tmp_path: Path
) -> None:
    with kind(tmp_path, "user", "hunter6") as proxy:
        url = f"{proxy.scheme}://user:{password}@{proxy.host}:{proxy.port}"
        config = {"password": "hunter1", "username": "u"}
        watch.connect(make_app(scripted.port, proxy=url, **config)).close()
    watch.assert_no_secret()


@pytest.mark.parametrize("password", ["hunter5", None], ids=["wrong", "missing"])
def test_of_a_key(
    password: str | None, watch: Watch, tls_broker: Mosquitto, certificates: Certificates
) -> None:
    app = make_app(
        tls_broker.listeners["mutual"].port,
        tls_enabled=True,
        tls_ca_certs=certificates.ca,
        tls_certfile=certificates.client.certificate,
        tls_keyfile=certificates.key_pkcs8_encrypted,
        tls_keyfile_password=password,
    )
    watch.connect(app).close()
    watch.assert_no_secret()


@pytest.mark.parametrize(
    "config",
    [
        {"password": b"hunter"},
        {"broker_url": "mqtt://u:hunter@broker:port"},
        {"broker_url": ["mqtt://u:hunter@broker", 5]},
        {"broker_url": "http://u:hunter@broker"},
        {"ws_path": "/mqtt?token=hunter\n"},
        {"ws_path": b"/mqtt?token=hunter"},
        {"ws_headers": {"X": "hunter\n"}},
        {"ws_headers": ["hunter"]},
        {"proxy": "socks4://u:hunter@broker"},
        {"proxy": b"http://u:hunter@broker"},
        {"tls_keyfile_password": b"hunter"},
        {"tls_keyfile": "-----BEGIN PRIVATE KEY-----\nhunter\n-----END PRIVATE KEY-----\n"},
        # Without the lines around it, encoded once more, and as URLs have it.
        {"tls_certfile": "c", "tls_keyfile": "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwgg/hunter+" * 9},
        {"tls_certfile": "c", "tls_keyfile": "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCk1hunter" * 9},
        {"tls_certfile": "c", "tls_keyfile": "data:;base64," + "MIIEvQIBADANBgkqhunter" * 3},
        {"tls_certfile": "c", "tls_keyfile": "MIIEvQIBADANBgkqhunter" * 3 + "\0"},
        {"connect_properties": {"AuthenticationData": b"hunter"}, "protocol_version": 5},
        {"connect_properties": {"AuthenticationData": ["hunter"]}, "protocol_version": 5},
    ],
    ids=repr,
)
def test_of_a_value_that_is_wrong(config: dict[str, Any], watch: Watch) -> None:
    app = make_app(closed_port(), transport="websockets", tls_enabled=True, **config)
    mqtt = Mqtt()
    with pytest.raises((TypeError, ValueError, OSError)) as caught:
        mqtt.init_app(app)
    watch.texts += watch._shown(caught.value)
    watch.assert_no_secret()


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.username_pw_set("u", ["hunter"]),
        lambda client: client.tls_set(keyfile_password=["hunter"], keyfile="k"),
        lambda client: client.ws_set_options("/", ["hunter"]),
        lambda client: client.ws_set_options(b"/mqtt?token=hunter"),
        lambda client: client.proxy_set(proxy_addr="p", proxy_type=2, proxy_password=["hunter"]),
        lambda client: client.connect("mqtt://u:hunter@broker:port"),
        lambda client: client.connect("http://u:hunter@broker"),
    ],
)
def test_of_a_call_of_the_client_that_is_wrong(call: Any, watch: Watch) -> None:
    client = Client()
    with pytest.raises((TypeError, ValueError)) as caught:
        call(client)
    watch.texts += [*watch._shown(caught.value), repr(client)]
    watch.assert_no_secret()


@pytest.mark.parametrize(
    "value", ["mqtt://u:hunter1@host/x", "u:hunter1@host", "ws://hunter1@host?token=hunter2"]
)
def test_of_a_url_in_the_place_of_a_path(value: str) -> None:
    with pytest.raises(ValueError, match="MQTT_WS_PATH") as caught:
        Mqtt(make_app(1883, transport="websockets", ws_path=value))
    assert "hunter" not in str(caught.value)
