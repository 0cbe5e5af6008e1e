"""A client of one's own, in paho's shape: what it is told before it connects."""

from __future__ import annotations

import contextlib
import itertools
import ssl
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, MQTTv5
from support.mosquitto import Listener, Mosquitto
from support.packets import Will
from support.running import closing
from support.server import Server
from support.wait import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    from support.scripted import ScriptedBroker


class Refusing(Server):
    """A web server that writes down each request's headers and says no."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[dict[str, str]] = []

    def serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines:
            header = [line.decode().strip() for line in iter(lines.readline, b"\r\n")]
            pairs = (line.partition(": ")[::2] for line in header[1:])
            self.requests.append({name.lower(): value for name, value in pairs})
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def refusing() -> Iterator[Refusing]:
    with Refusing() as server:
        yield server


@contextlib.contextmanager
def _trying(client: Client, port: int) -> Iterator[None]:
    with closing(client):
        client.connect_async("127.0.0.1", port)
        client.loop_start()
        yield


def test_a_function_makes_the_headers_of_each_attempt(refusing: Refusing) -> None:
    tokens = itertools.count()
    given: list[dict[str, str]] = []

    def headers(usual: dict[str, str]) -> dict[str, str]:
        given.append(dict(usual))
        return {**usual, "Authorization": f"Bearer {next(tokens)}"}

    client = Client(transport="websockets")
    client.ws_set_options("/mqtt", headers)
    with _trying(client, refusing.port):
        wait_until(lambda: len(refusing.requests) >= 2)
    sent = [request["authorization"] for request in refusing.requests]
    assert sent[:2] == ["Bearer 0", "Bearer 1"]
    assert given[0]["Host"] == f"127.0.0.1:{refusing.port}"


def test_a_function_for_headers_that_fails_later_is_logged(
    refusing: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    calls = itertools.count()

    def headers(usual: dict[str, str]) -> dict[str, str]:
        if next(calls):
            raise RuntimeError("no token today")
        return {**usual, "X-Token": "first"}

    client = Client(transport="websockets")
    client.ws_set_options(headers=headers)
    with _trying(client, refusing.port):
        wait_until(lambda: len(refusing.requests) >= 2)
    assert [request["x-token"] for request in refusing.requests[:2]] == ["first", "first"]
    assert "no token today" in caplog.text
    assert "The new settings are invalid" in caplog.text


def test_a_client_reaches_a_broker_by_websocket(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory(listeners={"ws": Listener("websockets")})
    client = Client(transport="websockets", protocol=MQTTv5)
    client.ws_set_options("/any?path", {"X-Mine": "yes"})
    client.connect("127.0.0.1", broker.listeners["ws"].port)
    wait_until(client.is_connected)
    client.close()


def test_a_client_takes_a_url_and_connects_again_with_what_has_changed(
    scripted: ScriptedBroker,
) -> None:
    client = Client(client_id="me")
    client.connect(f"mqtt://ann:secret@127.0.0.1:{scripted.port}", keepalive=7)
    wait_until(client.is_connected)
    client.username_pw_set("bob", "other")
    client.will_set("w", "gone", 1, retain=True)
    client.reconnect()
    scripted.wait_for("CONNECT", 2)
    client.close()
    first, second = (packet.connect for packet in scripted.of("CONNECT"))
    assert first is not None
    assert second is not None
    assert (first.username, first.password, first.keepalive) == ("ann", b"secret", 7)
    assert (second.username, second.password, second.keepalive) == ("bob", b"other", 7)
    assert (first.will, second.will) == (None, Will("w", b"gone", 1, True))


def test_a_will_that_was_cleared_is_not_sent(scripted: ScriptedBroker) -> None:
    client = Client()
    client.will_set("w", "gone")
    client.will_clear()
    client.connect("127.0.0.1", scripted.port)
    packet = scripted.wait_for("CONNECT")
    client.close()
    assert packet.connect is not None
    assert packet.connect.will is None


def test_tls_without_a_broker_that_speaks_it_is_an_ssl_error(scripted: ScriptedBroker) -> None:
    for prepare in (Client.tls_set, Client.tls_set_context):
        client = Client()
        prepare(client)
        with pytest.raises(ssl.SSLError, match="tls_enabled"):
            client.connect("127.0.0.1", scripted.port)


def test_a_certificate_for_another_host_is_allowed_by_name_only() -> None:
    client = Client()
    with pytest.raises(ValueError, match="call tls_set"):
        client.tls_insecure_set(True)
    context = ssl.create_default_context()
    client.tls_set_context(context)
    client.tls_insecure_set(True)
    assert not context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Client(protocol=6), ValueError, "protocol_version = 6"),
        (lambda: Client(transport="smoke"), ValueError, "transport = 'smoke'"),  # type: ignore[arg-type]
        (lambda: Client().connect("h", 0), ValueError, "broker_port = 0"),
        (lambda: Client().connect("h", "x"), ValueError, "broker_port = 'x'"),  # type: ignore[arg-type]
        (lambda: Client().connect("h", bind_port=5), ValueError, "bind_port 5"),
        (lambda: Client().connect("h", bind_address="x"), ValueError, "bind_address = 'x'"),
        (lambda: Client().connect("h", clean_start=True), ValueError, "protocol is 4"),
        (lambda: Client().will_set("a/#"), ValueError, "last_will_topic"),
        (lambda: Client().will_set("a", qos=3), ValueError, "last_will_qos = 3"),
        (lambda: Client().ws_set_options("/", 5), TypeError, "ws_headers"),  # type: ignore[arg-type]
        (lambda: Client().tls_set(tls_version=99), ValueError, "tls_version"),
        (lambda: Client().reconnect(), ValueError, "call connect"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_at_once(
    call: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        call()
