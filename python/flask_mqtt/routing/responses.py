"""The stage that publishes what a handler returns, where the sender waits for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..handlers.naming import name_of
from ..payloads.encoding import encode, is_json, with_content_type
from .lines import Lines
from .sending import core_of, send

if TYPE_CHECKING:
    from .._core import MQTTMessage
    from .counts import Counts
    from .invoke import Invoke
    from .route import Route
    from .sending import Publishing


class Responses:
    """Publishes responses, on the topic and with the correlation data that the request says."""

    def __init__(self, host: Publishing, counts: Counts, provider: Callable[[], Any]) -> None:
        """Prepare.

        Args:
            host: What publishes.
            counts: Where they are counted.
            provider: Returns what writes JSON.
        """
        self._host = host
        self._counts = counts
        self._provider = provider
        text = "The response of %s to the message on %.100r was not published on %.100r: %.200s"
        self._lines = Lines(logging.ERROR, text, "responses_lost")

    def send(self, route: Route, client: Any, message: MQTTMessage, result: Any) -> None:
        """Publish what a handler has returned, with the QoS of the request.

        Nothing is sent for None, before MQTT 5, and for a message without a response topic.

        Args:
            route: The route.
            client: The client.
            message: The request.
            result: What the handler has returned.
        """
        topic = getattr(message.properties, "ResponseTopic", None)
        if result is None or topic is None:
            return
        failure = self._publish(topic, message, result)
        if failure is None:
            self._counts.add("responses")
            return
        self._counts.add("responses_lost")
        handler, core = name_of(route.handler), core_of(client)
        values = {"response_topic": topic, "handler": handler, "error": failure}
        arguments = handler, message.topic, topic, failure
        self._lines.write(core, "response_lost", *arguments, topic=message.topic, **values)

    def _publish(self, topic: str, request: MQTTMessage, result: Any) -> str | None:
        properties: dict[str, Any] = {}
        if hasattr(request.properties, "CorrelationData"):
            properties["CorrelationData"] = request.properties.CorrelationData
        if is_json(result):
            properties = with_content_type(properties)
            try:
                result = encode(result, self._provider())
            except (TypeError, ValueError) as error:
                return str(error)
        # The sender names a topic of the broker's.
        return send(self._host, topic, result, request.qos, properties, no_prefix=True)


def with_response(invoke: Invoke, route: Route, responses: Responses) -> Invoke:
    """Return a stage that publishes what a handler returns.

    Args:
        invoke: What calls the handler.
        route: The route.
        responses: What publishes.
    """

    def call(client: Any, message: MQTTMessage, values: dict[str, Any]) -> None:
        responses.send(route, client, message, invoke(client, message, values))

    return call
