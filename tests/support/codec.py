"""MQTT on the wire, for brokers and peers of the tests: frames, fields and properties.

It shares no code with the package, so a mistake there cannot hide here. `packets` has the packets.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

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
    return bytes([KINDS.index(kind) << 4 | flags]) + variable(len(body)) + body


def text(value: str | bytes) -> bytes:
    """Encode a string, or binary data, with its length in front."""
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def variable(value: int) -> bytes:
    """Encode a variable byte integer."""
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
            out += value.to_bytes(width, "big") if width else variable(value)
        elif isinstance(value, (str, bytes)):
            out += text(value)
        else:
            out += text(value[0]) + text(value[1])
    return variable(len(out)) + out


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
        reader = Reader(self.take(self.variable()))
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
