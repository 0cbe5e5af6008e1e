"""The handlers of a client as decorators: ``@client.connect_callback()`` sets `on_connect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..dispatch.callbacks import Callbacks
from ..handlers.slots import check_decorated, with_parentheses
from ..handlers.types import (
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


class Decorators(Callbacks):
    """Each method returns a decorator, which sets a handler and returns it as it is."""

    @with_parentheses("client.connect_callback()")
    def connect_callback(self) -> Callable[[ConnectT], ConnectT]:
        """Decorate a handler: it becomes `on_connect`."""

        def decorator(func: ConnectT) -> ConnectT:
            check_decorated("connect_callback()", func)
            self.on_connect = func
            return func

        return decorator

    @with_parentheses("client.connect_fail_callback()")
    def connect_fail_callback(self) -> Callable[[ConnectFailT], ConnectFailT]:
        """Decorate a handler: it becomes `on_connect_fail`."""

        def decorator(func: ConnectFailT) -> ConnectFailT:
            check_decorated("connect_fail_callback()", func)
            self.on_connect_fail = func
            return func

        return decorator

    @with_parentheses("client.disconnect_callback()")
    def disconnect_callback(self) -> Callable[[DisconnectT], DisconnectT]:
        """Decorate a handler: it becomes `on_disconnect`."""

        def decorator(func: DisconnectT) -> DisconnectT:
            check_decorated("disconnect_callback()", func)
            self.on_disconnect = func
            return func

        return decorator

    @with_parentheses("client.log_callback()")
    def log_callback(self) -> Callable[[LogT], LogT]:
        """Decorate a handler: it becomes `on_log`."""

        def decorator(func: LogT) -> LogT:
            check_decorated("log_callback()", func)
            self.on_log = func
            return func

        return decorator

    @with_parentheses("client.message_callback()")
    def message_callback(self) -> Callable[[MessageT], MessageT]:
        """Decorate a handler: it becomes `on_message`."""

        def decorator(func: MessageT) -> MessageT:
            check_decorated("message_callback()", func)
            self.on_message = func
            return func

        return decorator

    @with_parentheses("client.pre_connect_callback()")
    def pre_connect_callback(self) -> Callable[[PreConnectT], PreConnectT]:
        """Decorate a handler: it becomes `on_pre_connect`."""

        def decorator(func: PreConnectT) -> PreConnectT:
            check_decorated("pre_connect_callback()", func)
            self.on_pre_connect = func
            return func

        return decorator

    @with_parentheses("client.publish_callback()")
    def publish_callback(self) -> Callable[[PublishT], PublishT]:
        """Decorate a handler: it becomes `on_publish`."""

        def decorator(func: PublishT) -> PublishT:
            check_decorated("publish_callback()", func)
            self.on_publish = func
            return func

        return decorator

    @with_parentheses("client.socket_open_callback()")
    def socket_open_callback(self) -> Callable[[SocketT], SocketT]:
        """Decorate a handler: it becomes `on_socket_open`."""

        def decorator(func: SocketT) -> SocketT:
            check_decorated("socket_open_callback()", func)
            self.on_socket_open = func
            return func

        return decorator

    @with_parentheses("client.socket_close_callback()")
    def socket_close_callback(self) -> Callable[[SocketT], SocketT]:
        """Decorate a handler: it becomes `on_socket_close`."""

        def decorator(func: SocketT) -> SocketT:
            check_decorated("socket_close_callback()", func)
            self.on_socket_close = func
            return func

        return decorator

    @with_parentheses("client.subscribe_callback()")
    def subscribe_callback(self) -> Callable[[SubscribeT], SubscribeT]:
        """Decorate a handler: it becomes `on_subscribe`."""

        def decorator(func: SubscribeT) -> SubscribeT:
            check_decorated("subscribe_callback()", func)
            self.on_subscribe = func
            return func

        return decorator

    @with_parentheses("client.unsubscribe_callback()")
    def unsubscribe_callback(self) -> Callable[[UnsubscribeT], UnsubscribeT]:
        """Decorate a handler: it becomes `on_unsubscribe`."""

        def decorator(func: UnsubscribeT) -> UnsubscribeT:
            check_decorated("unsubscribe_callback()", func)
            self.on_unsubscribe = func
            return func

        return decorator

    @with_parentheses("client.topic_callback('home/#')")
    def topic_callback(self, sub: str) -> Callable[[MessageT], MessageT]:
        """Decorate a handler of messages on some topics, as `message_callback_add` registers it.

        Args:
            sub: A filter.

        Raises:
            ValueError: The filter is malformed (MQTT 3.1.1, section 4.7).
        """

        def decorator(func: MessageT) -> MessageT:
            self.message_callback_add(sub, func)
            return func

        return decorator
