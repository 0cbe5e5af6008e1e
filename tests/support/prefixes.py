"""What tests of ``MQTT_PREFIX`` look at: filters on the wire, and topics that handlers get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_mqtt import MQTTMessage

    from .packets import Packet
    from .scripted import ScriptedBroker


def filters(broker: ScriptedBroker, kind: str = "SUBSCRIBE") -> list[str]:
    """Return the filters of all packets of a kind, in their order."""
    found = [packet.filters for packet in broker.of(kind)]
    return [item if isinstance(item, str) else item[0] for one in found for item in one]


def note(seen: list[Any], name: str = "") -> Callable[..., None]:
    """Return a handler that adds each topic to a list, with its own name if it has one."""

    def handler(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
        seen.append((name, message.topic) if name else message.topic)

    return handler


def names(packet: Packet, kind: str) -> list[str]:
    """Return the filters of one packet of this kind; none if it is of another."""
    return [item[0] for item in packet.filters] if packet.kind == kind else []
