"""Packets as a script writes them: those that a client has to send, and the broker's.

They are put together from the specification, with no code of the package.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support import codec5
from support.codec import KINDS, PINGRESP, frame

if TYPE_CHECKING:
    from support.codec5 import Properties

__all__ = ["MQTT5", "MQTT31", "MQTT311", "PINGREQ", "PINGRESP", "Version", "Will", "show"]

PINGREQ = b"\xc0\x00"

#: How many bytes of a packet a failure shows.
SHOWN = 48


def show(data: bytes) -> str:
    """Return bytes as hexadecimal digits, after the name of the packet that begins with them."""
    if not data:
        return "nothing"
    text = data[:SHOWN].hex(" ")
    if len(data) > SHOWN:
        text += f" ... {data[-8:].hex(' ')} ({len(data)} bytes)"
    return f"{KINDS[data[0] >> 4]} {text}"


def binary(data: str | bytes) -> bytes:
    """Encode a string or binary data with its length in front."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("!H", len(data)) + data


@dataclass(frozen=True)
class Will:
    """The last will of a CONNECT."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None


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
        fields = [binary(client_id)]
        if will is not None:
            flags |= 1 << 2 | will.qos << 3 | will.retain << 5
            fields += [self._properties(will.properties), binary(will.topic), binary(will.payload)]
        fields += [binary(field) for field in (username, password) if field is not None]
        head = binary(self.protocol) + struct.pack("!BBH", self.level, flags, keepalive)
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
        body = binary(topic) + number + self._properties(properties) + payload
        return frame("PUBLISH", body, dup << 3 | qos << 1 | retain)

    def puback(self, mid: int, reason: int = 0) -> bytes:
        """PUBACK (section 3.4)."""
        return frame("PUBACK", self._number(mid, reason))

    def pubrec(self, mid: int, reason: int = 0) -> bytes:
        """PUBREC (section 3.5)."""
        return frame("PUBREC", self._number(mid, reason))

    def pubrel(self, mid: int, reason: int = 0, *, dup: bool = False) -> bytes:
        """PUBREL (section 3.6); the DUP flag is MQTT 3.1's."""
        return frame("PUBREL", self._number(mid, reason), 2 | dup << 3)

    def pubcomp(self, mid: int, reason: int = 0) -> bytes:
        """PUBCOMP (section 3.7)."""
        return frame("PUBCOMP", self._number(mid, reason))

    def subscribe(
        self, mid: int, *filters: tuple[str, int], properties: Properties | None = None
    ) -> bytes:
        """SUBSCRIBE (section 3.8); the second item of a filter is its QoS, or its options."""
        body = b"".join(binary(name) + bytes([options]) for name, options in filters)
        return frame("SUBSCRIBE", struct.pack("!H", mid) + self._properties(properties) + body, 2)

    def suback(self, mid: int, *codes: int) -> bytes:
        """SUBACK (section 3.9)."""
        return frame("SUBACK", struct.pack("!H", mid) + self._properties(None) + bytes(codes))

    def unsubscribe(self, mid: int, *filters: str, properties: Properties | None = None) -> bytes:
        """UNSUBSCRIBE (section 3.10)."""
        body = b"".join(binary(name) for name in filters)
        return frame("UNSUBSCRIBE", struct.pack("!H", mid) + self._properties(properties) + body, 2)

    def unsuback(self, mid: int, *codes: int) -> bytes:
        """UNSUBACK (section 3.11); the codes are for MQTT 5."""
        return frame("UNSUBACK", struct.pack("!H", mid) + self._properties(None) + bytes(codes))

    def disconnect(self, reason: int | None = None, properties: Properties | None = None) -> bytes:
        """DISCONNECT (section 3.14), without a reason of no length."""
        if reason is None:
            return frame("DISCONNECT")
        return frame("DISCONNECT", bytes([reason]) + (self._properties(properties)))

    def _properties(self, given: Properties | None) -> bytes:
        if self.level == 5:
            return codec5.properties(given or {})
        assert given is None, "properties are MQTT 5's"
        return b""

    def _number(self, mid: int, reason: int) -> bytes:
        return struct.pack("!H", mid) + (bytes([reason]) if reason else b"")


MQTT31 = Version(3, "3.1", "MQIsdp")
MQTT311 = Version(4, "3.1.1")
MQTT5 = Version(5, "5")
