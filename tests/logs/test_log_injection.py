"""What a peer says stays in its line, wherever it is shown, without codes for a terminal."""

from __future__ import annotations

import logging
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support import codec
from support.apps import app_for, make_app
from support.hostile import asked, frame, nothing, upgraded
from support.packets import MQTT5, MQTT311
from support.running import connected
from support.scripted import ScriptedBroker
from support.server import HOST, Server
from support.tls_server import server_context
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.certificates import Certificates

#: Line breaks of all kinds, C0 and C1 controls, and what turns the direction of writing.
EVIL = (
    "x\r\n2026-01-01 CRITICAL forged"
    "\v\f\x1b[31m\x07\x7f\x85\x9b31m\u2028\u2029\u202e\u2066\ufeff\tend"
)

#: What is left of it in its line, whatever the escapes look like.
SHOWN = "2026-01-01 CRITICAL forged"

LONG = EVIL + "y" * 60_000


class Seen:
    """Everything of a client that people may read."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        # Its list is another one in each phase of a test.
        self._caplog = caplog
        self.lines: list[str] = []
        self.errors: list[BaseException] = []

    @property
    def texts(self) -> list[str]:
        records = self._caplog.records
        found = [*self.lines, *(record.getMessage() for record in records)]
        found += [str(record.__dict__.get("mqtt_error", "")) for record in records]
        return [*found, *map(str, self.errors)]

    def follow(self, mqtt: Mqtt) -> None:
        mqtt.on_log()(lambda client, userdata, level, text: self.lines.append(text))

    def succeeds(self, call: Callable[..., Any], *arguments: Any) -> bool:
        try:
            call(*arguments)
        except (OSError, ValueError) as error:
            self.errors.append(error)
            return False
        return True

    def look_at(self, mqtt: Mqtt) -> None:
        error = mqtt.stats()["last_error"]
        self.lines.append(error["text"] if error else "")

    def check(self, *, told: bool = True) -> None:
        """Nothing is more than a line, or long; what the peer has said is among it."""
        bad = [text for text in self.texts if not text.isprintable() or len(text) > 3_000]
        assert bad == []
        assert not told or any(SHOWN in text for text in self.texts)


@pytest.fixture
def seen(caplog: pytest.LogCaptureFixture) -> Seen:
    caplog.set_level(logging.DEBUG)
    return Seen(caplog)


class Saying(Server):
    """Says something to whoever connects."""

    def __init__(self, say: Callable[[socket.socket], None]) -> None:
        super().__init__()
        self._say = say

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        self._say(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass


def saying(prepare: Callable[[Any], Any], data: bytes) -> Saying:
    def say(connection: socket.socket) -> None:
        prepare(connection)
        connection.sendall(data)

    return Saying(say)


RAW = EVIL.encode()
VISIBLE = RAW.replace(b"\r\n", b" ")
CLOSE = frame(b"\x03\xf0" + RAW[:123], 0x88)

WEBSOCKETS: dict[str, tuple[Callable[[Any], Any], bytes]] = {
    "a reason for the close": (upgraded, CLOSE),
    "a reason behind the CONNACK": (upgraded, frame(MQTT311.connack()) + CLOSE),
    "a status": (asked, b"HTTP/1.1 418 " + VISIBLE + b"\r\n\r\n"),
    "a location": (asked, b"HTTP/1.1 302 x\r\nLocation: http://" + VISIBLE + b"\r\n\r\n"),
    "a subprotocol": (asked, b"HTTP/1.1 101 x\r\nSec-WebSocket-Protocol: " + VISIBLE + b"\r\n\r\n"),
    "an upgrade": (asked, b"HTTP/1.1 101 x\r\nUpgrade: " + VISIBLE + b"\r\n\r\n"),
    "a name of a header": (asked, b"HTTP/1.1 101 x\r\n" + VISIBLE + b": x\r\n\r\n"),
    "no HTTP": (asked, RAW),
    "text": (upgraded, frame(RAW, 0x81)),
    "a frame of no kind": (upgraded, frame(RAW, 0x83)),
}
PROXIES: dict[str, tuple[str, Callable[[Any], Any], bytes]] = {
    "a status": ("http", asked, b"HTTP/1.1 418 " + VISIBLE + b"\r\n\r\n"),
    "a header": ("http", asked, b"HTTP/1.1 418 x\r\n" + VISIBLE + b": x\r\n\r\n"),
    "no HTTP": ("http", asked, RAW),
    "no SOCKS": ("socks5", nothing, RAW),
    "an error": ("socks5", nothing, b"\5\0" + b"\5\x1b\0\1" + bytes(6)),
    "an address": ("socks5", nothing, b"\5\0" + b"\5\1\0\3\x7f" + RAW * 2),
}


def fail(app: Any, seen: Seen) -> None:
    """Connect, or not, with and without somebody who waits for it."""
    for wait in (True, False):
        mqtt = Mqtt(mqtt_logging=True, connect_async=not wait)
        seen.follow(mqtt)
        if seen.succeeds(mqtt.init_app, app):
            wait_until(partial(_last_error, mqtt))
        seen.look_at(mqtt)
        mqtt.close()


def _last_error(mqtt: Mqtt) -> Any:
    return mqtt.stats()["last_error"]


@pytest.mark.parametrize("kind", WEBSOCKETS)
def test_of_a_websocket(kind: str, seen: Seen) -> None:
    prepare, data = WEBSOCKETS[kind]
    with saying(prepare, data) as server:
        fail(make_app(server.port, transport="websockets", connection_timeout=2), seen)
    seen.check(told="reason" in kind)


@pytest.mark.parametrize("kind", PROXIES)
def test_of_a_proxy(kind: str, seen: Seen) -> None:
    scheme, prepare, data = PROXIES[kind]
    with saying(prepare, data) as server:
        proxy = f"{scheme}://127.0.0.1:{server.port}"
        fail(make_app(1883, broker_url="broker.invalid", proxy=proxy), seen)
    seen.check(told=False)


@pytest.mark.parametrize("text", [EVIL, LONG], ids=["evil", "long"])
@pytest.mark.parametrize("code", [0x8B, 0x8E, 0x98])
def test_of_a_disconnect(text: str, code: int, seen: Seen) -> None:
    packet = codec.frame("DISCONNECT", bytes([code]) + codec.properties({"ReasonString": text}))
    with ScriptedBroker(version=MQTT5) as broker:
        mqtt = Mqtt(mqtt_logging=True)
        seen.follow(mqtt)
        mqtt.init_app(make_app(broker.port, protocol_version=5))
        with mqtt:
            wait_until(lambda: mqtt.connected)
            broker.send(packet)
            wait_until(lambda: mqtt.stats()["last_error"])
            seen.look_at(mqtt)
    seen.check()


@pytest.mark.slow
@pytest.mark.parametrize("text", [EVIL, LONG], ids=["evil", "long"])
def test_of_messages(text: str, seen: Seen) -> None:
    with ScriptedBroker() as broker:
        mqtt = Mqtt(mqtt_logging=True)
        seen.follow(mqtt)
        mqtt.init_app(make_app(broker.port))
        with mqtt:
            wait_until(lambda: mqtt.connected)
            # Without a handler they are kept, and the oldest are dropped.
            for _ in range(1_100):
                broker.publish(text, b"x")
            wait_until(lambda: any("dropped the oldest" in text for text in seen.texts))

            def handle(_client: Any, _userdata: Any, message: Any) -> None:
                raise RuntimeError("broken")

            mqtt.on_message()(handle)
            wait_until(lambda: any("handle failed" in text for text in seen.texts))
    seen.check()


@pytest.mark.parametrize("text", [EVIL, LONG], ids=["evil", "long"])
def test_of_a_client_identifier_that_the_broker_chooses(text: str, seen: Seen) -> None:
    given = {"AssignedClientIdentifier": text}
    answer = codec.frame("CONNACK", b"\0\0" + codec.properties(given))
    with (
        ScriptedBroker(version=MQTT5, connack=answer) as broker,
        connected(make_app(broker.port, protocol_version=5)) as mqtt,
    ):
        broker.drop()
        wait_until(lambda: mqtt.stats()["last_error"])
        seen.look_at(mqtt)
    seen.check()


@pytest.mark.parametrize("name", ["forging", "forging_names"])
def test_of_a_certificate(name: str, certificates: Certificates, seen: Seen) -> None:
    pair = getattr(certificates, name)
    context = server_context(pair)

    def say(connection: socket.socket) -> None:
        context.wrap_socket(connection, server_side=True)

    with Saying(say) as server:
        fail(make_app(server.port, tls_enabled=True, tls_ca_certs=certificates.ca), seen)
    seen.check()


def test_of_what_the_application_says(seen: Seen, scripted: ScriptedBroker) -> None:
    """A topic or a host may come from a form."""
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.publish(EVIL, b"x")
        mqtt.subscribe(EVIL)
        mqtt.unsubscribe(EVIL)
    for url in (f"mqtt://{EVIL}", EVIL, f"ws://{HOST}/{EVIL}"):
        assert not seen.succeeds(Mqtt, app_for(url))
    client = Client()
    assert not seen.succeeds(client.publish, EVIL + "\0")
    assert not seen.succeeds(client.subscribe, EVIL + "#x")
    assert not seen.succeeds(client.connect, EVIL)
    seen.check()
