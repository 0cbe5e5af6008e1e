"""The little of MQTT 3.1.1 on the wire that a test broker needs.

It shares no code with the package, so a mistake there cannot hide here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import NamedTuple

KINDS = (
    "RESERVED",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
)
PINGRESP = b"\xd0\x00"


class Will(NamedTuple):
    """The last will of a CONNECT."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """What a CONNECT says."""

    protocol: str
    level: int
    clean_session: bool
    keepalive: int
    client_id: str
    will: Will | None
    username: str | None
    password: bytes | None


@dataclass(frozen=True)
class Packet:
    """One packet of a client. Fields that its kind does not have keep their defaults."""

    kind: str
    raw: bytes = field(repr=False)
    mid: int = 0
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False
    dup: bool = False
    filters: tuple[tuple[str, int], ...] = ()
    connect: Connect | None = None
    connection: int = 0
    at: float = field(default=0.0, compare=False)

    def recorded(self, connection: int, at: float) -> Packet:
        """Return the packet with the number of its connection and the time of its arrival."""
        return replace(self, connection=connection, at=at)


def frame_length(buffer: bytes) -> int | None:
    """Return the length of the packet that `buffer` begins with, None while it is unknown."""
    length = 0
    for index in range(1, 5):
        if index >= len(buffer):
            return None
        length |= (buffer[index] & 0x7F) << (7 * (index - 1))
        if not buffer[index] & 0x80:
            return 1 + index + length
    msg = "remaining length of more than four bytes"
    raise ValueError(msg)


def frame(kind: str, body: bytes = b"", flags: int = 0) -> bytes:
    """Put a fixed header in front of `body`."""
    header = bytearray([KINDS.index(kind) << 4 | flags])
    length = len(body)
    while True:
        digit, length = length & 0x7F, length >> 7
        header.append(digit | 0x80 if length else digit)
        if not length:
            return bytes(header) + body


def text(value: str) -> bytes:
    """Encode a string with its length in front."""
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def connack(rc: int = 0, *, session_present: bool = False) -> bytes:
    """Encode a CONNACK."""
    return frame("CONNACK", bytes([session_present, rc]))


def publish(
    topic: str,
    payload: bytes = b"",
    *,
    qos: int = 0,
    mid: int = 0,
    retain: bool = False,
    dup: bool = False,
) -> bytes:
    """Encode a PUBLISH."""
    mid_bytes = struct.pack("!H", mid) if qos else b""
    return frame("PUBLISH", text(topic) + mid_bytes + payload, dup << 3 | qos << 1 | retain)


def ack(kind: str, mid: int) -> bytes:
    """Encode a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""
    return frame(kind, struct.pack("!H", mid), 2 if kind == "PUBREL" else 0)


def unsuback(mid: int, _count: int) -> bytes:
    """Encode an UNSUBACK."""
    return ack("UNSUBACK", mid)


def suback(mid: int, granted: tuple[int, ...]) -> bytes:
    """Encode a SUBACK."""
    return frame("SUBACK", struct.pack("!H", mid) + bytes(granted))


class Reader:
    """Takes fields off the front of a packet's body."""

    def __init__(self, data: bytes) -> None:
        self.rest = data

    def take(self, count: int) -> bytes:
        if count > len(self.rest):
            msg = f"{count} bytes wanted, {len(self.rest)} left"
            raise ValueError(msg)
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def short(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.short())

    def text(self) -> str:
        return self.binary().decode()


def _decode_connect(reader: Reader) -> Connect:
    protocol, level, flags, keepalive = reader.text(), reader.byte(), reader.byte(), reader.short()
    client_id = reader.text()
    will = None
    if flags & 0x04:
        will = Will(reader.text(), reader.binary(), flags >> 3 & 3, bool(flags & 0x20))
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    return Connect(protocol, level, bool(flags & 2), keepalive, client_id, will, username, password)


def decode(raw: bytes) -> Packet:
    """Decode one whole packet that a client sent. Raises ValueError for a malformed one."""
    kind, flags = KINDS[raw[0] >> 4], raw[0] & 0x0F
    header = next(index for index in range(1, 5) if not raw[index] & 0x80) + 1
    reader = Reader(raw[header:])
    if kind == "CONNECT":
        packet = Packet(kind, raw, connect=_decode_connect(reader))
    elif kind == "PUBLISH":
        qos = flags >> 1 & 3
        packet = Packet(
            kind,
            raw,
            topic=reader.text(),
            mid=reader.short() if qos else 0,
            payload=reader.take(len(reader.rest)),
            qos=qos,
            retain=bool(flags & 1),
            dup=bool(flags & 8),
        )
    elif kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
        mid, filters = reader.short(), []
        while reader.rest:
            filters.append((reader.text(), reader.byte() if kind == "SUBSCRIBE" else 0))
        packet = Packet(kind, raw, mid=mid, filters=tuple(filters), qos=flags >> 1 & 3)
    elif kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP"):
        packet = Packet(kind, raw, mid=reader.short(), qos=flags >> 1 & 3)
    else:
        packet = Packet(kind, raw)
    if reader.rest:
        msg = f"{kind} with {len(reader.rest)} bytes too many: {raw!r}"
        raise ValueError(msg)
    return packet
