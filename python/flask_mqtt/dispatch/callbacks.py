"""The handlers of a client, and what happens to each event on its way to them."""

from __future__ import annotations

import inspect
import logging
import threading
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from flask import Flask

from .. import _core
from .._core import Properties
from ..discretion import from_outside
from ..guards import goes_on
from ..handlers import signatures
from ..handlers.caller import NOT_CALLED
from ..handlers.naming import name_of
from ..handlers.scope import is_handler
from ..handlers.slots import MESSAGE, Fitted, Handler, HandlerSlot, check_handler
from ..handlers.sockets import Sockets
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
from ..paho.constants import LOGGING_LEVEL, MQTT_ERR_SUCCESS
from ..paho.enums import CallbackAPIVersion, LogLevel, MQTTErrorCode
from ..paho.reasoncodes import PacketTypes, ReasonCode, reason_codes
from ..records import fields, write
from .dispatcher import Dispatcher

logger = logging.getLogger("flask_mqtt")


class Callbacks:
    """The ``on_*`` attributes, and the events that lead to them.

    The events arrive on the dispatcher's thread, one at a time; with several threads for handlers,
    all but the messages do. With MQTT 5 there is more to each: the arguments in brackets are for
    handlers that take them, and None before.
    """

    on_connect = HandlerSlot[CallbackOnConnect](
        "Called as ``(client, userdata, flags, rc[, properties])``, once for every CONNACK. "
        "Registered after the CONNACK of the present connection came, it is called for that "
        "one then.",
        "client, userdata, flags, rc",
        more="properties",
        version_2="client, userdata, flags, reason_code, properties",
    )
    on_connect_fail = HandlerSlot[CallbackOnConnectFail](
        "Called as ``(client, userdata)`` when an attempt failed before anything could be "
        "sent to the broker, once for each broker that was tried; not where `connect` or "
        "`reconnect` raises.",
        "client, userdata",
    )
    on_pre_connect = HandlerSlot[CallbackOnPreConnect](
        "Called as ``(client, userdata)`` before every attempt to connect: in the thread that "
        "calls `connect` or `reconnect`, and on the dispatcher's for all other attempts. What "
        "it sets on the client holds for that attempt.",
        "client, userdata",
    )
    on_disconnect = HandlerSlot[CallbackOnDisconnect](
        "Called as ``(client, userdata, rc[, properties])``, or with what it can take, when a "
        "connection ends.",
        "client, userdata, rc",
        more="properties",
        version_2="client, userdata, flags, reason_code, properties",
        or_none=True,
    )
    on_subscribe = HandlerSlot[CallbackOnSubscribe](
        "Called as ``(client, userdata, mid, granted_qos[, properties])``: a tuple, with 128 "
        "and above for a refusal.",
        "client, userdata, mid, granted_qos",
        more="properties",
        version_2="client, userdata, mid, reason_codes, properties",
    )
    on_unsubscribe = HandlerSlot[CallbackOnUnsubscribe](
        "Called as ``(client, userdata, mid[, properties[, reasoncodes]])``.",
        "client, userdata, mid",
        more="properties, reasoncodes",
        version_2="client, userdata, mid, reason_codes, properties",
    )
    on_publish = HandlerSlot[CallbackOnPublish](
        "Called as ``(client, userdata, mid[, properties[, reasoncode]])`` when QoS 0 is "
        "written, QoS 1 and 2 acknowledged.",
        "client, userdata, mid",
        more="properties, reasoncode",
        version_2="client, userdata, mid, reason_code, properties",
        more_for_all=False,
    )
    on_log = HandlerSlot[CallbackOnLog](
        "Called as ``(client, userdata, level, buf)`` for every packet, with paho's texts.",
        "client, userdata, level, buf",
    )

    on_socket_open = HandlerSlot[CallbackOnSocket](
        "Called as ``(client, userdata, sock)`` when there is a way to the broker, with a "
        "``socket.socket`` of it for ``setsockopt`` and the like: by `connect` before it returns, "
        "and on the dispatcher's thread before `on_connect` for automatic attempts. The "
        "connection's thread reads and writes, and nobody else may.",
        "client, userdata, sock",
    )
    on_socket_close = HandlerSlot[CallbackOnSocket](
        "Called as ``(client, userdata, sock)`` with the same object when that connection is "
        "over, before `on_disconnect`. The object is closed then.",
        "client, userdata, sock",
    )

    #: The extension's bookkeeping where a connection has ended and `on_disconnect` is not called.
    _gone_hook: Callable[[], None] | None = None

    _fitted_on_connect: Fitted | None = None
    _fitted_on_connect_fail: Fitted | None = None
    _fitted_on_pre_connect: Fitted | None = None
    _fitted_on_disconnect: Fitted | None = None
    _fitted_on_subscribe: Fitted | None = None
    _fitted_on_unsubscribe: Fitted | None = None
    _fitted_on_publish: Fitted | None = None
    _fitted_on_log: Fitted | None = None
    _fitted_on_socket_open: Fitted | None = None
    _fitted_on_socket_close: Fitted | None = None

    #: How many calls of `on_pre_connect` are running.
    _pre_connecting = 0

    def __init__(self, version: CallbackAPIVersion, userdata: Any) -> None:
        """Start without handlers; ``userdata`` is given to every one."""
        self._version_1 = version is CallbackAPIVersion.VERSION1
        self._core = _core.Client()
        self._dispatcher = Dispatcher(
            self._core,
            {
                _core.EVENT_CONNACK: self._connack_event,
                _core.EVENT_DISCONNECTED: self._disconnected_event,
                _core.EVENT_PUBLISHED: self._published_event,
                _core.EVENT_SUBSCRIBED: self._subscribed_event,
                _core.EVENT_UNSUBSCRIBED: self._unsubscribed_event,
                _core.EVENT_LOG: self._log_event,
                _core.EVENT_NOTICE: self._notice_event,
                _core.EVENT_ATTEMPT: self._attempt_event,
                _core.EVENT_CONNECT_FAILED: self._connect_failed_event,
                _core.EVENT_SOCKET_OPENED: self._socket_opened,
                _core.EVENT_REPLACED: self._gone,
            },
            self._catch_up,
        )
        self._dispatcher.client = self
        self._dispatcher.userdata = userdata
        self._sockets = Sockets()
        self._logger: logging.Logger | None = None
        #: Whether the connection speaks MQTT 5.
        self._speaks_5 = False
        #: A CONNACK of this connection that no handler has seen.
        self._unseen: tuple[dict[str, int], int, Properties | None] | None = None
        #: The properties of the end of a connection, for the handler of it.
        self._last_properties: Properties | None = None
        self._in_on_connect = False
        #: Whether `disconnect` was called, and the event of it has not come.
        self._is_ending = False
        #: Why the last connection ended, for `loop`; 0 where none has.
        self._ended_with = 0
        #: The extension's bookkeeping: called in place of `on_connect` and `on_disconnect`, with
        #: the same arguments, and expected to call `_call_on_connect` and `_call_on_disconnect`.
        self._connect_hook: Handler = self._call_on_connect
        self._disconnect_hook: Handler = self._call_on_disconnect
        #: The keep alive that the broker chose with the last CONNACK, if it did.
        self._server_keepalive: int | None = None
        #: Of the extension, by their names: a hook, and the handler that it calls.
        self._extension_handlers: dict[str, tuple[Handler, Handler | None]] = {}
        #: Of the event that a hook is being called for: the handler's name, and the thread.
        self._told: tuple[str, int] | None = None
        #: The handlers that a subclass has as methods, which paho's calls too.
        self._method_slots = {
            name: slot for name, slot in _SLOTS.items() if getattr(type(self), name) is not slot
        }
        self._check_methods()
        self._listen()
        if type(self).on_message is not Callbacks.on_message:
            self._dispatcher.on_message = self._call_on_message

    def _check_methods(self) -> None:
        """Look at the handlers that a subclass has as methods, as at those that are assigned.

        Raises:
            TypeError: One of them cannot be called for its event.
        """
        for name in ("on_message", *self._method_slots):
            written = inspect.getattr_static(type(self), name)
            if not isinstance(written, FunctionType):
                # A property may need what the subclass has not made yet.
                continue
            method = written.__get__(self)
            if name == "on_message":
                check_handler(name, method, MESSAGE, [3])
            else:
                self._method_slots[name].check(method, version_1=self._version_1)

    def _notice_fork(self) -> None:
        """Be without a connection where this process was forked, without Python's hooks too.

        Every method begins with this before it asks the core for anything, as locks of the
        parent's may be held for ever here. `publish` need not: its core tells it.
        """
        raise NotImplementedError

    def _forget_handlers(self) -> None:
        # Those of messages are the dispatcher's.
        for name in _SLOTS.keys() - self._method_slots.keys():
            setattr(self, name, None)
        # An object's own handler hides the method.
        for name in ("on_message", *self._method_slots):
            vars(self).pop(name, None)

    def _current_handler(self, name: str) -> Fitted | None:
        """Return a handler, which may be a method of a subclass, by its attribute's name."""
        slot = self._method_slots.get(name)
        if slot is None:
            fitted: Fitted | None = getattr(self, f"_fitted_{name}")
            return fitted
        handler = getattr(self, name)
        return None if handler is None else slot.fit(handler)

    def _call_on_message(self, client: Any, userdata: Any, message: Any) -> Any:
        """Call the method `on_message` of a subclass, or what was assigned since."""
        return None if self.on_message is None else self.on_message(client, userdata, message)

    def _bind_app(self, app: Flask) -> None:
        """Run every handler in an application context of ``app``, and log to its logger."""
        self._dispatcher.bind(app)

    @property
    def on_message(self) -> CallbackOnMessage | None:
        """Called as ``(client, userdata, message)`` for messages that no topic's handler takes."""
        return self._dispatcher.on_message

    @on_message.setter
    def on_message(self, handler: CallbackOnMessage | None) -> None:
        if handler is not None:
            check_handler("on_message", handler, MESSAGE, [3])
        self._notice_fork()
        self._dispatcher.on_message = handler

    @property
    def callback_api_version(self) -> CallbackAPIVersion:
        """Which arguments handlers get."""
        return CallbackAPIVersion.VERSION1 if self._version_1 else CallbackAPIVersion.VERSION2

    @property
    def logger(self) -> logging.Logger | None:
        """The logger that gets what `on_log` gets, or None."""
        return self._logger

    @logger.setter
    def logger(self, value: logging.Logger | None) -> None:
        if value is not None and not callable(getattr(value, "log", None)):
            raise TypeError(f"logger {value!r}: it must be a logging.Logger, or None")
        self._logger = value
        self._handlers_changed()

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Write what `on_log` gets to a logger.

        Args:
            logger: By default the one that there is already, else ``flask_mqtt``.
        """
        self.logger = logger or self.logger or logging.getLogger("flask_mqtt")

    def disable_logger(self) -> None:
        """Undo `enable_logger`. `on_log` is called as before."""
        self.logger = None

    def _listen(self) -> None:
        logging_wanted = self._current_handler("on_log") is not None or self._logger is not None
        self._core.listen(logging_wanted, self._current_handler("on_publish") is not None)

    def _handlers_changed(self) -> None:
        self._notice_fork()
        self._listen()
        self._core.want_socket(self._has_socket_handler())
        self._dispatcher.look_closely()
        # An `on_connect` that came late has something to catch up with.
        self._core.wake()

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
        if callback is None or sub is None:
            raise ValueError("a handler for a topic needs both the filter and the handler")
        check_handler("callback", callback, MESSAGE, [3])
        if not isinstance(sub, str):
            raise TypeError(f"sub {sub!r}: it must be a filter, as in 'home/#'")
        _core.validate_filter(sub)
        self._notice_fork()
        self._dispatcher.add_route(sub, callback)

    def message_callback_remove(self, sub: str) -> None:
        """Forget the handler of a filter; nothing happens where there is none.

        Args:
            sub: The filter, as it was added.

        Raises:
            ValueError: The filter is None.
        """
        if sub is None:
            raise ValueError("the handler of which filter is to be forgotten? sub is None")
        if not isinstance(sub, str):
            raise TypeError(f"sub {sub!r}: it must be the filter that was added")
        self._notice_fork()
        self._dispatcher.remove_route(sub)

    def user_data_set(self, userdata: Any) -> None:
        """Set what every handler gets as ``userdata``."""
        self._dispatcher.userdata = userdata

    def user_data_get(self) -> Any:
        """Return what every handler gets as ``userdata``."""
        return self._dispatcher.userdata

    # -- events -----------------------------------------------------------------------------------

    def _connack_event(
        self, session_present: int, code: int, properties: Properties | None
    ) -> None:
        flags = {"session present": session_present}
        rc = ReasonCode(PacketTypes.CONNACK, identifier=code) if self._speaks_5 else code
        self._unseen = (flags, rc, properties)
        if code == 0:
            self._server_keepalive = getattr(properties, "ServerKeepAlive", None)
            self._log_change("connected", "Connected to", session_present=bool(session_present))
        self._told = ("on_connect", threading.get_ident())
        self._guarded(self._connect_hook, self, self._dispatcher.userdata, flags, rc)

    def _call_on_connect(self, _client: Any, userdata: Any, flags: dict[str, int], rc: int) -> None:
        """Call the application's `on_connect`, if there is one and it has not seen this CONNACK."""
        fitted = self._current_handler("on_connect")
        if fitted is None or self._unseen is None:
            return
        unseen, self._unseen = self._unseen, None
        properties = unseen[2]
        self._in_on_connect = True
        arguments: tuple[Any, ...] = (flags, rc, properties)
        if not self._version_1:
            arguments = signatures.connect(*arguments)
        try:
            self._call_handler(fitted, self, userdata, *arguments)
        except BaseException:
            if self._dispatcher.caller.progress == NOT_CALLED:
                self._unseen = unseen
            raise
        finally:
            self._in_on_connect = False

    def _shown_handler(self, name: str, handler: Handler | None) -> Handler | None:
        """Return what is read as a handler: the extension's own one where it has set this one."""
        hook, own = self._extension_handlers.get(name, (handler, handler))
        return hook if handler is own else handler

    def _takes_event(self, name: str) -> bool:
        """Whether a hook is called for an event, and has not passed it on: it does so now.

        Otherwise it was called by the application.
        """
        if self._told != (name, threading.get_ident()):
            return False
        self._told = None
        return True

    def _catch_up(self) -> bool:
        """Call an `on_connect` that came after its CONNACK. Returns whether there was one."""
        if self._unseen is None or self._current_handler("on_connect") is None:
            return False
        flags, rc, _ = self._unseen
        self._call_on_connect(self, self._dispatcher.userdata, flags, rc)
        return True

    def _disconnected_event(
        self, code: MQTTErrorCode, reason: int | None = None, properties: Properties | None = None
    ) -> None:
        self._unseen = None
        self._ended_with = code
        self._guarded(self._socket_closed)
        if code == MQTT_ERR_SUCCESS:
            # Of any other end the core tells, with what it does next.
            self._log_change("disconnected", "Disconnected from", rc=reason or 0)
        # None also where the broker's DISCONNECT has none, or there was no such packet.
        self._last_properties = properties
        rc = code if reason is None else ReasonCode(PacketTypes.DISCONNECT, identifier=reason)
        self._told = ("on_disconnect", threading.get_ident())
        try:
            self._guarded(self._disconnect_hook, self, self._dispatcher.userdata, rc)
        finally:
            self._is_ending = False
            self._dispatcher.connection_ended()

    def _gone(self) -> None:
        """Be without a connection, of whose end `on_disconnect` does not hear."""
        self._unseen = None
        self._guarded(self._socket_closed)
        if self._gone_hook is not None:
            self._guarded(self._gone_hook)

    def _call_on_disconnect(self, _client: Any, userdata: Any, rc: int) -> None:
        """Call the application's `on_disconnect`, with the arguments that it can take."""
        fitted = self._current_handler("on_disconnect")
        if fitted is not None:
            arguments: tuple[Any, ...] = (rc, self._last_properties)
            if not self._version_1:
                arguments = signatures.disconnect(*arguments)
            self._call_handler(fitted, self, userdata, *arguments)

    def _call_handler(self, fitted: Fitted, *arguments: Any) -> None:
        if self._version_1:
            arguments = arguments[: fitted.with_5 if self._speaks_5 else fitted.before]
        self._dispatcher.call(fitted.handler, *arguments)

    def _guarded(self, hook: Handler, *arguments: Any) -> None:
        # A hook may be a method that the application overrides: what follows is due all the same.
        try:
            hook(*arguments)
        except BaseException as error:
            if goes_on(error):
                raise
            name = name_of(hook)
            extra = fields(self._core, "handler_failed", handler=name)
            told = from_outside(error)
            write(logger.exception, "%s failed", name, exc_info=told, extra=extra)

    def _published_event(self, mid: int, code: int, properties: Properties | None) -> None:
        fitted = self._fitted_on_publish or self._current_handler("on_publish")
        userdata = self._dispatcher.userdata
        if fitted is None:
            return
        if not self._version_1:
            self._call_handler(fitted, self, userdata, mid, *signatures.publish(code, properties))
        elif (fitted.with_5 if self._speaks_5 else fitted.before) == 3:  # noqa: PLR2004 - the usual
            self._dispatcher.caller.call(fitted.handler, self, userdata, mid)
        else:
            reason = ReasonCode(PacketTypes.PUBACK, identifier=code) if self._speaks_5 else None
            self._call_handler(fitted, self, userdata, mid, properties, reason)

    def _subscribed_event(
        self, mid: int, granted: tuple[int, ...], properties: Properties | None
    ) -> None:
        fitted = self._current_handler("on_subscribe")
        if fitted is None:
            return
        arguments: tuple[Any, ...] = (granted, properties)
        if not self._version_1:
            arguments = signatures.subscribe(granted, properties)
        elif self._speaks_5:
            arguments = (tuple(reason_codes(PacketTypes.SUBACK, granted)), properties)
        self._call_handler(fitted, self, self._dispatcher.userdata, mid, *arguments)

    def _unsubscribed_event(
        self, mid: int, codes: tuple[int, ...], properties: Properties | None
    ) -> None:
        fitted = self._current_handler("on_unsubscribe")
        if fitted is None:
            return
        if self._version_1:
            reasons = tuple(reason_codes(PacketTypes.UNSUBACK, codes))
            arguments: tuple[Any, ...] = (properties, reasons)
        else:
            arguments = signatures.unsubscribe(codes, properties)
        self._call_handler(fitted, self, self._dispatcher.userdata, mid, *arguments)

    def _log_event(self, level: int, text: str) -> None:
        if self._logger is not None:
            # A filter of the application's may raise.
            write(partial(_log, self._logger, LOGGING_LEVEL[LogLevel(level)]), text)
        fitted = self._fitted_on_log or self._current_handler("on_log")
        if fitted is not None:
            self._call_handler(fitted, self, self._dispatcher.userdata, LogLevel(level), text)

    def _attempt_event(self) -> None:
        self._call_on_pre_connect(self._dispatcher.call)

    def _call_on_pre_connect(self, call: Handler) -> None:
        fitted = self._current_handler("on_pre_connect")
        # Where it connects itself, it is not called for that: there would be no end.
        if fitted is None or (self._pre_connecting and is_handler(self._core)):
            return
        self._pre_connecting += 1
        try:
            call(fitted.handler, self, self._dispatcher.userdata)
        finally:
            self._pre_connecting -= 1

    def _has_socket_handler(self) -> bool:
        names = ("on_socket_open", "on_socket_close")
        return any(self._current_handler(name) is not None for name in names)

    def _socket_opened(self) -> None:
        """Call `on_socket_open`, where a handler wants the socket of the present connection."""
        # The one before may have ended a moment ago.
        self._socket_closed()
        if self._has_socket_handler():
            self._sockets.opened(self._core, self._socket_handler("on_socket_open"))

    def _socket_closed(self) -> None:
        """Call `on_socket_close`, if the connection is over whose socket there is."""
        self._sockets.closed(self._core, self._socket_handler("on_socket_close"))

    def _socket_handler(self, name: str) -> Handler:
        fitted = self._current_handler(name)

        def call(sock: Any) -> None:
            if fitted is not None:
                self._dispatcher.call(fitted.handler, self, self._dispatcher.userdata, sock)

        return call

    def _connect_failed_event(self) -> None:
        fitted = self._current_handler("on_connect_fail")
        if fitted is not None:
            self._call_handler(fitted, self, self._dispatcher.userdata)

    def _notice_event(self, level: int, text: str, values: dict[str, Any]) -> None:
        log = partial(logger.log, LOGGING_LEVEL[LogLevel(level)])
        write(log, text, extra=fields(self._core, **values))

    def _log_change(self, event: str, text: str, **values: Any) -> None:
        extra = fields(self._core, event, **values)
        client_id = extra["mqtt_client_id"]
        name = f" as {client_id!r:.100}" if client_id else ""
        write(logger.info, "%s %s%s", text, extra["mqtt_broker"], name, extra=extra)


def _log(log: Any, level: int, text: str, **options: Any) -> None:
    # Looked up here, where what that raises is caught.
    log.log(level, text, **options)


_SLOTS = {name: slot for name, slot in vars(Callbacks).items() if isinstance(slot, HandlerSlot)}
