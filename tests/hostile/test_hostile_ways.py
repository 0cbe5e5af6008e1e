"""What TLS servers and proxies can make a client's process keep, measured from outside.

A flood goes on until the client leaves, or 60 MB are sent.
"""

from __future__ import annotations

import contextlib
import ssl
import struct
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from support.hostile import (
    MEGABYTE,
    Attack,
    Hostile,
    accepted,
    again,
    asked,
    fill_no_memory,
    frame,
    nothing,
    watched,
)
from support.packets import MQTT311, PINGRESP
from support.tls_records import HELLO_REQUEST, KEY_UPDATE, Records, ticket
from support.tls_server import server_context
from support.wait import wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.certificates import Certificates
    from support.hostile import Flood, Watched

pytestmark = [pytest.mark.alone, pytest.mark.slow]

SENT = 60 * MEGABYTE


def attacks(prepare: Callable[[Any], Any], floods: dict[str, Flood]) -> Iterator[Attack]:
    for kind, flood in floods.items():
        # Packets take the client some time.
        most = 5 * MEGABYTE if kind.startswith("packets") else SENT
        yield Attack(kind, prepare, flood, most)


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


def test_handshakes_of_tls_fill_no_memory() -> None:
    fill_no_memory(attacks(nothing, HANDSHAKES), tls_enabled=True)


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
        yield b"taken"

    # It never is: a megabyte of certificates is more than OpenSSL takes.
    attack = Attack("a chain", nothing, flood)
    fill_no_memory([attack], tls_enabled=True, tls_ca_certs=str(certificates.ca))


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
def test_messages_of_tls_fill_no_memory_before_and_after_the_connack(
    is_accepted: bool, certificates: Certificates, tmp_path: Path
) -> None:
    def prepare(kind: str, version: ssl.TLSVersion, connection: socket.socket) -> Any:
        tls = Records(connection, certificates.server, tmp_path / kind, version)
        if is_accepted:
            tls.recv(1)
            tls.sendall(MQTT311.connack())
        return Sending(tls)

    fill_no_memory(
        [
            Attack(kind, partial(prepare, kind, version), partial(_repeat, message), most)
            for kind, (version, message, most) in MESSAGES.items()
        ],
        tls_enabled=True,
        tls_ca_certs=str(certificates.ca),
    )


def _repeat(message: bytes, _: Any) -> Iterator[bytes]:
    while True:
        yield message


def test_pings_of_a_websocket_inside_tls_fill_no_memory(certificates: Certificates) -> None:
    def prepare(connection: socket.socket) -> Any:
        return accepted(
            server_context(certificates.server).wrap_socket(connection, server_side=True)
        )

    fill_no_memory(
        [Attack("pings", prepare, again(frame(b"x" * 125, 0x89)))],
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
    "packets behind the answer": again(PINGRESP, first=OK + b"\r\n" + MQTT311.connack()),
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


def test_answers_of_an_http_proxy_fill_no_memory() -> None:
    fill_no_memory(attacks(asked, ANSWERS), proxy=lambda port: f"http://u:p@127.0.0.1:{port}")


def test_answers_of_a_socks_proxy_fill_no_memory() -> None:
    fill_no_memory(attacks(nothing, SOCKS), proxy=lambda port: f"socks5://u:p@127.0.0.1:{port}")


# -- what comes slowly, or not at all --------------------------------------------------------------

SLOW: dict[str, tuple[dict[str, Any], bytes]] = {
    "CONNACK": ({"protocol_version": 5}, b"\x20\xff\xff\x01" + bytes(1000)),
    "TLS": ({"tls_enabled": True}, record(22, b"\x02\x00\x40\x00" + bytes(1000))),
    "websocket": ({"transport": "websockets"}, b"HTTP/1.1 101 Switching Protocols\r\nX: " * 10),
    "HTTP proxy": ({"proxy": "http"}, b"HTTP/1.1 200 OK\r\nX: " * 100),
    "SOCKS proxy": ({"proxy": "socks5"}, b"\5\0" + b"\5\0\0\3\xff" + bytes(1000)),
}


def test_what_comes_byte_by_byte_or_not_at_all_has_the_time_of_the_handshake() -> None:
    with contextlib.ExitStack() as stack:
        clients = {}
        for kind, (config, answer) in SLOW.items():
            for data in (answer, b""):
                server = stack.enter_context(Hostile())
                given = {**config, "handshake_timeout": 2, "connection_timeout": 2}
                if "proxy" in config:
                    given["proxy"] = f"{config['proxy']}://127.0.0.1:{server.port}"
                client = stack.enter_context(watched(server.port, **given))
                clients[kind, data] = (server, client)
        for (kind, data), (server, _) in clients.items():
            # What a proxy says before it is asked is another fault.
            prepare = asked if kind == "HTTP proxy" else nothing
            server.begin(Attack(kind, prepare, partial(_slowly, data)))
            server.flood()
        for (kind, _), (_, client) in clients.items():
            [failure, *_] = wait_until(partial(_failures, client), what=kind)
            assert "within 2 s" in failure, kind


def _slowly(data: bytes, _: Any) -> Iterator[bytes]:
    for number in range(len(data)):
        yield data[number : number + 1]
        time.sleep(0.05)  # a rate: a byte now and then


def _failures(client: Watched) -> list[str]:
    return client.look().failures
