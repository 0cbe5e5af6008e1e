"""A stand-in for the dynamic security plugin, and its responses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .scripted import ScriptedBroker

if TYPE_CHECKING:
    from collections.abc import Callable

    from .packets import Packet

REQUESTS = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{REQUESTS}/response"


class FakePlugin(ScriptedBroker):
    """A broker whose plugin responds as a test says, for what the real one cannot be made to do."""

    def __init__(self, respond: Callable[[dict[str, Any]], Any] | None, **options: Any) -> None:
        self.respond = respond
        super().__init__(hook=self._respond, **options)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The commands that came."""
        publishes = [packet for packet in self.of("PUBLISH") if packet.topic == REQUESTS]
        return [
            command for packet in publishes for command in json.loads(packet.payload)["commands"]
        ]

    def _respond(self, _broker: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind == "PUBLISH" and packet.topic == REQUESTS and self.respond is not None:
            answers = [self.respond(command) for command in json.loads(packet.payload)["commands"]]
            self.tell({"responses": [answer for answer in answers if answer is not None]})
        return False

    def tell(self, response: Any) -> None:
        """Send a response to the newest connection."""
        self.publish(RESPONSES, json.dumps(response).encode())


def response_to(command: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "command": command["command"],
        "correlationData": command["correlationData"],
        **values,
    }


NAMES = {"roles": ["a"], "totalCount": 1}


def of_names(command: dict[str, Any]) -> dict[str, Any]:
    return response_to(command, data=NAMES)
