"""What the extension subscribes to: `subscribe`, `unsubscribe` and ``topics``."""

from __future__ import annotations

from typing import Any

from ..paho.enums import MQTTErrorCode
from ..paho.message import TopicQos
from . import driving
from .decorators import Decorators
from .subscribed import Subscribed


class Subscribing(Decorators):
    """The methods for subscriptions, and the attribute that has them."""

    def __init__(self) -> None:
        """Start without any."""
        self._rs_subscribed = Subscribed(self.__rs_forget)
        if type(self).topics is not Subscribing.topics:
            # A subclass has the name in its class.
            self.topics = self._rs_subscribed.topics

    @property
    def topics(self) -> dict[str, TopicQos]:
        """What is subscribed to, without ``MQTT_PREFIX``: a dict of ``TopicQos(topic, qos)``.

        It is the application's own: an entry that it puts in, takes out or changes counts for the
        next connection, and so does another dict in its place.
        """
        return self._rs_subscribed.topics

    @topics.setter
    def topics(self, value: dict[str, TopicQos]) -> None:
        self._rs_subscribed.replace(value)

    def __rs_forget(self, name: str) -> None:
        parts = driving.parts(self.client)
        if parts is not None:
            parts.connection.forget([name])

    def subscribe(
        self,
        topic: Any,
        qos: int = 0,
        options: Any = None,
        properties: Any = None,
        *,
        no_prefix: bool = False,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe, now and again after every reconnect.

        Args:
            topic: A filter, a tuple ``(filter, qos)``, or a list of either. With MQTT 5
                :class:`SubscribeOptions` may stand in place of a QoS.
            qos: The highest QoS wanted, 0, 1 or 2; for a single filter.
            options: For MQTT 5, in place of the QoS: :class:`SubscribeOptions`.
            properties: For MQTT 5: a :class:`Properties` object or a dict.
            no_prefix: Leave out ``MQTT_PREFIX``.

        Returns:
            ``(rc, mid)``. Without a connection ``(MQTT_ERR_NO_CONN, None)``: the subscription is
            made on the next one. Where all 65,535 packet identifiers are in use,
            ``(MQTT_ERR_SUCCESS, None)``: it is made as soon as one is free.

        Raises:
            TypeError: A QoS, an option or a property has the wrong type.
            ValueError: A filter, QoS or property is not allowed (MQTT 3.1.1, section 4.7), or there
                are options or properties before MQTT 5. With ``MQTT_PREFIX``: the filter is
                subscribed to already, once with the prefix and once without.
        """
        return self._rs_subscribed.subscribe(
            self.client, topic, qos, options, properties, no_prefix=no_prefix
        )

    def unsubscribe(
        self, topic: str, properties: Any = None, *, no_prefix: bool | None = None
    ) -> tuple[MQTTErrorCode, int | None] | None:
        """Unsubscribe from a filter.

        Args:
            topic: The filter, as it was subscribed to.
            properties: For MQTT 5: a :class:`Properties` object or a dict.
            no_prefix: Whether it was subscribed to without ``MQTT_PREFIX``; by default either.

        Returns:
            ``(rc, mid)``; None for a filter that is not subscribed to. Without a connection
            ``(MQTT_ERR_NO_CONN, None)``: the UNSUBSCRIBE is sent on the next connection, if the
            broker has kept the session. Where all packet identifiers are in use,
            ``(MQTT_ERR_SUCCESS, None)``: it is sent as soon as one is free.
        """
        return self._rs_subscribed.unsubscribe(
            self.client, self.topics, topic, properties, no_prefix=no_prefix
        )

    def unsubscribe_all(self) -> bool:
        """Unsubscribe from every filter.

        Returns:
            Whether none is left in ``topics``.
        """
        for topic in list(self.topics):
            self.unsubscribe(topic)
        return not self.topics
