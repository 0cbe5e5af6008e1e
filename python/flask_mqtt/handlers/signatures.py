"""The arguments of handlers with `CallbackAPIVersion.VERSION2`, whatever version MQTT has.

Those of `VERSION1` are what the events bring, as many of them as a handler takes. Each function
here takes those and returns what comes after ``client`` and ``userdata``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core import Properties
from ..paho.message import ConnectFlags, DisconnectFlags
from ..paho.reasoncodes import (
    PacketTypes,
    ReasonCode,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    reason_codes,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


def connect(
    flags: dict[str, int], rc: int, properties: Properties | None
) -> tuple[ConnectFlags, ReasonCode, Properties]:
    """Return the arguments of `on_connect`."""
    code = rc if isinstance(rc, ReasonCode) else convert_connack_rc_to_reason_code(rc)
    present = bool(flags["session present"])
    return ConnectFlags(present), code, properties or Properties(PacketTypes.CONNACK)


def disconnect(
    rc: int, properties: Properties | None
) -> tuple[DisconnectFlags, ReasonCode, Properties]:
    """Return the arguments of `on_disconnect`."""
    # A reason code has come in a packet; everything else is the client's own finding.
    from_server = isinstance(rc, ReasonCode)
    code = rc if isinstance(rc, ReasonCode) else convert_disconnect_error_code_to_reason_code(rc)
    return DisconnectFlags(from_server), code, properties or Properties(PacketTypes.DISCONNECT)


def subscribe(
    codes: Iterable[int], properties: Properties | None
) -> tuple[list[ReasonCode], Properties]:
    """Return the arguments of `on_subscribe` after ``mid``: the granted QoS as reason codes."""
    return reason_codes(PacketTypes.SUBACK, codes), properties or Properties(PacketTypes.SUBACK)


def unsubscribe(
    codes: Iterable[int], properties: Properties | None
) -> tuple[list[ReasonCode], Properties]:
    """Return the arguments of `on_unsubscribe` after ``mid``: no codes before MQTT 5."""
    return reason_codes(PacketTypes.UNSUBACK, codes), properties or Properties(PacketTypes.UNSUBACK)


def publish(code: int, properties: Properties | None) -> tuple[ReasonCode, Properties]:
    """Return the arguments of `on_publish` after ``mid``."""
    return ReasonCode(PacketTypes.PUBACK, identifier=code), properties or Properties(
        PacketTypes.PUBACK
    )
