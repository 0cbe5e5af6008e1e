"""The handlers of a client: the ``on_*`` attributes, those of topics, and what they get."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast, overload

from .._core import validate_filter
from ..handlers.slots import MESSAGE, SLOTS, Handler, check_handler
from ..paho.enums import CallbackAPIVersion
from .base import Base, parts_of
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

if TYPE_CHECKING:
    from typing_extensions import Self

CallbackT = TypeVar("CallbackT")


class HandlerAttribute(Generic[CallbackT]):
    """An attribute that holds a handler, which the registry of its client has."""

    def __init__(self, doc: str) -> None:
        """Describe it.

        Args:
            doc: How handlers are called, and when: the attribute's docstring.
        """
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        """Take the name."""
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: Base, owner: type) -> CallbackT | None: ...
    def __get__(self, instance: Base | None, owner: type) -> Self | CallbackT | None:
        """Return the handler as it was set."""
        if instance is None:
            return self
        return cast("CallbackT | None", parts_of(instance).registry.shown(self._name))

    def __set__(self, instance: Base, handler: CallbackT | None) -> None:
        """Look at a handler, and keep it."""
        parts = parts_of(instance)
        parts.registry.set(self._name, cast("Handler | None", handler))
        parts.connection.handlers_changed()


class Handlers(Base):
    """The ``on_*`` attributes, and what every handler gets.

    With MQTT 5 there is more to each: the arguments in brackets are for handlers that take them,
    and None before.
    """

    on_connect = HandlerAttribute[CallbackOnConnect](
        "Called as ``(client, userdata, flags, rc[, properties])``, once for every CONNACK. "
        "Registered after the CONNACK of the present connection came, it is called for that "
        "one then."
    )
    on_connect_fail = HandlerAttribute[CallbackOnConnectFail](
        "Called as ``(client, userdata)`` when an attempt failed before anything could be "
        "sent to the broker, once for each broker that was tried; not where `connect` or "
        "`reconnect` raises."
    )
    on_pre_connect = HandlerAttribute[CallbackOnPreConnect](
        "Called as ``(client, userdata)`` before every attempt to connect: in the thread that "
        "calls `connect` or `reconnect`, and on the dispatcher's for all other attempts. What "
        "it sets on the client holds for that attempt."
    )
    on_disconnect = HandlerAttribute[CallbackOnDisconnect](
        "Called as ``(client, userdata, rc[, properties])``, or with what it can take, when a "
        "connection ends."
    )
    on_subscribe = HandlerAttribute[CallbackOnSubscribe](
        "Called as ``(client, userdata, mid, granted_qos[, properties])``: a tuple, with 128 "
        "and above for a refusal."
    )
    on_unsubscribe = HandlerAttribute[CallbackOnUnsubscribe](
        "Called as ``(client, userdata, mid[, properties[, reasoncodes]])``."
    )
    on_publish = HandlerAttribute[CallbackOnPublish](
        "Called as ``(client, userdata, mid[, properties[, reasoncode]])`` when QoS 0 is "
        "written, QoS 1 and 2 acknowledged."
    )
    on_log = HandlerAttribute[CallbackOnLog](
        "Called as ``(client, userdata, level, buf)`` for every packet, with paho's texts."
    )
    on_socket_open = HandlerAttribute[CallbackOnSocket](
        "Called as ``(client, userdata, sock)`` when there is a way to the broker, with a "
        "``socket.socket`` of it for ``setsockopt`` and the like: by `connect` before it returns, "
        "and on the dispatcher's thread before `on_connect` for automatic attempts. The "
        "connection's thread reads and writes, and nobody else may."
    )
    on_socket_close = HandlerAttribute[CallbackOnSocket](
        "Called as ``(client, userdata, sock)`` with the same object when that connection is "
        "over, before `on_disconnect`. The object is closed then."
    )

    @property
    def on_message(self) -> CallbackOnMessage | None:
        """Called as ``(client, userdata, message)`` for messages that no topic's handler takes."""
        return self._parts.dispatcher.on_message

    @on_message.setter
    def on_message(self, handler: CallbackOnMessage | None) -> None:
        if handler is not None:
            check_handler("on_message", handler, MESSAGE, [3])
        self._parts.holder.notice_fork()
        self._parts.dispatcher.on_message = handler

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments handlers get."""
        return self._parts.registry.version

    @property
    def logger(self) -> logging.Logger | None:
        """The logger that gets what `on_log` gets, or None."""
        return self._parts.registry.logger

    @logger.setter
    def logger(self, value: logging.Logger | None) -> None:
        if value is not None and not callable(getattr(value, "log", None)):
            raise TypeError(f"logger {value!r}: it must be a logging.Logger, or None")
        self._parts.registry.logger = value
        self._parts.connection.handlers_changed()

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Write what `on_log` gets to a logger.

        Args:
            logger: By default the one that there is already, else ``flask_mqtt``.
        """
        self.logger = logger or self.logger or logging.getLogger("flask_mqtt")

    def disable_logger(self) -> None:
        """Undo `enable_logger`. `on_log` is called as before."""
        self.logger = None

    def message_callback_add(self, sub: str, callback: CallbackOnMessage) -> None:
        """Call a handler for messages whose topic matches a filter. The last one for a filter wins.

        Args:
            sub: A filter. Of a shared subscription, ``$share/<group>/<filter>``, only the filter is
                matched: its messages have ordinary topics (MQTT 5.0, section 4.8.2).
            callback: Called as ``(client, userdata, message)``.

        Raises:
            TypeError: The handler is no function.
            ValueError: The filter is malformed (MQTT 3.1.1, section 4.7), or there is no handler.
        """
        check_route(sub, callback)
        self._parts.holder.notice_fork()
        self._parts.dispatcher.add_route(sub, callback)

    def message_callback_remove(self, sub: str) -> None:
        """Forget the handler of a filter, if it has one.

        Args:
            sub: The filter, as it was added.

        Raises:
            ValueError: The filter is None.
        """
        if sub is None:
            raise ValueError("sub is None: name the filter whose handler is to be removed")
        if not isinstance(sub, str):
            raise TypeError(f"sub {sub!r}: it must be the filter that was added")
        self._parts.holder.notice_fork()
        for full in (False, True):
            self._parts.dispatcher.remove_route(sub, full=full)

    def user_data_set(self, userdata: Any) -> None:
        """Set what every handler gets as ``userdata``."""
        self._parts.dispatcher.userdata = userdata

    def user_data_get(self) -> Any:
        """Return what every handler gets as ``userdata``."""
        return self._parts.dispatcher.userdata


def check_route(sub: Any, callback: Any) -> None:
    """Look at a handler of messages, and the filter of these.

    Raises:
        TypeError: As `Client.message_callback_add`.
        ValueError: As that.
    """
    if callback is None or sub is None:
        raise ValueError("a handler for a topic needs both the filter and the handler")
    check_handler("callback", callback, MESSAGE, [3])
    if not isinstance(sub, str):
        raise TypeError(f"sub {sub!r}: it must be a filter, as in 'home/#'")
    validate_filter(sub)


#: What the attributes are in a class that has no method in the place of one.
ATTRIBUTES = {name: vars(Handlers)[name] for name in (*SLOTS, "on_message")}
