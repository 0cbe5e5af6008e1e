"""The channels and operations of the document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from .servers import BINDING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..payloads import Decoder
    from ..payloads.shape import Definitions

_NO_NAME = re.compile(r"\W+")


class Channels:
    """Collects them. What has the same address is one channel."""

    def __init__(self, definitions: Definitions) -> None:
        """Start without any.

        Args:
            definitions: Where the schemas of payloads are put.
        """
        self._definitions = definitions
        self.channels: dict[str, dict[str, Any]] = {}
        self.operations: dict[str, dict[str, Any]] = {}
        self._of_address: dict[tuple[str | None, tuple[str, ...]], str] = {}

    def channel(
        self,
        address: str | None,
        parameters: Mapping[str, dict[str, Any]],
        servers: Sequence[str],
        name: str = "",
    ) -> str:
        """Return the name of a channel, which is made if it is not there yet.

        Args:
            address: The topic, with parameters in braces; None where a message says it.
            parameters: What there is to say of these.
            servers: The names of those that have the topic; none for all.
            name: What to call it; by default it follows from the address.
        """
        key = (address, tuple(servers)) if address is not None else (name, ())
        if key in self._of_address:
            return self._of_address[key]
        free = _free(name or _NO_NAME.sub("_", address or "").strip("_") or "topic", self.channels)
        made: dict[str, Any] = {"address": address, "messages": {}}
        if parameters:
            made["parameters"] = dict(parameters)
        if servers:
            made["servers"] = [{"$ref": f"#/servers/{server}"} for server in servers]
        self.channels[free] = made
        self._of_address[key] = free
        return free

    def message(self, channel: str, decoder: Decoder | None) -> dict[str, str]:
        """Return a reference to a message of a channel.

        Args:
            channel: The name of the channel.
            decoder: That of the payload; None where the document cannot say what it is.
        """
        name = "message" if decoder is None else _NO_NAME.sub("_", decoder.name).strip("_")
        message: dict[str, Any] = {"name": name}
        if decoder is not None:
            message["contentType"] = "application/json"
            message["payload"] = decoder.schema(self._definitions)
        messages = self.channels[channel]["messages"]
        name = next((old for old, one in messages.items() if one == message), _free(name, messages))
        messages[name] = message
        return {"$ref": f"#/channels/{channel}/messages/{name}"}

    def operation(
        self,
        name: str,
        action: str,
        channel: str,
        decoder: Decoder | None,
        *,
        binding: Mapping[str, Any] | None = None,
        **further: Any,
    ) -> str:
        """Add an operation, and return its name.

        Args:
            name: What to call it. Another one of that name has a number.
            action: ``receive`` or ``send``.
            channel: The name of its channel.
            decoder: As that of `message`.
            binding: What there is to say for MQTT: the QoS, for example.
            further: What else it has.
        """
        name = _free(_NO_NAME.sub("_", name).strip("_") or channel, self.operations)
        made: dict[str, Any] = {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [self.message(channel, decoder)],
            **further,
        }
        if binding:
            made["bindings"] = {"mqtt": {**binding, "bindingVersion": BINDING}}
        self.operations[name] = made
        return name


def _free(name: str, taken: Mapping[str, Any]) -> str:
    free = name
    number = 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free
