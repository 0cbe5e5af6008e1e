"""What an extension subscribes to: `topics`, which are the application's, and how each was made."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from ..paho.constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from ..paho.enums import MQTTErrorCode
from ..paho.message import TopicQos
from ..paho.subscribeoptions import SubscribeOptions, wanted
from ..records import fields, write
from . import driving
from .topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import Client
    from ..dispatch.events import Events

logger = logging.getLogger("flask_mqtt")


class Subscribed:
    """The owner of `topics`. What is edited there counts for the next connection."""

    def __init__(self, forget: Callable[[str], None]) -> None:
        """Start without any.

        Args:
            forget: Called with a filter that the client is not to subscribe to again by itself.
        """
        self._forget = forget
        #: What the client subscribes to again by itself: as it is in `topics`, and the arguments.
        self._made: dict[str, tuple[TopicQos, dict[str, Any]]] = {}
        self.topics: dict[str, TopicQos] = Topics(self._edited)

    def replace(self, topics: dict[str, TopicQos]) -> None:
        """Have the application's own dict in the place of `topics`."""
        self.topics = topics
        self.look_through()

    def subscribe(
        self, client: Client, topic: Any, qos: int, options: Any, properties: Any
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe with a client, and remember it.

        Args:
            client: The client.
            topic: As that of `Client.subscribe`. So with the others, and what is returned.
            qos: The highest QoS wanted.
            options: In place of the QoS.
            properties: Properties of the SUBSCRIBE, or None.
        """
        further = driving.given(options=options, properties=properties)
        result, mid = client.subscribe(topic=topic, qos=qos, **further)
        if result in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            for name, level, *rest in wanted(topic, qos, options):
                self._record(TopicQos(name, level), rest, properties)
        if result == MQTT_ERR_SUCCESS:
            write(logger.debug, "Subscribing to %r, mid %s", topic, mid)
        elif result == MQTT_ERR_NO_CONN:
            write(logger.info, "Not connected: %r will be subscribed on the next connection", topic)
        else:
            _log_refusal(client, "Subscribing to %r failed: %s", topic, result)
        return result, mid

    def unsubscribe(
        self, client: Client, topics: dict[str, TopicQos], topic: str, properties: Any
    ) -> tuple[MQTTErrorCode, int | None] | None:
        """Unsubscribe with a client, and forget the filter.

        Args:
            client: The client.
            topics: What the application has as `topics`.
            topic: The filter.
            properties: Properties of the UNSUBSCRIBE, or None.

        Returns:
            As `Client.unsubscribe`; None for a filter that is not subscribed to.
        """
        if topics.get(topic) is None:
            return None
        result, mid = client.unsubscribe(topic, **driving.given(properties=properties))
        if result in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            topics.pop(topic, None)
        if result == MQTT_ERR_SUCCESS:
            write(logger.debug, "Unsubscribing from %r, mid %s", topic, mid)
        elif result == MQTT_ERR_NO_CONN:
            text = "Not connected: %r will not be subscribed on the next connection"
            write(logger.info, text, topic)
        else:
            _log_refusal(client, "Unsubscribing from %r failed: %s", topic, result)
        return result, mid

    def _record(self, entry: TopicQos, options: list[Any], properties: Any) -> None:
        """Remember what was subscribed to, and how.

        Args:
            entry: The filter and its QoS.
            options: No local, retain as published and retain handling.
            properties: Properties of the SUBSCRIBE, or None.
        """
        arguments: dict[str, Any] = {"qos": entry.qos}
        if any(options):
            arguments = {"options": SubscribeOptions(entry.qos, *options)}
        arguments.update(driving.given(properties=properties))
        self._made[entry.topic] = (entry, arguments)
        put = self.topics.record if isinstance(self.topics, Topics) else self.topics.__setitem__
        put(entry.topic, entry)

    def look_through(self) -> list[str]:
        """Find changes in a dict that the application has assigned; return removed topics."""
        topics = self.topics
        made = list(self._made.items())
        changed = [name for name, (entry, _) in made if topics.get(name) != entry]
        for name in changed:
            self._edited(name)
        return [name for name in changed if name not in topics]

    def subscribe_again(self, client: Client, events: Events | None) -> None:
        """Subscribe to all topics, but for what the client has subscribed to again itself.

        Args:
            client: The client.
            events: Those of the client where it has just said that it is connected.
        """
        for name in self.look_through():
            # The application removed it from a dict of its own since the last connection ended.
            client.unsubscribe(name)
        made_again = events is not None and driving.subscribes_itself(client)
        for name, entry in list(self.topics.items()):
            if made_again and name in self._made:
                continue
            try:
                topic, qos = entry
                _, arguments = self._made.get(name, (entry, {"qos": qos}))
                with contextlib.nullcontext() if events is None else events.in_on_connect():
                    client.subscribe(topic=topic, **arguments)
            except Exception as error:  # noqa: BLE001 - an entry of the application's may be anything
                write(logger.error, "mqtt.topics[%r] = %r: %s", name, entry, error)

    def _edited(self, name: str) -> None:
        if self._made.pop(name, None) is not None:
            self._forget(name)


def _log_refusal(client: Client, text: str, topic: Any, rc: int) -> None:
    extra = fields(driving.core_of(client), "call_refused", topic=topic, rc=int(rc))
    write(logger.error, text, topic, MQTTErrorCode(rc).name, extra=extra)
