"""A TLS server that sends records of its own making, as no library does.

tls = Records(connection, certificates.server, tmp_path / "keys", ssl.TLSVersion.TLSv1_3)
tls.sendall(b"...")      # application data
tls.handshake(b"...")    # a message of the handshake, encrypted as it has to be
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import ssl
import struct
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .tls_server import server_context

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from .certificates import KeyPair

HANDSHAKE, DATA = 22, 23

#: Most bytes of a record.
RECORD = 16_384

#: KeyUpdate, with the wish that the other side does so too (RFC 8446, section 4.6.3).
KEY_UPDATE = b"\x18\x00\x00\x01\x01"

#: HelloRequest, by which a server wants to begin anew (RFC 5246, section 7.4.1.1).
HELLO_REQUEST = bytes(4)


def ticket(size: int) -> bytes:
    """Return a NewSessionTicket of TLS 1.3."""
    body = struct.pack(">IIBH", 7200, 0, 0, size) + bytes(size) + b"\0\0"
    return b"\x04" + len(body).to_bytes(3, "big") + body


class Records:
    """The server's side of a connection, with AES-256-GCM and SHA-384."""

    def __init__(
        self, connection: socket.socket, pair: KeyPair, keys: Path, version: ssl.TLSVersion
    ) -> None:
        context = server_context(pair)
        context.minimum_version = context.maximum_version = version
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        context.set_ciphers("ECDHE+AES256+AESGCM")
        context.keylog_filename = str(keys)
        self._connection = connection
        self._coming = ssl.MemoryBIO()
        going = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, going, server_side=True)
        sent = self._shake_hands(going)
        self._new = version is ssl.TLSVersion.TLSv1_3
        if self._new:
            self._secret = _logged(keys, "SERVER_TRAFFIC_SECRET_0")
            self._begin_key()
        else:
            # The ServerHello is first: a header of 5 and one of 4 bytes, and the version.
            client, secret = _logged_pair(keys)
            block = _prf(secret, b"key expansion", sent[11:43] + client, 2 * 32 + 2 * 4)
            self._key, self._iv = AESGCM(block[32:64]), block[68:72]
            self._number = 1  # Finished was the first

    def recv(self, size: int) -> bytes:
        """Receive what the client has encrypted."""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                return self._tls.read(size)
            self._coming.write(self._connection.recv(65_536))

    def sendall(self, data: bytes) -> None:
        """Send application data."""
        self._send(DATA, data)

    def handshake(self, message: bytes) -> None:
        """Send messages of the handshake."""
        self._send(HANDSHAKE, message)
        if message == KEY_UPDATE:
            self._secret = _expand(self._secret, b"traffic upd", 48)
            self._begin_key()

    def _shake_hands(self, going: ssl.MemoryBIO) -> bytes:
        sent = b""
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
                return sent + self._pass_on(going)
            sent += self._pass_on(going)
            self._coming.write(self._connection.recv(65_536))

    def _pass_on(self, going: ssl.MemoryBIO) -> bytes:
        data = going.read()
        self._connection.sendall(data)
        return data

    def _begin_key(self) -> None:
        self._key = AESGCM(_expand(self._secret, b"key", 32))
        self._iv = _expand(self._secret, b"iv", 12)
        self._number = 0

    def _send(self, kind: int, data: bytes) -> None:
        pieces = [data[start : start + RECORD] for start in range(0, len(data), RECORD)]
        self._connection.sendall(b"".join(self._record(kind, piece) for piece in pieces))

    def _record(self, kind: int, data: bytes) -> bytes:
        number = struct.pack(">Q", self._number)
        self._number += 1
        if self._new:
            head = struct.pack(">BHH", DATA, 0x303, len(data) + 17)
            mask = bytes(4) + number
            nonce = bytes(one ^ other for one, other in zip(self._iv, mask, strict=True))
            return head + self._key.encrypt(nonce, data + bytes([kind]), head)
        head = struct.pack(">BHH", kind, 0x303, len(data) + 24)
        known = number + struct.pack(">BHH", kind, 0x303, len(data))
        return head + number + self._key.encrypt(self._iv + number, data, known)


def _logged(keys: Path, label: str) -> bytes:
    [line] = re.findall(rf"{label} \w+ (\w+)", keys.read_text())
    return bytes.fromhex(line)


def _logged_pair(keys: Path) -> tuple[bytes, bytes]:
    [(client, secret)] = re.findall(r"CLIENT_RANDOM (\w+) (\w+)", keys.read_text())
    return bytes.fromhex(client), bytes.fromhex(secret)


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha384).digest()


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, section 7.1), up to the length of a hash."""
    name = b"tls13 " + label
    info = struct.pack(">HB", size, len(name)) + name + b"\0"
    return _mac(secret, info + b"\1")[:size]


def _prf(secret: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """PRF of TLS 1.2 (RFC 5246, section 5)."""
    found, link = b"", label + seed
    while len(found) < size:
        link = _mac(secret, link)
        found += _mac(secret, link + label + seed)
    return found[:size]
