"""What a packet of MQTT 5 says about how something went, and the numbers of packets."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from .._core import reason_name
from .enums import ConnackCode, MQTTErrorCode

CodeT = TypeVar("CodeT", bound="ReasonCode")

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


_PACKETS = {
    number: name.capitalize() for name, number in vars(PacketTypes).items() if name.isupper()
}


#: What a number means in one packet only. A broker from before MQTT 5 refuses it with 1.
_NAMES = {
    (PacketTypes.DISCONNECT, 0): "Normal disconnection",
    (PacketTypes.SUBACK, 0): "Granted QoS 0",
    (PacketTypes.CONNACK, 1): "Unacceptable protocol version",
}


#: Names that paho has beside those of the specification.
_OTHER_NAMES = {
    17: "No subscription found",
    158: "Shared subscription not supported",
    162: "Wildcard subscription not supported",
}


class ReasonCode(int):
    """A reason code (MQTT 5.0, section 2.4): an int, whose text is its name.

    It equals the number and the name, in upper or lower case, the specification's or paho's:
    ``rc == 135`` and ``rc == "Not authorized"``.
    """

    #: The packet that it comes in, one of :class:`PacketTypes`.
    packetType: int  # noqa: N815 - paho's name

    def __new__(
        cls: type[CodeT],
        packetType: int,  # noqa: N803 - paho's names
        aName: str = "Success",  # noqa: N803
        identifier: int = -1,
    ) -> CodeT:
        """Make a reason code, by its number or its name.

        Args:
            packetType: The packet that it comes in, one of :class:`PacketTypes`: 0 is called
                "Granted QoS 0" in a SUBACK, and "Normal disconnection" in a DISCONNECT.
            aName: The name, where there is no number.
            identifier: The number, from 0 to 255; -1 for the name's.

        Raises:
            TypeError: The name is no text, or the number none.
            ValueError: The number is not from 0 to 255, or there is no such name.
        """
        if not isinstance(identifier, int):
            raise TypeError(f"identifier {identifier!r}: it must be a number from 0 to 255")
        if not isinstance(aName, str):
            raise TypeError(f"aName {aName!r}: it must be the name of a reason code")
        if identifier == -1:
            identifier = _number(packetType, aName)
        if not 0 <= identifier <= 0xFF:  # noqa: PLR2004 - a byte
            raise ValueError(f"reason code {int(identifier)}: it must be from 0 to 255")
        code = super().__new__(cls, identifier)
        code.packetType = packetType
        return code

    def __getnewargs__(self) -> tuple[int, str, int]:  # type: ignore[override]
        """Return what copying and pickling make it anew with."""
        return self.packetType, "", self.value

    @property
    def value(self) -> int:
        """The number."""
        return int(self)

    @property
    def is_failure(self) -> bool:
        """Whether it says that something failed: 128 and above, or anything but 0 in a CONNACK."""
        accepted = 1 if self.packetType == PacketTypes.CONNACK else _FIRST_FAILURE
        return self >= accepted

    def getName(self) -> str:  # noqa: N802 - paho's name
        """Return the name, as the specification writes it."""
        return _name(self.packetType, self.value)

    def __str__(self) -> str:
        """Return the name."""
        return self.getName()

    def __repr__(self) -> str:
        """Return the packet and the name, as paho does."""
        packet = _PACKETS.get(self.packetType, self.packetType)
        return f"ReasonCode({packet}, {self.getName()!r})"

    def __eq__(self, other: object) -> bool:
        """Compare with a number or a name."""
        if not isinstance(other, str):
            return super().__eq__(other)
        return other.casefold() in _names(self.packetType, self.value)

    def __ne__(self, other: object) -> bool:
        """Compare with a number or a name."""
        return not self == other

    def __hash__(self) -> int:
        """Return the hash of the number."""
        return super().__hash__()


class _AlsoTheNewName(type):
    """`isinstance` asks with the old name for what has the new one."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, ReasonCode)


class ReasonCodes(ReasonCode, metaclass=_AlsoTheNewName):
    """The old name of :class:`ReasonCode`, deprecated in paho 2."""

    def __new__(cls: type[CodeT], *args: Any, **kwargs: Any) -> CodeT:
        """Make a reason code as :class:`ReasonCode` does, with a ``DeprecationWarning``."""
        warnings.warn(
            "ReasonCodes is an old name: use ReasonCode", DeprecationWarning, stacklevel=2
        )
        return ReasonCode.__new__(cls, *args, **kwargs)


def reason_codes(packet_type: int, numbers: Iterable[int]) -> list[ReasonCode]:
    """Return the numbers of a packet as its reason codes."""
    return [ReasonCode(packet_type, identifier=number) for number in numbers]


def _name(packet_type: int, number: int) -> str:
    return _NAMES.get((packet_type, number)) or reason_name(number)


def _names(packet_type: int, number: int) -> list[str]:
    """Return the specification's name and paho's, where that is another one, in lower case."""
    names = (_name(packet_type, number), _OTHER_NAMES.get(number, ""))
    return [name.casefold() for name in names if name]


def _number(packet_type: int, name: str) -> int:
    wanted = name.casefold()
    if wanted == "success":
        return 0
    for number in range(0x100):
        if wanted in _names(packet_type, number):
            return number
    raise ValueError(f"reason code {name!r}: MQTT has none of this name (MQTT 5.0, section 2.4)")


_OF_CONNACK: dict[int, int] = {
    ConnackCode.CONNACK_ACCEPTED: 0,
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: 132,
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: 133,
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: 136,
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: 134,
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: 135,
}

_OF_END: dict[int, int] = {
    MQTTErrorCode.MQTT_ERR_SUCCESS: 0,
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: 141,
    MQTTErrorCode.MQTT_ERR_PROTOCOL: 130,
}


def convert_connack_rc_to_reason_code(connack_code: ConnackCode | int) -> ReasonCode:
    """Return the reason code of MQTT 5 that says what a CONNACK of MQTT 3.1.1 says.

    Args:
        connack_code: Return code (MQTT 3.1.1, section 3.2.2.3).

    Returns:
        The reason code (MQTT 5.0, section 3.2.2.2), which is another number: 136 for 3. It is
        "Unspecified error" for a number that MQTT 3.1.1 does not know.
    """
    number = _OF_CONNACK.get(connack_code, _FIRST_FAILURE)
    return ReasonCode(PacketTypes.CONNACK, identifier=number)


def convert_disconnect_error_code_to_reason_code(rc: MQTTErrorCode | int) -> ReasonCode:
    """Return the reason code of MQTT 5 for the end of a connection that has an error code.

    Args:
        rc: What `on_disconnect` gets with `CallbackAPIVersion.VERSION1`.

    Returns:
        The reason code of a DISCONNECT (MQTT 5.0, section 3.14.2.1): "Unspecified error" for most.
    """
    return ReasonCode(PacketTypes.DISCONNECT, identifier=_OF_END.get(rc, _FIRST_FAILURE))
