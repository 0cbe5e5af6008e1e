"""The packets of each version of MQTT, as the tests' brokers and peers write and read them.

They are put together from the specification, with no code of the package.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from .codec import KINDS, Reader, frame, properties, text

if TYPE_CHECKING:
    from .codec import Properties, Value

PINGREQ = b"\xc0\x00"
PINGRESP = b"\xd0\x00"

ACKS = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP")


class Will(NamedTuple):
    """The last will of a CONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


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
    """One packet of a client. Fields that its kind does not have keep their defaults.

    filters: names, with the QoS or, in MQTT 5, the subscription options.
    """

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
    properties: tuple[tuple[str, Value], ...] = ()
    will_properties: tuple[tuple[str, Value], ...] = ()
    reason: int = 0
    connection: int = 0
    at: float = field(default=0.0, compare=False)

    def recorded(self, connection: int, at: float) -> Packet:
        """Return the packet with the number of its connection and the time of its arrival."""
        return replace(self, connection=connection, at=at)


@dataclass(frozen=True)
class Version:
    """The packets of a version of MQTT; properties are for MQTT 5."""

    level: int
    name: str
    protocol: str = "MQTT"

    def connect(
        self,
        client_id: str = "c",
        *,
        clean: bool = True,
        keepalive: int = 60,
        will: Will | None = None,
        username: str | None = None,
        password: str | bytes | None = None,
        properties: Properties | None = None,
    ) -> bytes:
        """CONNECT (section 3.1)."""
        flags = clean << 1 | (username is not None) << 7 | (password is not None) << 6
        fields = [text(client_id)]
        if will is not None:
            flags |= 1 << 2 | will.qos << 3 | will.retain << 5
            fields += [self._properties(will.properties), text(will.topic), text(will.payload)]
        fields += [text(field) for field in (username, password) if field is not None]
        head = text(self.protocol) + struct.pack("!BBH", self.level, flags, keepalive)
        return frame("CONNECT", head + self._properties(properties) + b"".join(fields))

    def connack(
        self, rc: int = 0, *, present: bool = False, properties: Properties | None = None
    ) -> bytes:
        """CONNACK (section 3.2)."""
        return frame("CONNACK", bytes([present, rc]) + self._properties(properties))

    def publish(
        self,
        topic: str = "t",
        payload: bytes = b"x",
        *,
        qos: int = 0,
        mid: int = 0,
        retain: bool = False,
        dup: bool = False,
        properties: Properties | None = None,
    ) -> bytes:
        """PUBLISH (section 3.3)."""
        number = struct.pack("!H", mid) if qos else b""
        body = text(topic) + number + self._properties(properties) + payload
        return frame("PUBLISH", body, dup << 3 | qos << 1 | retain)

    def ack(
        self, kind: str, mid: int, reason: int = 0, properties: Properties | None = None
    ) -> bytes:
        """PUBACK, PUBREC, PUBREL or PUBCOMP (sections 3.4 to 3.7)."""
        body = struct.pack("!H", mid)
        if reason or properties:
            body += bytes([reason])
        if properties:
            body += self._properties(properties)
        return frame(kind, body, 2 if kind == "PUBREL" else 0)

    def puback(self, mid: int, reason: int = 0) -> bytes:
        """PUBACK (section 3.4)."""
        return self.ack("PUBACK", mid, reason)

    def pubrec(self, mid: int, reason: int = 0) -> bytes:
        """PUBREC (section 3.5)."""
        return self.ack("PUBREC", mid, reason)

    def pubrel(self, mid: int, reason: int = 0, *, dup: bool = False) -> bytes:
        """PUBREL (section 3.6); the DUP flag is MQTT 3.1's."""
        body = struct.pack("!H", mid) + (bytes([reason]) if reason else b"")
        return frame("PUBREL", body, 2 | dup << 3)

    def pubcomp(self, mid: int, reason: int = 0) -> bytes:
        """PUBCOMP (section 3.7)."""
        return self.ack("PUBCOMP", mid, reason)

    def subscribe(
        self, mid: int, *filters: tuple[str, int], properties: Properties | None = None
    ) -> bytes:
        """SUBSCRIBE (section 3.8); the second item of a filter is its QoS, or its options."""
        body = b"".join(text(name) + bytes([options]) for name, options in filters)
        return frame("SUBSCRIBE", struct.pack("!H", mid) + self._properties(properties) + body, 2)

    def suback(self, mid: int, *codes: int) -> bytes:
        """SUBACK (section 3.9)."""
        return frame("SUBACK", struct.pack("!H", mid) + self._properties(None) + bytes(codes))

    def unsubscribe(self, mid: int, *filters: str, properties: Properties | None = None) -> bytes:
        """UNSUBSCRIBE (section 3.10)."""
        body = b"".join(text(name) for name in filters)
        return frame("UNSUBSCRIBE", struct.pack("!H", mid) + self._properties(properties) + body, 2)

    def unsuback(self, mid: int, *codes: int) -> bytes:
        """UNSUBACK (section 3.11); the codes are for MQTT 5."""
        answers = bytes(codes) if self.level == 5 else b""
        return frame("UNSUBACK", struct.pack("!H", mid) + self._properties(None) + answers)

    def disconnect(self, reason: int | None = None, properties: Properties | None = None) -> bytes:
        """DISCONNECT (section 3.14), without a reason of no length."""
        if reason is None:
            return frame("DISCONNECT")
        return frame("DISCONNECT", bytes([reason]) + (self._properties(properties)))

    def decode(self, raw: bytes) -> Packet:
        """Decode one whole packet that a client sent. Raises ValueError for a malformed one."""
        kind, flags = KINDS[raw[0] >> 4], raw[0] & 0x0F
        header = next(index for index in range(1, 5) if not raw[index] & 0x80) + 1
        reader = Reader(raw[header:])
        packet = Packet(kind, raw)
        if kind == "CONNECT":
            packet = self._decode_connect(raw, reader)
        elif kind == "PUBLISH":
            qos = flags >> 1 & 3
            packet = Packet(
                kind,
                raw,
                topic=reader.text(),
                mid=reader.short() if qos else 0,
                properties=self._read_properties(reader),
                payload=reader.take(len(reader.rest)),
                qos=qos,
                retain=bool(flags & 1),
                dup=bool(flags & 8),
            )
        elif kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
            packet = self._decode_filters(raw, reader)
        elif kind in ACKS or (kind == "DISCONNECT" and self.level == 5):
            packet = self._decode_reason(raw, reader)
        if reader.rest:
            msg = f"{kind} with {len(reader.rest)} bytes too many: {raw!r}"
            raise ValueError(msg)
        return packet

    def _decode_connect(self, raw: bytes, reader: Reader) -> Packet:
        protocol, level, flags = reader.text(), reader.byte(), reader.byte()
        keepalive, found = reader.short(), self._read_properties(reader)
        client_id = reader.text()
        will: Will | None = None
        will_properties: tuple[tuple[str, Value], ...] = ()
        if flags & 0x04:
            will_properties = self._read_properties(reader)
            will = Will(reader.text(), reader.binary(), flags >> 3 & 3, bool(flags & 0x20))
        username = reader.text() if flags & 0x80 else None
        password = reader.binary() if flags & 0x40 else None
        connect = Connect(
            protocol, level, bool(flags & 2), keepalive, client_id, will, username, password
        )
        return Packet(
            "CONNECT", raw, connect=connect, properties=found, will_properties=will_properties
        )

    def _decode_filters(self, raw: bytes, reader: Reader) -> Packet:
        kind = KINDS[raw[0] >> 4]
        mid, found, filters = reader.short(), self._read_properties(reader), []
        while reader.rest:
            filters.append((reader.text(), reader.byte() if kind == "SUBSCRIBE" else 0))
        qos = raw[0] >> 1 & 3
        return Packet(kind, raw, mid=mid, filters=tuple(filters), properties=found, qos=qos)

    def _decode_reason(self, raw: bytes, reader: Reader) -> Packet:
        kind, is_5 = KINDS[raw[0] >> 4], self.level == 5
        return Packet(
            kind,
            raw,
            mid=reader.short() if kind in ACKS else 0,
            reason=reader.byte() if is_5 and reader.rest else 0,
            properties=self._read_properties(reader) if is_5 and reader.rest else (),
            qos=raw[0] >> 1 & 3,
        )

    def _read_properties(self, reader: Reader) -> tuple[tuple[str, Value], ...]:
        return reader.properties() if self.level == 5 else ()

    def _properties(self, given: Properties | None) -> bytes:
        if self.level == 5:
            return properties(given or {})
        assert given is None, "properties are MQTT 5's"
        return b""


MQTT31 = Version(3, "3.1", "MQIsdp")
MQTT311 = Version(4, "3.1.1")
MQTT5 = Version(5, "5")
