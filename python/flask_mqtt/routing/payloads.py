"""The stage that decodes the payload for the parameter that wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..payloads import InvalidPayload

if TYPE_CHECKING:
    from .._core import MQTTMessage
    from .invalid import InvalidMessages
    from .invoke import Invoke
    from .route import Route
    from .signature import Payload


def with_payload(
    invoke: Invoke, payload: Payload, route: Route, invalid: InvalidMessages
) -> Invoke:
    """Return a stage that puts the decoded payload among the values.

    Args:
        invoke: What is called with them. It is not for a message whose payload is invalid.
        payload: The parameter, and its decoder.
        route: The route.
        invalid: What takes invalid messages.
    """
    name, decoder = payload

    def call(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        try:
            values[name] = decoder.decode(message.payload)
        except InvalidPayload as error:
            return invalid.take(route, client, message, error)
        return invoke(client, message, values)

    return call
