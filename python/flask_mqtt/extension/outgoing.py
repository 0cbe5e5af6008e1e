"""What `publish` changes about a message before the client gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..paho.constants import MQTTv5
from ..payloads.encoding import encode, is_json, provider_of, with_content_type
from .prefix import TopicPrefix

if TYPE_CHECKING:
    from ..config import Config

#: Payloads that are sent as they are.
_PLAIN = frozenset({str, bytes, bytearray, int, float, type(None)})


class Outgoing:
    """Makes of what the application publishes what the client is to send."""

    def __init__(self, prefix: TopicPrefix, provider: Any, *, has_properties: bool) -> None:
        """Take what is to be done.

        Args:
            prefix: What goes before topics.
            provider: What writes dicts, lists, dataclasses and models as JSON; None for nothing.
            has_properties: Whether messages have properties, and so a content type.
        """
        self._prefix = prefix
        self._provider = provider
        self._has_properties = has_properties

    def topic(self, topic: Any, *, no_prefix: bool) -> Any:
        """Return a topic as it is sent."""
        return topic if no_prefix else self._prefix.add(topic)

    def body(self, payload: Any, properties: Any) -> tuple[Any, Any]:
        """Return a payload and the properties as they are sent.

        Raises:
            TypeError: A part of the payload cannot be written as JSON.
            ValueError: The payload cannot be written, since it contains itself for example.
        """
        if self._provider is None or type(payload) in _PLAIN or not is_json(payload):
            return payload, properties
        if self._has_properties:
            properties = with_content_type(properties)
        return encode(payload, self._provider), properties


def outgoing(values: Config, app: Any) -> Outgoing | None:
    """Return what is to be done, or None if messages are sent as they are given.

    Args:
        values: The configuration.
        app: The application, which says how JSON is written.
    """
    prefix = TopicPrefix(values.prefix)
    if not prefix and not values.json:
        return None
    provider = provider_of(app) if values.json else None
    return Outgoing(prefix, provider, has_properties=values.protocol_version == MQTTv5)
