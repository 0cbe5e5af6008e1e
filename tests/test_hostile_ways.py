"""What TLS servers and proxies can make a client's process keep, measured from outside.

A flood goes on until the client leaves, or 60 MB are sent.
"""

from __future__ import annotations

import ssl
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import codec
from support.hostile import (
    MEGABYTE,
    Hostile,
    accepted,
    again,
    asked,
    frame,
    nothing,
    watched,
)
from support.tls_records import HELLO_REQUEST, KEY_UPDATE, Records, ticket
from support.tls_server import server_context
from support.wait import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.certificates import Certificates
    from support.hostile import Flood

#: Most MB beyond what is there before.
MOST = 20

SENT = 60 * MEGABYTE

#: Seconds for an attempt to connect.
TIMES = {"connection_timeout": 3, "handshake_timeout": 3}


def attack(
    prepare: Callable[[Any], Any], flood: Flood, *, most: int = SENT, **config: Any
) -> list[str]:
    """Have a client attacked, and return what it has to tell."""
    config = {**TIMES, "max_packet_size": MEGABYTE, **config}
    with Hostile(prepare, flood, most=most) as server, watched(server.port, **config) as client:
        assert server.attack(client) < MOST
        # It has left, or left nothing of the flood unread.
        wait_until(lambda: server.sent >= most or client.look().failures, 15)
        return client.look().failures


# -- TLS ------------------------------------------------------------------------------------------


def record(kind: int, data: bytes) -> bytes:
    return struct.pack(">BHH", kind, 0x303, len(data)) + data


HANDSHAKES: dict[str, Flood] = {
    "HelloRequests": again(record(22, HELLO_REQUEST * 4000)),
    "HelloRequests one by one": again(record(22, HELLO_REQUEST)),
    "a ServerHello without end": again(
        record(22, b"x" * 16_000), first=record(22, b"\x02\xff\xff\xff")
    ),
    "a Certificate": again(record(22, b"x" * 16_000), first=record(22, b"\x0b\xff\xff\xff")),
    "warnings": again(record(21, b"\x01\x00")),
    "changes of ciphers": again(record(20, b"\x01")),
    "empty records": again(record(22, b"")),
    "empty data": again(record(23, b"")),
    "data": again(record(23, b"x" * 16_000)),
    "no TLS": again(b"x" * 1000),
}


@pytest.mark.parametrize("kind", HANDSHAKES)
def test_a_handshake_of_tls_fills_no_memory(kind: str) -> None:
    attack(nothing, HANDSHAKES[kind], tls_enabled=True)


def test_a_chain_of_certificates_fills_no_memory(
    certificates: Certificates, tmp_path: Path
) -> None:
    chain = tmp_path / "chain.pem"
    pair = certificates.server
    chain.write_bytes(pair.certificate.read_bytes() + certificates.ca.read_bytes() * 2_000)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, pair.key)

    def flood(connection: socket.socket) -> Iterator[bytes]:
        context.wrap_socket(connection, server_side=True)
        yield b"x"

    failures = attack(nothing, flood, tls_enabled=True, tls_ca_certs=str(certificates.ca))
    assert failures, "it has taken a megabyte of certificates"


class Sending:
    """Sends messages of the handshake where the flood has data."""

    def __init__(self, tls: Records) -> None:
        self._tls = tls
        self.recv = tls.recv

    def sendall(self, data: bytes) -> None:
        self._tls.handshake(data)


NEW, OLD = ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2
MESSAGES = {
    "tickets": (NEW, ticket(60_000), SENT),
    "small tickets": (NEW, ticket(1) * 500, 2 * MEGABYTE),
    "key updates": (NEW, KEY_UPDATE, 50_000),
    "renegotiations": (OLD, HELLO_REQUEST * 4000, SENT),
    "renegotiations one by one": (OLD, HELLO_REQUEST, 50_000),
}


