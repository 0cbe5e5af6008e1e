"""What an application sets and a connection does not use is said in the log, in one line."""

from __future__ import annotations

import functools
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import socks  # type: ignore[import-untyped]

from flask_mqtt import Client
from support.apps import app_for, make_app
from support.running import closing, connected

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


def lines(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if part in record.getMessage()]


def test_a_socket_that_was_replaced_is_named_with_the_key_for_a_proxy(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", socks.socksocket)
        with connected(make_app(scripted.port)) as mqtt:
            mqtt._disconnect()
            mqtt._connect()
    [line] = lines(caplog, "socket.socket was replaced by socks.socksocket")
    assert "set MQTT_PROXY" in line


def test_a_default_proxy_of_pysocks_is_told_of(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    socks.set_default_proxy(socks.SOCKS5, "proxy.example.com")
    try:
        with connected(make_app(scripted.port, config_prefix="OTHER"), config_prefix="OTHER"):
            pass
    finally:
        socks.set_default_proxy()
    assert len(lines(caplog, "socks.set_default_proxy was called")) == 1
    assert "set OTHER_PROXY" in caplog.text


@pytest.mark.parametrize("name", ["create_connection", "getaddrinfo"])
def test_another_function_for_names_is_told_of(
    scripted: ScriptedBroker,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    usual = getattr(socket, name)

    @functools.wraps(usual)
    def only_ipv4(*args: Any, **kwargs: Any) -> Any:
        return usual(*args, **kwargs)

    monkeypatch.setattr(socket, name, only_ipv4)
    with closing(Client()) as client:
        client.connect("127.0.0.1", scripted.port)
    assert len(lines(caplog, f"socket.{name} was replaced")) == 1


def test_a_proxy_in_the_environment_is_told_of(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("mqtt_proxy", "socks://me:geheim@proxy")
    with closing(Client()) as client:
        client.connect("127.0.0.1", scripted.port)
    [line] = lines(caplog, "mqtt_proxy is in the environment")
    assert "set proxy_set()" in line
    assert "geheim" not in caplog.text


def test_nothing_is_told_where_nothing_was_replaced_or_a_unix_socket_is_used(
    scripted: ScriptedBroker,
    tls_broker: Mosquitto,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with connected(make_app(scripted.port)):
        pass
    monkeypatch.setattr(socket, "socket", socks.socksocket)
    with connected(app_for(f"unix://{tls_broker.listeners['unix'].path}")):
        pass
    assert lines(caplog, "does not use") == []


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificates.ca))


def load(context: ssl.SSLContext, certificates: Certificates) -> None:
    context.load_cert_chain(certificates.client.certificate, certificates.client.key)


def test_a_client_certificate_in_a_context_is_told_of_when_it_is_set(
    context: ssl.SSLContext, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    load(context, certificates)
    client = Client()
    client.tls_set_context(context)
    [line] = lines(caplog, "has a client certificate, which cannot be read from it")
    assert "tls_certfile" in line
    assert "tls_keyfile" in line
    client.tls_set_context(context)
    assert len(lines(caplog, "client certificate")) == 1


def test_the_keys_for_the_certificate_are_named(
    tls_broker: Mosquitto,
    context: ssl.SSLContext,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    load(context, certificates)
    port = tls_broker.listeners["tls"].port
    with connected(make_app(port, broker_url="localhost", tls_enabled=True, tls_context=context)):
        pass
    [line] = lines(caplog, "client certificate")
    assert line.endswith("set MQTT_TLS_CERTFILE and MQTT_TLS_KEYFILE too")


def test_nothing_is_told_of_a_context_without_one_or_where_the_keys_are_set(
    tls_broker: Mosquitto,
    context: ssl.SSLContext,
    certificates: Certificates,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Client().tls_set_context(context)
    load(context, certificates)
    files = {
        "tls_certfile": str(certificates.client.certificate),
        "tls_keyfile": str(certificates.client.key),
    }
    port = tls_broker.listeners["mutual"].port
    app = make_app(port, broker_url="localhost", tls_enabled=True, tls_context=context, **files)
    with connected(app):
        pass
    assert lines(caplog, "client certificate") == []


def test_looking_for_a_certificate_leaves_the_context_as_it_is(
    tls_broker: Mosquitto, context: ssl.SSLContext, certificates: Certificates
) -> None:
    load(context, certificates)
    Client().tls_set_context(context)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    port = tls_broker.listeners["mutual"].port
    with (
        socket.create_connection(("localhost", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.getpeercert()
