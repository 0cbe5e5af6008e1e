"""The brokers and proxies that other tests start do what those tests take for granted."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING

import pytest

from support.amqtt_broker import AmqttBroker
from support.mosquitto import Listener
from support.packets import MQTT311
from support.ports import closed_port, free_port, has_ipv6
from support.proxy import HttpProxy, SocksProxy
from support.scripted import ScriptedBroker
from support.server import HOST
from support.tls_server import TlsServer, server_context
from support.wait import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.certificates import Certificates, KeyPair
    from support.mosquitto import Mosquitto
    from support.packets import Packet

HELLO = MQTT311.connect("", keepalive=0)
UPGRADE = (
    b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
)


def answer(connection: socket.socket, request: bytes = HELLO) -> bytes:
    """Send a request, CONNECT by default, and return the first that comes back."""
    with connection:
        connection.settimeout(5)
        connection.sendall(request)
        return connection.recv(4096)


def dial(port: int, ca: Path | None = None, client: KeyPair | None = None) -> socket.socket:
    """Connect to a port, with TLS where a CA is given."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    if ca is None:
        return connection
    context = ssl.create_default_context(cafile=ca)
    if client:
        context.load_cert_chain(client.certificate, client.key)
    return context.wrap_socket(connection, server_hostname="localhost")


def dial_unix(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(path))
    return connection


def test_mosquitto_speaks_tls_with_a_certificate_of_the_ca_and_no_other(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    port = tls_broker.listeners["tls"].port
    assert answer(dial(port, certificates.ca)) == MQTT311.connack()
    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        dial(port, certificates.other_ca)


def refuses(port: int, ca: Path, client: KeyPair | None, request: bytes) -> bool:
    """Whether the connection ends before a request is answered."""
    try:
        return answer(dial(port, ca, client), request) == b""
    except (ssl.SSLError, ConnectionError):
        return True


@pytest.mark.parametrize("name", ["mutual", "mutual_wss"])
def test_mosquitto_takes_clients_of_its_ca_only_where_it_asks_for_a_certificate(
    tls_broker: Mosquitto, certificates: Certificates, name: str
) -> None:
    port, ca = tls_broker.listeners[name].port, certificates.ca
    request = UPGRADE if name.endswith("wss") else HELLO
    for client in (certificates.client, certificates.client_rsa):
        assert answer(dial(port, ca, client), request)
    for stranger in (None, certificates.other_client):
        assert refuses(port, ca, stranger, request)


@pytest.mark.parametrize("name", ["ws", "wss"])
def test_mosquitto_answers_an_upgrade_to_websockets_with_the_subprotocol_mqtt(
    tls_broker: Mosquitto, certificates: Certificates, name: str
) -> None:
    ca = certificates.ca if name == "wss" else None
    reply = answer(dial(tls_broker.listeners[name].port, ca), UPGRADE).lower()
    assert reply.startswith(b"http/1.1 101")
    assert b"sec-websocket-protocol: mqtt\r\n" in reply


def test_mosquitto_listens_on_a_unix_socket_again_after_a_crash(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory(listeners={"unix": Listener("unix")})
    path = broker.listeners["unix"].path
    assert path is not None
    assert answer(dial_unix(path)) == MQTT311.connack()
    broker.kill()
    broker.start()
    assert answer(dial_unix(path)) == MQTT311.connack()


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
@pytest.mark.parametrize("kind", ["tcp", "websockets"])
def test_mosquitto_listens_on_ipv6(broker_factory: Callable[..., Mosquitto], kind: str) -> None:
    broker = broker_factory(listeners={"v6": Listener(kind, host="::1")})  # type: ignore[arg-type]
    request = HELLO if kind == "tcp" else UPGRADE
    assert answer(socket.create_connection(("::1", broker.listeners["v6"].port)), request)


def test_a_listener_that_cannot_be_is_reported_with_the_log(
    broker_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="Unable to load server certificate"):
        broker_factory(
            listeners={"tls": Listener(certificate=tmp_path / "none", key=tmp_path / "none")}
        )


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True])
def test_amqtt_answers_on_every_listener(
    tmp_path: Path, certificates: Certificates, tls: bool
) -> None:
    ca = certificates.ca if tls else None
    with AmqttBroker(tmp_path, certificates.chained if tls else None) as broker:
        port, ws_port = (broker.tls_port, broker.wss_port) if tls else (broker.port, broker.ws_port)
        assert answer(dial(port, ca)) == MQTT311.connack()
        assert b"101 Switching" in answer(dial(ws_port, ca), UPGRADE)


