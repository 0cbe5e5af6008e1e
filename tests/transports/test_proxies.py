"""Proxies: tinyproxy (HTTP CONNECT) and microsocks (SOCKS5) between the client and mosquitto."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import app_for, make_app
from support.exchange import round_trip
from support.ports import closed_port
from support.proxy import HttpProxy, SocksProxy
from support.running import connected
from support.server import Server
from support.wait import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.proxy import Proxy

USER, PASSWORD = "user", "pass-word_1.2"
KINDS = [HttpProxy, SocksProxy]
each_kind = pytest.mark.parametrize("kind", KINDS)


def refusal(caplog: pytest.LogCaptureFixture, port: int, proxy: str) -> str:
    """Fail to connect; return the error, which is in the log too, in one line."""
    caplog.clear()
    with pytest.raises(ConnectionError) as caught:
        Mqtt(make_app(port, proxy=proxy))
    assert type(caught.value) is ConnectionError
    message = str(caught.value)
    assert [item.getMessage() for item in caplog.records if item.levelno >= logging.WARNING] == [
        f"MQTT: {message}"
    ]
    return message


@pytest.mark.parametrize("password", ["", PASSWORD], ids=["without-login", "with-login"])
@each_kind
def test_messages_go_both_ways(
    broker: Mosquitto, tmp_path: Path, kind: type[Proxy], password: str
) -> None:
    with kind(tmp_path, USER if password else "", password) as proxy:
        with connected(make_app(broker.port, proxy=proxy.url)) as mqtt:
            round_trip(mqtt)
        proxy.wait_until_used_for(broker.port)


def test_a_password_may_have_any_character(broker: Mosquitto, tmp_path: Path) -> None:
    # tinyproxy's may not.
    with (
        SocksProxy(tmp_path, "me@home", "p@ss:word/é %41") as proxy,
        connected(make_app(broker.port, proxy=proxy.url)) as mqtt,
    ):
        round_trip(mqtt)


@each_kind
def test_the_proxy_looks_up_the_name_of_the_broker(
    broker: Mosquitto, tmp_path: Path, kind: type[Proxy]
) -> None:
    with (
        kind(tmp_path) as proxy,
        connected(app_for(f"mqtt://localhost:{broker.port}", proxy=proxy.url)),
    ):
        wait_until(lambda: proxy.targets() == [f"localhost:{broker.port}"])


@each_kind
@pytest.mark.parametrize("name", ["tls", "ws", "wss"])
def test_tls_and_websockets_go_through_a_proxy(
    tls_broker: Mosquitto,
    certificates: Certificates,
    tmp_path: Path,
    kind: type[Proxy],
    name: str,
) -> None:
    port = tls_broker.listeners[name].port
    scheme = {"tls": "mqtts"}.get(name, name)
    # The name in the certificate is the broker's, not the proxy's address.
    url = f"{scheme}://localhost:{port}"
    ca = {} if name == "ws" else {"tls_ca_certs": certificates.ca}
    with kind(tmp_path, USER, PASSWORD) as proxy:
        with connected(app_for(url, proxy=proxy.url, **ca)) as mqtt:
            round_trip(mqtt)
        proxy.wait_until_used_for(port)


@each_kind
def test_a_wrong_password_is_told_without_it(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Proxy]
) -> None:
    with kind(tmp_path, USER, PASSWORD) as proxy:
        wrong = proxy.url.replace(PASSWORD, "hunter2")
        message = refusal(caplog, broker.port, wrong)
    reason = "it does not accept the user name and password in MQTT_PROXY"
    assert message.startswith(f"proxy 127.0.0.1:{proxy.port}: {reason}")
    assert "hunter2" not in caplog.text + message


@each_kind
def test_a_proxy_that_wants_a_login_and_gets_none_is_told(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Proxy]
) -> None:
    with kind(tmp_path, USER, PASSWORD) as proxy:
        message = refusal(caplog, broker.port, proxy.address)
    assert message.startswith(f"proxy 127.0.0.1:{proxy.port}: it ")
    assert "MQTT_PROXY" in message


@each_kind
def test_a_broker_that_the_proxy_cannot_reach_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type[Proxy]
) -> None:
    port = closed_port()
    with kind(tmp_path) as proxy:
        message = refusal(caplog, port, proxy.url)
    assert message.startswith(f"proxy 127.0.0.1:{proxy.port}: it ")
    assert f"127.0.0.1:{port}" in message


@pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])
@pytest.mark.smoke
def test_a_proxy_that_is_down_is_a_connection_refused_error(scheme: str) -> None:
    port = closed_port()
    with pytest.raises(ConnectionRefusedError) as caught:
        Mqtt(make_app(1883, proxy=f"{scheme}://me:hunter2@127.0.0.1:{port}"))
    assert f"cannot connect to proxy 127.0.0.1:{port}: " in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_the_wrong_scheme_says_which_key_to_look_at(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with SocksProxy(tmp_path) as proxy:
        message = refusal(caplog, broker.port, proxy.url.replace("socks5", "http"))
    assert "look at the scheme in MQTT_PROXY" in message


@each_kind
def test_the_connection_is_made_again_through_the_proxy(
    broker_factory: Callable[..., Mosquitto], tmp_path: Path, kind: type[Proxy]
) -> None:
    broker = broker_factory()
    with (
        kind(tmp_path, USER, PASSWORD) as proxy,
        connected(make_app(broker.port, proxy=proxy.url)) as mqtt,
    ):
        broker.kill()
        wait_until(lambda: not mqtt.connected)
        before = len(proxy.targets())
        broker.start()
        wait_until(lambda: mqtt.connected, what="connected again")
        wait_until(lambda: len(proxy.targets()) > before)
        round_trip(mqtt)


@each_kind
def test_the_connection_is_made_again_after_the_proxy_was_restarted(
    broker: Mosquitto, tmp_path: Path, kind: type[Proxy]
) -> None:
    with kind(tmp_path) as proxy, connected(make_app(broker.port, proxy=proxy.url)) as mqtt:
        proxy.kill()
        wait_until(lambda: not mqtt.connected)
        proxy.start()
        wait_until(lambda: mqtt.connected, what="connected again")
        round_trip(mqtt)


@each_kind
def test_several_brokers_are_tried_in_turn_through_the_proxy(
    broker: Mosquitto, tmp_path: Path, kind: type[Proxy]
) -> None:
    urls = [f"mqtt://127.0.0.1:{closed_port()}", f"mqtt://127.0.0.1:{broker.port}"]
    with kind(tmp_path) as proxy, connected(app_for(urls, proxy=proxy.url)) as mqtt:
        round_trip(mqtt)


def test_a_server_that_speaks_first_is_no_http_proxy(client: Client) -> None:
    class MailServer(Server):
        def serve(self, connection: socket.socket) -> None:
            connection.sendall(b"220 mail.example.com ESMTP\r\n")
            connection.recv(1)

    with MailServer() as server:
        client.configure(proxy=f"http://127.0.0.1:{server.port}")
        wrong = r"(does not wait for the request|answer is not of HTTP); look at the scheme"
        with pytest.raises(OSError, match=wrong):
            client.connect("127.0.0.1")
