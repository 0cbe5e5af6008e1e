"""What a packet of MQTT 5 says about how something went, and the numbers of packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ._core import reason_name

if TYPE_CHECKING:
    from typing_extensions import Self

_FIRST_FAILURE = 0x80


class PacketTypes:
    """The numbers of packets, with paho's names; ``WILLMESSAGE`` stands for a will."""

    CONNECT: Final = 1
    CONNACK: Final = 2
    PUBLISH: Final = 3
    PUBACK: Final = 4
    PUBREC: Final = 5
    PUBREL: Final = 6
    PUBCOMP: Final = 7
    SUBSCRIBE: Final = 8
    SUBACK: Final = 9
    UNSUBSCRIBE: Final = 10
    UNSUBACK: Final = 11
    PINGREQ: Final = 12
    PINGRESP: Final = 13
    DISCONNECT: Final = 14
    AUTH: Final = 15
    WILLMESSAGE: Final = 99


#: What a number means in one packet only. A broker from before MQTT 5 refuses it with 1.
_NAMES = {
    (PacketTypes.DISCONNECT, 0): "Normal disconnection",
    (PacketTypes.SUBACK, 0): "Granted QoS 0",
    (PacketTypes.CONNACK, 1): "Unacceptable protocol version",
}


class ReasonCode(int):
    """A reason code (MQTT 5.0, section 2.4): an int, whose text is its name.

    It equals the number and the name: ``rc == 135`` and ``rc == "Not authorized"``.
    """

    _packet_type: int | None

    def __new__(cls, value: int, packet_type: int | None = None) -> Self:
        """Make a reason code.

        Args:
            value: The number, from 0 to 255.
            packet_type: The packet that it comes in, one of :class:`PacketTypes`: 0 is called
                "Granted QoS 0" in a SUBACK, and "Normal disconnection" in a DISCONNECT.

        Raises:
            ValueError: The number is not from 0 to 255.
        """
        if not 0 <= value <= 0xFF:  # noqa: PLR2004 - a byte
            raise ValueError(f"reason code {int(value)}: it must be from 0 to 255")
        code = super().__new__(cls, value)
        code._packet_type = packet_type
        return code

    @property
    def value(self) -> int:
        """The number."""
        return int(self)

    @property
    def is_failure(self) -> bool:
        """Whether it says that something failed: 128 and above, or anything but 0 in a CONNACK."""
        accepted = 1 if self._packet_type == PacketTypes.CONNACK else _FIRST_FAILURE
        return self >= accepted

    def getName(self) -> str:  # noqa: N802 - paho's name
        """Return the name, as the specification writes it."""
        packet_type = self._packet_type or 0
        return _NAMES.get((packet_type, self.value)) or reason_name(self.value)

    def __str__(self) -> str:
        """Return the name."""
        return self.getName()

    def __repr__(self) -> str:
        """Return the number and the name."""
        return f"ReasonCode({self.value}, {self.getName()!r})"

    def __eq__(self, other: object) -> bool:
        """Compare with a number or a name."""
        return self.getName() == other if isinstance(other, str) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        """Compare with a number or a name."""
        return not self == other

    def __hash__(self) -> int:
        """Return the hash of the number."""
        return super().__hash__()