def http_connect(port: int, who: str = "") -> bytes:
    credentials = base64.b64encode(who.encode()).decode()
    extra = f"Proxy-Authorization: Basic {credentials}\r\n" if who else ""
    return f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1\r\n{extra}\r\n".encode()


def test_the_http_proxy_connects_who_gives_the_password_and_logs_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with HttpProxy(tmp_path, "user", "pass-word_1.2") as proxy:
        assert proxy.url == f"http://user:pass-word_1.2@127.0.0.1:{proxy.port}"
        assert b" 407 " in answer(dial(proxy.port), http_connect(broker.port))
        assert b" 401 " in answer(dial(proxy.port), http_connect(broker.port, "user:wrong"))
        assert b" 500 " in answer(dial(proxy.port), http_connect(1, "user:pass-word_1.2"))
        with dial(proxy.port) as connection:
            connection.sendall(http_connect(broker.port, "user:pass-word_1.2"))
            assert b" 200 " in connection.recv(4096)
            assert answer(connection) == MQTT311.connack()
        proxy.wait_until_used_for(broker.port)


def socks_connect(connection: socket.socket, port: int, password: bytes) -> int:
    """Ask for a connection and return the status of the answer; 255 for a wrong password."""
    assert answer_of(connection, b"\5\1\2") == b"\5\2"
    who = b"\1\4user" + bytes([len(password)]) + password
    if answer_of(connection, who) != b"\1\0":
        return 255
    target = b"\5\1\0\1" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big")
    return answer_of(connection, target)[1]


def answer_of(connection: socket.socket, request: bytes) -> bytes:
    connection.sendall(request)
    return connection.recv(4096)


