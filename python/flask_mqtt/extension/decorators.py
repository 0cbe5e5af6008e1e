"""The handlers of the extension as decorators: ``@mqtt.on_connect()`` and so on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..client import Client
from ..handlers.slots import check_decorated, with_parentheses
from . import driving

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Decorators:
    """Each method returns a decorator, which sets a handler and returns it as it is."""

    client: Client
    #: Of the handlers that the extension calls: they may be assigned too.
    _connect_handler: Callable[..., Any] | None
    _disconnect_handler: Callable[..., Any] | None

    @with_parentheses("mqtt.on_connect()")
    def on_connect(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, flags, rc)`` of the broker's answer to CONNECT.

        It runs once per connection, also where it is registered after the connection was made.
        With MQTT 5, a handler that takes one parameter more gets the properties. So it is with the
        other handlers too.
        """
        return self.__rs_registrar("on_connect")

    @with_parentheses("mqtt.on_disconnect()")
    def on_disconnect(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, rc)``, or ``()``, of the end of a connection."""
        return self.__rs_registrar("on_disconnect")

    @with_parentheses("mqtt.on_message()")
    def on_message(self, topic: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, message)`` of messages.

        Args:
            topic: A filter: the same as :meth:`on_topic`. Without one, the handler gets every
                message that no handler of a topic takes.

        Raises:
            TypeError: The decorator was used without parentheses.
            ValueError: The filter is malformed.
        """
        if topic is None:
            return self.__rs_registrar("on_message")
        return self.on_topic(topic)

    @with_parentheses("mqtt.on_topic('home/#')")
    def on_topic(self, topic: str, *, no_prefix: bool = False) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, message)`` of messages on matching topics.

        It does not subscribe. Where several filters match, every handler runs, the exact ones
        first.

        Args:
            topic: A filter, of topics without ``MQTT_PREFIX``.
            no_prefix: The filter is one of full topics, and the handler gets the full topic.

        Raises:
            TypeError: The filter is missing.
            ValueError: The filter is malformed.
        """
        if not isinstance(topic, str):
            raise TypeError("on_topic needs a filter: @mqtt.on_topic('home/+')")

        def decorator(handler: HandlerT) -> HandlerT:
            driving.set_handler(self.client, topic, handler, no_prefix=no_prefix)
            return handler

        return decorator

    @with_parentheses("mqtt.on_publish()")
    def on_publish(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid)`` of messages that were sent.

        QoS 0 counts as sent when it is written, QoS 1 and 2 when the broker has acknowledged it.
        """
        return self.__rs_registrar("on_publish")

    @with_parentheses("mqtt.on_subscribe()")
    def on_subscribe(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid, granted_qos)`` of answers to SUBSCRIBE."""
        return self.__rs_registrar("on_subscribe")

    @with_parentheses("mqtt.on_unsubscribe()")
    def on_unsubscribe(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid)`` of answers to UNSUBSCRIBE."""
        return self.__rs_registrar("on_unsubscribe")

    @with_parentheses("mqtt.on_log()")
    def on_log(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, level, buf)`` of a line for every packet."""
        return self.__rs_registrar("on_log")

    def __rs_registrar(self, name: str) -> Callable[[HandlerT], HandlerT]:
        own = {"on_connect": "_connect_handler", "on_disconnect": "_disconnect_handler"}

        def decorator(handler: HandlerT) -> HandlerT:
            check_decorated(name, handler)
            if name in own:
                setattr(self, own[name], handler)
            else:
                setattr(self.client, name, handler)
            return handler

        return decorator
