"""The handlers of a client as decorators: ``@client.connect_callback()`` sets `on_connect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..handlers.slots import check_decorated, with_parentheses
from .base import Base
from .types import (
    CallbackOnConnect,
    CallbackOnConnectFail,
    CallbackOnDisconnect,
    CallbackOnLog,
    CallbackOnMessage,
    CallbackOnPreConnect,
    CallbackOnPublish,
    CallbackOnSocket,
    CallbackOnSubscribe,
    CallbackOnUnsubscribe,
)

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
ConnectT = TypeVar("ConnectT", bound="CallbackOnConnect")
ConnectFailT = TypeVar("ConnectFailT", bound="CallbackOnConnectFail")
DisconnectT = TypeVar("DisconnectT", bound="CallbackOnDisconnect")
LogT = TypeVar("LogT", bound="CallbackOnLog")
MessageT = TypeVar("MessageT", bound="CallbackOnMessage")
PreConnectT = TypeVar("PreConnectT", bound="CallbackOnPreConnect")
PublishT = TypeVar("PublishT", bound="CallbackOnPublish")
SocketT = TypeVar("SocketT", bound="CallbackOnSocket")
SubscribeT = TypeVar("SubscribeT", bound="CallbackOnSubscribe")
UnsubscribeT = TypeVar("UnsubscribeT", bound="CallbackOnUnsubscribe")


class Decorators(Base):
    """Each method returns a decorator, which sets a handler and returns it as it is."""

    @with_parentheses("client.connect_callback()")
    def connect_callback(self) -> Callable[[ConnectT], ConnectT]:
        """Decorate a handler: it becomes `on_connect`."""
        return _decorator(self, "connect_callback()", "on_connect")

    @with_parentheses("client.connect_fail_callback()")
    def connect_fail_callback(self) -> Callable[[ConnectFailT], ConnectFailT]:
        """Decorate a handler: it becomes `on_connect_fail`."""
        return _decorator(self, "connect_fail_callback()", "on_connect_fail")

    @with_parentheses("client.disconnect_callback()")
    def disconnect_callback(self) -> Callable[[DisconnectT], DisconnectT]:
        """Decorate a handler: it becomes `on_disconnect`."""
        return _decorator(self, "disconnect_callback()", "on_disconnect")

    @with_parentheses("client.log_callback()")
    def log_callback(self) -> Callable[[LogT], LogT]:
        """Decorate a handler: it becomes `on_log`."""
        return _decorator(self, "log_callback()", "on_log")

    @with_parentheses("client.message_callback()")
    def message_callback(self) -> Callable[[MessageT], MessageT]:
        """Decorate a handler: it becomes `on_message`."""
        return _decorator(self, "message_callback()", "on_message")

    @with_parentheses("client.pre_connect_callback()")
    def pre_connect_callback(self) -> Callable[[PreConnectT], PreConnectT]:
        """Decorate a handler: it becomes `on_pre_connect`."""
        return _decorator(self, "pre_connect_callback()", "on_pre_connect")

    @with_parentheses("client.publish_callback()")
    def publish_callback(self) -> Callable[[PublishT], PublishT]:
        """Decorate a handler: it becomes `on_publish`."""
        return _decorator(self, "publish_callback()", "on_publish")

    @with_parentheses("client.socket_open_callback()")
    def socket_open_callback(self) -> Callable[[SocketT], SocketT]:
        """Decorate a handler: it becomes `on_socket_open`."""
        return _decorator(self, "socket_open_callback()", "on_socket_open")

    @with_parentheses("client.socket_close_callback()")
    def socket_close_callback(self) -> Callable[[SocketT], SocketT]:
        """Decorate a handler: it becomes `on_socket_close`."""
        return _decorator(self, "socket_close_callback()", "on_socket_close")

    @with_parentheses("client.subscribe_callback()")
    def subscribe_callback(self) -> Callable[[SubscribeT], SubscribeT]:
        """Decorate a handler: it becomes `on_subscribe`."""
        return _decorator(self, "subscribe_callback()", "on_subscribe")

    @with_parentheses("client.unsubscribe_callback()")
    def unsubscribe_callback(self) -> Callable[[UnsubscribeT], UnsubscribeT]:
        """Decorate a handler: it becomes `on_unsubscribe`."""
        return _decorator(self, "unsubscribe_callback()", "on_unsubscribe")

    @with_parentheses("client.topic_callback('home/#')")
    def topic_callback(self, sub: str) -> Callable[[MessageT], MessageT]:
        """Decorate a handler of messages on some topics, as `message_callback_add` registers it.

        Args:
            sub: A filter.

        Raises:
            ValueError: The filter is malformed (MQTT 3.1.1, section 4.7).
        """

        def decorator(func: MessageT) -> MessageT:
            client: Any = self
            client.message_callback_add(sub, func)
            return func

        return decorator


def _decorator(client: Base, used_as: str, attribute: str) -> Callable[[HandlerT], HandlerT]:
    def decorator(func: HandlerT) -> HandlerT:
        check_decorated(used_as, func)
        setattr(client, attribute, func)
        return func

    return decorator