@pytest.mark.parametrize("is_accepted", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_of_tls_fill_no_memory_before_and_after_the_connack(
    kind: str, is_accepted: bool, certificates: Certificates, tmp_path: Path
) -> None:
    version, message, most = MESSAGES[kind]

    def prepare(connection: socket.socket) -> Any:
        tls = Records(connection, certificates.server, tmp_path / "keys", version)
        if is_accepted:
            tls.recv(1)
            tls.sendall(codec.connack())
        return Sending(tls)

    def flood(_: Any) -> Iterator[bytes]:
        while True:
            yield message

    attack(prepare, flood, most=most, tls_enabled=True, tls_ca_certs=str(certificates.ca))


def test_pings_of_a_websocket_inside_tls_fill_no_memory(certificates: Certificates) -> None:
    def prepare(connection: socket.socket) -> Any:
        return accepted(
            server_context(certificates.server).wrap_socket(connection, server_side=True)
        )

    attack(
        prepare,
        again(frame(b"x" * 125, 0x89)),
        transport="websockets",
        tls_enabled=True,
        tls_ca_certs=str(certificates.ca),
    )


# -- proxies --------------------------------------------------------------------------------------

OK = b"HTTP/1.1 200 OK\r\n"
REFUSED = b"HTTP/1.1 403 Forbidden\r\n"
ANSWERS: dict[str, Flood] = {
    "a header without end": again(b"x", first=OK + b"X: "),
    "headers without end": again(b"X: y\r\n", first=OK),
    "a status without end": again(b"x", first=b"HTTP/1.1 200 "),
    "empty lines": again(b"\r\n"),
    "answers before the answer": again(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "processing": again(b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n"),
    "a body": again(b"x", first=REFUSED + b"\r\n"),
    "a body in chunks": again(b"1\r\nx\r\n", first=REFUSED + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a body that is announced": again(b"x", first=REFUSED + b"Content-Length: 99999999999\r\n\r\n"),
    "data behind the answer": again(b"\x20\xff\xff\xff\x7f" + b"x" * 1000, first=OK + b"\r\n"),
    "packets behind the answer": again(codec.PINGRESP, first=OK + b"\r\n" + codec.connack()),
    "no HTTP": again(b"x"),
}

SOCKS: dict[str, Flood] = {
    "zeros": again(b"\0"),
    "fives": again(b"\5"),
    "logins": again(b"\5\2" + b"\1\0" * 1000),
    "a long name": again(b"x", first=b"\5\0" + b"\5\0\0\3\xff"),
    "data behind the answer": again(
        b"x", first=b"\5\0" + b"\5\0\0\1\0\0\0\0\0\0" + b"\x20\xff\xff\xff\x7f"
    ),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_of_an_http_proxy_fills_no_memory(kind: str) -> None:
    # Packets take the client some time.
    most = 5 * MEGABYTE if kind.startswith("packets") else SENT
    attack_by_proxy("http", asked, ANSWERS[kind], most)


@pytest.mark.parametrize("kind", SOCKS)
def test_an_answer_of_a_socks_proxy_fills_no_memory(kind: str) -> None:
    attack_by_proxy("socks5", nothing, SOCKS[kind])


def attack_by_proxy(
    scheme: str, prepare: Callable[[Any], Any], flood: Flood, most: int = SENT
) -> None:
    config = {**TIMES, "broker_url": "broker.invalid"}
    with Hostile(prepare, flood, most=most) as server:
        url = f"{scheme}://u:p@127.0.0.1:{server.port}"
        with watched(1883, proxy=url, **config) as client:
            assert server.attack(client) < MOST
            wait_until(lambda: server.sent >= most or client.look().failures, 15)


# -- what comes slowly, or not at all --------------------------------------------------------------

SLOW: dict[str, tuple[dict[str, Any], bytes]] = {
    "CONNACK": ({"protocol_version": 5}, b"\x20\xff\xff\x01" + bytes(1000)),
    "TLS": ({"tls_enabled": True}, record(22, b"\x02\x00\x40\x00" + bytes(1000))),
    "websocket": ({"transport": "websockets"}, b"HTTP/1.1 101 Switching Protocols\r\nX: " * 10),
    "HTTP proxy": ({"proxy": "http"}, b"HTTP/1.1 200 OK\r\nX: " * 100),
    "SOCKS proxy": ({"proxy": "socks5"}, b"\5\0" + b"\5\0\0\3\xff" + bytes(1000)),
}


@pytest.mark.parametrize("says", [True, False], ids=["slowly", "never"])
@pytest.mark.parametrize("kind", SLOW)
def test_what_comes_byte_by_byte_or_not_at_all_has_the_time_of_the_handshake(
    kind: str, says: bool
) -> None:
    config, answer = SLOW[kind]

    def flood(_: Any) -> Iterator[bytes]:
        for byte in answer if says else b"":
            yield bytes([byte])
            time.sleep(0.05)

    with Hostile(nothing, flood) as server:
        config = {"handshake_timeout": 1, "connection_timeout": 1, **config}
        if "proxy" in config:
            config["proxy"] = f"{config['proxy']}://127.0.0.1:{server.port}"
        with watched(server.port, **config) as client:
            began = time.monotonic()
            server.attack(client, 10)
            [failure, *_] = wait_until(lambda: client.look().failures, 5)
            assert "within 1 s" in failure
            assert time.monotonic() - began < 5
