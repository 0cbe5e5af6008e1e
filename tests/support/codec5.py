"""The little of MQTT 5 on the wire that a test broker needs: `codec`'s functions, for that version.

It shares no code with the package, so a mistake there cannot hide here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import codec
from .codec import PINGRESP, Connect, Will, frame, frame_length, text

__all__ = [
    "PINGRESP",
    "Packet5",
    "ack",
    "connack",
    "decode",
    "disconnect",
    "frame_length",
    "publish",
    "suback",
    "unsuback",
]

Value = int | str | bytes | tuple[str, str]
Properties = Mapping[str, Value] | Sequence[tuple[str, Value]]

#: Identifier and form of each property (MQTT 5.0, table 2-4).
FORMS = {
    "PayloadFormatIndicator": (1, "byte"),
    "MessageExpiryInterval": (2, "four"),
    "ContentType": (3, "text"),
    "ResponseTopic": (8, "text"),
    "CorrelationData": (9, "binary"),
    "SubscriptionIdentifier": (11, "variable"),
    "SessionExpiryInterval": (17, "four"),
    "AssignedClientIdentifier": (18, "text"),
    "ServerKeepAlive": (19, "two"),
    "AuthenticationMethod": (21, "text"),
    "AuthenticationData": (22, "binary"),
    "RequestProblemInformation": (23, "byte"),
    "WillDelayInterval": (24, "four"),
    "RequestResponseInformation": (25, "byte"),
    "ResponseInformation": (26, "text"),
    "ServerReference": (28, "text"),
    "ReasonString": (31, "text"),
    "ReceiveMaximum": (33, "two"),
    "TopicAliasMaximum": (34, "two"),
    "TopicAlias": (35, "two"),
    "MaximumQoS": (36, "byte"),
    "RetainAvailable": (37, "byte"),
    "UserProperty": (38, "pair"),
    "MaximumPacketSize": (39, "four"),
    "WildcardSubscriptionAvailable": (40, "byte"),
    "SubscriptionIdentifierAvailable": (41, "byte"),
    "SharedSubscriptionAvailable": (42, "byte"),
}
_NAMES = {identifier: (name, form) for name, (identifier, form) in FORMS.items()}
_WIDTHS = {"byte": 1, "two": 2, "four": 4}


@dataclass(frozen=True)
class Packet5(codec.Packet):
    """One packet of a client. The second item of `filters` is the byte of subscription options."""

    properties: tuple[tuple[str, Value], ...] = ()
    will_properties: tuple[tuple[str, Value], ...] = ()
    reason: int = 0


def _variable(value: int) -> bytes:
    out = bytearray()
    while True:
        digit, value = value & 0x7F, value >> 7
        out.append(digit | 0x80 if value else digit)
        if not value:
            return bytes(out)


def properties(given: Properties) -> bytes:
    """Encode properties with their length."""
    out = b""
    for name, value in given.items() if isinstance(given, Mapping) else given:
        identifier, form = FORMS[name]
        out += bytes([identifier])
        if isinstance(value, int):
            width = _WIDTHS.get(form)
            out += value.to_bytes(width, "big") if width else _variable(value)
        elif isinstance(value, str):
            out += text(value)
        elif isinstance(value, bytes):
            out += struct.pack("!H", len(value)) + value
        else:
            out += text(value[0]) + text(value[1])
    return _variable(len(out)) + out


def connack(
    rc: int = 0, *, session_present: bool = False, given: Properties | None = None
) -> bytes:
    """Encode a CONNACK."""
    return frame("CONNACK", bytes([session_present, rc]) + properties(given or {}))


def publish(
    topic: str,
    payload: bytes = b"",
    *,
    qos: int = 0,
    mid: int = 0,
    retain: bool = False,
    dup: bool = False,
    given: Properties | None = None,
) -> bytes:
    """Encode a PUBLISH."""
    mid_bytes = struct.pack("!H", mid) if qos else b""
    body = text(topic) + mid_bytes + properties(given or {}) + payload
    return frame("PUBLISH", body, dup << 3 | qos << 1 | retain)


def ack(kind: str, mid: int, reason: int = 0, given: Properties | None = None) -> bytes:
    """Encode a PUBACK, PUBREC, PUBREL or PUBCOMP."""
    body = struct.pack("!H", mid)
    if reason or given:
        body += bytes([reason]) + properties(given or {})
    return frame(kind, body, 2 if kind == "PUBREL" else 0)


def suback(mid: int, granted: tuple[int, ...], given: Properties | None = None) -> bytes:
    """Encode a SUBACK. Of subscription options only the QoS is granted."""
    codes = bytes(code if code & 0x80 else code & 3 for code in granted)
    return frame("SUBACK", struct.pack("!H", mid) + properties(given or {}) + codes)


def unsuback(mid: int, count: int, given: Properties | None = None) -> bytes:
    """Encode an UNSUBACK that says yes to each filter."""
    return frame("UNSUBACK", struct.pack("!H", mid) + properties(given or {}) + bytes(count))


def disconnect(reason: int = 0, given: Properties | None = None) -> bytes:
    """Encode a DISCONNECT."""
    return frame("DISCONNECT", bytes([reason]) + properties(given or {}))


class _Reader(codec.Reader):
    """Reads what MQTT 5 has besides."""

    def variable(self) -> int:
        value = 0
        for shift in (0, 7, 14, 21):
            digit = self.byte()
            value |= (digit & 0x7F) << shift
            if not digit & 0x80:
                return value
        msg = "variable byte integer of more than four bytes"
        raise ValueError(msg)

    def properties(self) -> tuple[tuple[str, Value], ...]:
        reader = _Reader(self.take(self.variable()))
        found = []
        while reader.rest:
            name, form = _NAMES[reader.byte()]
            found.append((name, reader.value(form)))
        return tuple(found)

    def value(self, form: str) -> Value:
        if form in _WIDTHS:
            return int.from_bytes(self.take(_WIDTHS[form]), "big")
        if form == "variable":
            return self.variable()
        if form == "binary":
            return self.binary()
        return self.text() if form == "text" else (self.text(), self.text())


def _decode_connect(raw: bytes, reader: _Reader) -> Packet5:
    protocol, level, flags, keepalive = reader.text(), reader.byte(), reader.byte(), reader.short()
    found = reader.properties()
    client_id = reader.text()
    will: Will | None = None
    will_properties: tuple[tuple[str, Value], ...] = ()
    if flags & 0x04:
        will_properties = reader.properties()
        will = Will(reader.text(), reader.binary(), flags >> 3 & 3, bool(flags & 0x20))
    username = reader.text() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    connect = Connect(
        protocol, level, bool(flags & 2), keepalive, client_id, will, username, password
    )
    return Packet5(
        "CONNECT", raw, connect=connect, properties=found, will_properties=will_properties
    )


def _decode_filters(kind: str, raw: bytes, reader: _Reader, flags: int) -> Packet5:
    mid, found, filters = reader.short(), reader.properties(), []
    while reader.rest:
        filters.append((reader.text(), reader.byte() if kind == "SUBSCRIBE" else 0))
    return Packet5(kind, raw, mid=mid, filters=tuple(filters), properties=found, qos=flags >> 1 & 3)


def decode(raw: bytes) -> Packet5:
    """Decode one whole packet that a client sent. Raises ValueError for a malformed one."""
    kind, flags = codec.KINDS[raw[0] >> 4], raw[0] & 0x0F
    header = next(index for index in range(1, 5) if not raw[index] & 0x80) + 1
    reader = _Reader(raw[header:])
    if kind == "CONNECT":
        packet = _decode_connect(raw, reader)
    elif kind == "PUBLISH":
        qos = flags >> 1 & 3
        packet = Packet5(
            kind,
            raw,
            topic=reader.text(),
            mid=reader.short() if qos else 0,
            properties=reader.properties(),
            payload=reader.take(len(reader.rest)),
            qos=qos,
            retain=bool(flags & 1),
            dup=bool(flags & 8),
        )
    elif kind in ("SUBSCRIBE", "UNSUBSCRIBE"):
        packet = _decode_filters(kind, raw, reader, flags)
    elif kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "DISCONNECT"):
        packet = Packet5(
            kind,
            raw,
            mid=0 if kind == "DISCONNECT" else reader.short(),
            reason=reader.byte() if reader.rest else 0,
            properties=reader.properties() if reader.rest else (),
            qos=flags >> 1 & 3,
        )
    else:
        packet = Packet5(kind, raw)
    if reader.rest:
        msg = f"{kind} with {len(reader.rest)} bytes too many: {raw!r}"
        raise ValueError(msg)
    return packet
