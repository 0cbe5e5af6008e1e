"""What an extension subscribes to: `topics`, which are the application's, and how each was made."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from ..paho.constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from ..paho.enums import MQTTErrorCode
from ..paho.message import TopicQos
from ..paho.subscribeoptions import SubscribeOptions, wanted
from ..records import fields, write
from . import driving
from .prefix import TopicPrefix
from .topics import Topics

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..client import Client
    from ..client.base import Parts
    from ..dispatch.events import Events

logger = logging.getLogger("flask_mqtt")


class _Made(NamedTuple):
    """A subscription that was made with the client."""

    #: As it is in `topics`.
    entry: TopicQos
    #: How the client's method was called, besides the filter.
    arguments: dict[str, Any]
    #: The parts of the client: `reinitialise` gives it others, which do not know the subscription.
    parts: Parts | None


class Subscribed:
    """The owner of `topics`. What is edited there counts for the next connection.

    Filters are there without the prefix that they have for the client.
    """

    def __init__(self, forget: Callable[[str], None]) -> None:
        """Start without any.

        Args:
            forget: Called with a filter that the client is not to subscribe to again by itself.
        """
        self._forget = forget
        #: What the client subscribes to again by itself.
        self._made: dict[str, _Made] = {}
        self.topics: dict[str, TopicQos] = Topics(self._edited)
        #: Of the filters of the client.
        self.prefix = TopicPrefix(None)
        #: Those that never have a prefix.
        self._bare: set[str] = set()

    def replace(self, topics: dict[str, TopicQos]) -> None:
        """Have the application's own dict in the place of `topics`."""
        self.topics = topics
        self.look_through()

    def use(self, client: Client, prefix: TopicPrefix, group: str | None) -> None:
        """Have a prefix before the filters, and a group; also those that are subscribed to.

        Args:
            client: The client.
            prefix: In the place of the one before.
            group: That of shared subscriptions, or None for plain ones.

        Raises:
            ValueError: What is to be shared was subscribed to with "no local".
        """
        own = driving.parts(client)
        regroups = own is not None and own.connection.sharing.group != group
        if prefix == self.prefix and not regroups:
            return
        made = {name: self._full(name) for name in self._made}
        self.prefix = prefix
        changed = [name for name, before in made.items() if regroups or self._full(name) != before]
        for name in changed:
            client.unsubscribe(made[name])
        if own is not None:
            own.connection.sharing.use(group)
        for name in changed:
            client.subscribe(topic=self._full(name), **self._made[name].arguments)

    def subscribe(
        self,
        client: Client,
        topic: Any,
        qos: int,
        options: Any,
        properties: Any,
        *,
        no_prefix: bool,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe with a client, and remember it.

        Args:
            client: The client.
            topic: As that of `Client.subscribe`. So with the others, and what is returned.
            qos: The highest QoS wanted.
            options: In place of the QoS.
            properties: Properties of the SUBSCRIBE, or None.
            no_prefix: Whether the filters have no prefix.

        Raises:
            ValueError: A filter is subscribed to with the prefix, and now without, or the other way
                round. Otherwise as `Client.subscribe`.
        """
        further = driving.given(options=options, properties=properties)
        plain, topic = topic, topic if no_prefix else self.prefix.add_to_filters(topic)
        if self.prefix:
            self._refuse_both(plain, qos, options, no_prefix=no_prefix)
        result, mid = client.subscribe(topic=topic, qos=qos, **further)
        if result in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            for name, level, *rest in wanted(plain, qos, options):
                (self._bare.add if no_prefix else self._bare.discard)(name)
                self._record(client, TopicQos(name, level), rest, properties)
        if result == MQTT_ERR_SUCCESS:
            write(logger.debug, "Subscribing to %r, mid %s", topic, mid)
        elif result == MQTT_ERR_NO_CONN:
            write(
                logger.debug, "Not connected: %r will be subscribed on the next connection", topic
            )
        else:
            _log_refusal(client, "Subscribing to %r failed: %s", topic, result)
        return result, mid

    def _refuse_both(self, topic: Any, qos: int, options: Any, *, no_prefix: bool) -> None:
        """Raise for a filter that `topics` has already, where that stands for another one."""
        for name, *_ in wanted(topic, qos, options):
            full = name if no_prefix else self.prefix.add_to_filters(name)
            if name in self.topics and full != self._full(name):
                raise ValueError(
                    f"no_prefix={no_prefix}: {name!r} is subscribed to as {self._full(name)!r} "
                    f"already, and would be {full!r}; unsubscribe from that first"
                )

    def _full(self, name: str) -> Any:
        """Return a filter as the client has it."""
        return name if name in self._bare else self.prefix.add_to_filters(name)

    def unsubscribe(
        self,
        client: Client,
        topics: dict[str, TopicQos],
        topic: str,
        properties: Any,
        *,
        no_prefix: bool | None,
    ) -> tuple[MQTTErrorCode, int | None] | None:
        """Unsubscribe with a client, and forget the filter.

        Args:
            client: The client.
            topics: What the application has as `topics`.
            topic: The filter.
            properties: Properties of the UNSUBSCRIBE, or None.
            no_prefix: Whether the filter has no prefix; None for as it was subscribed to.

        Returns:
            As `Client.unsubscribe`; None for a filter that is not subscribed to.
        """
        if topics.get(topic) is None:
            return None
        plain, topic = topic, self._full(topic)
        if no_prefix is not None:
            asked = plain if no_prefix else self.prefix.add_to_filters(plain)
            if asked != topic:
                return None
        result, mid = client.unsubscribe(topic, **driving.given(properties=properties))
        if result in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            topics.pop(plain, None)
        if result == MQTT_ERR_SUCCESS:
            write(logger.debug, "Unsubscribing from %r, mid %s", topic, mid)
        elif result == MQTT_ERR_NO_CONN:
            text = "Not connected: %r will not be subscribed on the next connection"
            write(logger.debug, text, topic)
        else:
            _log_refusal(client, "Unsubscribing from %r failed: %s", topic, result)
        return result, mid

    def _record(self, client: Client, entry: TopicQos, options: list[Any], properties: Any) -> None:
        """Remember what was subscribed to, and how.

        Args:
            client: The client.
            entry: The filter and its QoS.
            options: No local, retain as published and retain handling.
            properties: Properties of the SUBSCRIBE, or None.
        """
        arguments: dict[str, Any] = {"qos": entry.qos}
        if any(options):
            arguments = {"options": SubscribeOptions(entry.qos, *options)}
        arguments.update(driving.given(properties=properties))
        self._made[entry.topic] = _Made(entry, arguments, driving.parts(client))
        put = self.topics.record if isinstance(self.topics, Topics) else self.topics.__setitem__
        put(entry.topic, entry)

    def look_through(self) -> list[str]:
        """Find changes in a dict that the application has assigned; return removed filters.

        Returns:
            The filters, as the client has them.
        """
        topics = self.topics
        made = list(self._made.items())
        changed = [name for name, before in made if topics.get(name) != before.entry]
        removed = [self._full(name) for name in changed if name not in topics]
        for name in changed:
            self._edited(name)
        return removed

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
        parts = driving.parts(client)
        for name, entry in list(self.topics.items()):
            made = self._made.get(name)
            if made_again and made is not None and made.parts is parts:
                continue
            try:
                topic, qos = entry
                arguments = {"qos": qos} if made is None else made.arguments
                with contextlib.nullcontext() if events is None else events.in_on_connect():
                    if name not in self._bare:
                        topic = self.prefix.add_to_filters(topic)
                    client.subscribe(topic=topic, **arguments)
                if made is not None:
                    self._made[name] = made._replace(parts=parts)
            except Exception as error:  # noqa: BLE001 - an entry of the application's may be anything
                write(logger.error, "mqtt.topics[%r] = %r: %s", name, entry, error)

    def _edited(self, name: str) -> None:
        full = self._full(name)
        if name not in self.topics:
            self._bare.discard(name)
        if self._made.pop(name, None) is not None:
            self._forget(full)


def _log_refusal(client: Client, text: str, topic: Any, rc: int) -> None:
    extra = fields(driving.core_of(client), "call_refused", topic=topic, rc=int(rc))
    write(logger.error, text, topic, MQTTErrorCode(rc).name, extra=extra)