def test_the_socks_proxy_connects_who_gives_the_password_and_logs_it(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with SocksProxy(tmp_path, "user", "p@ss:word/") as proxy:
        assert proxy.url == f"socks5://user:p%40ss%3Aword%2F@127.0.0.1:{proxy.port}"
        for port, password, status in [(broker.port, b"wrong", 255), (1, b"p@ss:word/", 5)]:
            with dial(proxy.port) as connection:
                assert socks_connect(connection, port, password) == status
        assert proxy.targets() == []
        with dial(proxy.port) as connection:
            assert socks_connect(connection, broker.port, b"p@ss:word/") == 0
            assert answer(connection) == MQTT311.connack()
        proxy.wait_until_used_for(broker.port)


def test_the_tls_front_tells_what_a_client_offered(
    broker: Mosquitto, certificates: Certificates
) -> None:
    accepting = server_context(certificates.server, alpn=["mqtt"])
    accepting.maximum_version = ssl.TLSVersion.TLSv1_2
    context = ssl.create_default_context(cafile=certificates.ca)
    context.set_alpn_protocols(["x-amzn-mqtt-ca", "mqtt"])
    with TlsServer(accepting, broker.port) as front:
        client = context.wrap_socket(dial(front.port), server_hostname="localhost")
        assert answer(client) == MQTT311.connack()
        handshake = front.next_handshake()
        with pytest.raises(ssl.SSLCertVerificationError):
            dial(front.port, certificates.other_ca)
        refused = front.next_handshake()
    assert (handshake.server_name, handshake.alpn) == ("localhost", "mqtt")
    assert (handshake.version, handshake.client_certificate) == ("TLSv1.2", False)
    assert "unknown ca" in refused.error
    assert not handshake.error


SERVERS = [
    ("server", ""),
    ("chained", ""),
    ("unchained", "unable to get local issuer certificate"),
    ("expired", "certificate has expired"),
    ("not_yet_valid", "certificate is not yet valid"),
    ("wrong_host", "not valid for 'localhost'"),
    ("self_signed", "self-signed certificate"),
]


@pytest.mark.parametrize(("name", "reason"), SERVERS)
def test_each_certificate_of_a_server_is_wrong_in_the_one_way_that_its_name_says(
    broker: Mosquitto, certificates: Certificates, name: str, reason: str
) -> None:
    with TlsServer(server_context(getattr(certificates, name)), broker.port) as front:
        if not reason:
            assert answer(dial(front.port, certificates.ca)) == MQTT311.connack()
            return
        with pytest.raises(ssl.SSLCertVerificationError) as caught:
            dial(front.port, certificates.ca)
        assert reason in str(caught.value).replace("self signed", "self-signed")


KEYS = [
    ("client", "key_sec1"),
    ("client", "key_sec1_encrypted"),
    ("client", "key_pkcs8_encrypted"),
    ("client_rsa", "key_pkcs1"),
    ("client_rsa", "key_pkcs1_encrypted"),
]


@pytest.mark.parametrize(("owner", "name"), KEYS)
def test_each_form_of_a_key_belongs_to_its_certificate(
    certificates: Certificates, owner: str, name: str
) -> None:
    context = ssl.create_default_context(cafile=certificates.ca)
    certificate, key = getattr(certificates, owner).certificate, getattr(certificates, name)
    assert (b"ENCRYPTED" in key.read_bytes()) is name.endswith("encrypted")
    context.load_cert_chain(certificate, key, password=certificates.password)


def test_a_key_of_another_does_not_match(certificates: Certificates) -> None:
    context = ssl.create_default_context()
    with pytest.raises(ssl.SSLError, match=r"(?i)key.values.mismatch"):
        context.load_cert_chain(certificates.client.certificate, certificates.key_of_another)


def test_openssl_finds_the_ca_in_its_directory(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    context = ssl.create_default_context(capath=certificates.ca_directory)
    connection = dial(tls_broker.listeners["tls"].port)
    assert answer(context.wrap_socket(connection, server_hostname="::1")) == MQTT311.connack()
    with pytest.raises(ssl.SSLError):
        context.load_verify_locations(certificates.garbage)


def test_a_free_port_is_given_to_nobody_else_and_a_server_can_take_it() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind((HOST, port))
    with socket.create_server((HOST, port)) as server, dial(port):
        server.accept()[0].close()


def test_a_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        dial(closed_port())


def test_the_record_of_a_scripted_broker_has_what_has_come() -> None:
    numbers = [b"%d" % number for number in range(2_000)]
    packets = b"".join(MQTT311.publish("t", number) for number in numbers)
    with ScriptedBroker() as broker:
        for count in (1, 2):
            with socket.create_connection((HOST, broker.port)) as client:
                client.sendall(HELLO)
                assert client.recv(4) == MQTT311.connack()
                # The last packet is not complete.
                client.sendall(packets + HELLO[:-1])
                assert [packet.payload for packet in broker.of("PUBLISH")] == numbers * count


def test_the_record_can_be_looked_at_while_a_hook_waits() -> None:
    goes_on = threading.Event()

    def hook(broker: ScriptedBroker, packet: Packet) -> bool:
        assert broker.of(packet.kind)
        return not goes_on.wait(20)

    with (
        ScriptedBroker(hook=hook) as broker,
        socket.create_connection((HOST, broker.port)) as client,
    ):
        client.sendall(HELLO + MQTT311.publish("t", b"x"))
        broker.wait_for("CONNECT")
        began = time.monotonic()
        assert [packet.kind for packet in broker.packets] == ["CONNECT"]
        assert time.monotonic() - began < PATIENCE / 2
        goes_on.set()
        assert client.recv(4) == MQTT311.connack()
        broker.wait_for("PUBLISH")
