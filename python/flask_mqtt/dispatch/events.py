"""What each event of a connection leads to."""

from __future__ import annotations

import contextlib
import logging
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import Properties
from ..discretion import from_outside
from ..guards import goes_on
from ..handlers import signatures
from ..handlers.caller import NOT_CALLED
from ..handlers.naming import name_of
from ..handlers.scope import is_handler
from ..handlers.sockets import Sockets
from ..paho.constants import LOGGING_LEVEL, MQTT_ERR_SUCCESS
from ..paho.enums import LogLevel, MQTTErrorCode
from ..paho.reasoncodes import PacketTypes, ReasonCode, reason_codes
from ..records import fields, write
from .dispatcher import Dispatcher
from .reports import Reports
from .tap import Disconnected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from ..core_holder import CoreHolder
    from ..handlers.registry import HandlerRegistry
    from ..handlers.slots import Fitted, Handler

logger = logging.getLogger("flask_mqtt")


class Events:
    """Calls the handlers of all events except messages.

    The events arrive on the dispatcher's thread, one at a time; with several threads for handlers,
    all but the messages do.
    """

    #: Called where the connection's thread asks for the settings of its next attempt.
    _refresh_settings: Callable[[], None]

    def __init__(
        self, client: Any, holder: CoreHolder, registry: HandlerRegistry, userdata: Any
    ) -> None:
        """Make the events of a client, and the dispatcher that brings them.

        Args:
            client: The client, which is given to every handler.
            holder: Has its core.
            registry: Has its handlers.
            userdata: Given to every handler too.
        """
        self._client = client
        self._holder = holder
        self._registry = registry
        self.reports = Reports(holder)
        # The same objects as there: fewer look-ups for each message that was published.
        self._fitted, self._version_1 = registry.fitted, registry.version_1
        self.dispatcher = Dispatcher(
            holder.core,
            {
                _core.EVENT_CONNACK: self._connack,
                _core.EVENT_DISCONNECTED: self.disconnected,
                _core.EVENT_PUBLISHED: self._published,
                _core.EVENT_SUBSCRIBED: self._subscribed,
                _core.EVENT_UNSUBSCRIBED: self._unsubscribed,
                _core.EVENT_LOG: self.log,
                _core.EVENT_NOTICE: self.reports.notice,
                _core.EVENT_ATTEMPT: self._attempt,
                _core.EVENT_CONNECT_FAILED: self.connect_failed,
                _core.EVENT_SOCKET_OPENED: self.socket_opened,
                _core.EVENT_REPLACED: self._replaced,
            },
            self._catch_up,
            self._plain_on_publish,
        )
        self._caller = self.dispatcher.caller
        self._message_handlers = self.dispatcher.message_handlers
        self.dispatcher.client = client
        self.dispatcher.userdata = userdata
        if registry.on_message is not None:
            self.dispatcher.on_message = registry.on_message
        self._sockets = Sockets()
        #: Whether the connection speaks MQTT 5.
        self.speaks_5 = False
        #: Whether `on_connect` runs, in which subscriptions are not made twice.
        self.is_in_on_connect = False
        #: Whether the connection is being ended, and the event of it has not come.
        self.is_ending = False
        #: Why the last connection ended, for `loop`; 0 where none has.
        self.ended_with = 0
        #: A CONNACK of this connection that no handler has seen.
        self._unseen: tuple[dict[str, int], int, Properties | None] | None = None
        #: The properties of the end of a connection, for the handler of it.
        self._last_properties: Properties | None = None
        #: Of the event that a hook is being called for: the handler's name, and the thread.
        self._told: tuple[str, int] | None = None
        #: How many calls of `on_pre_connect` are running.
        self._pre_connecting = 0
        #: Called with the properties of a CONNACK that accepts, and with the codes of a SUBACK.
        self._accepted: Callable[[Properties | None], None] | None = None
        self._granted: Callable[[tuple[int, ...]], None] | None = None

    def handlers_changed(self) -> None:
        """Have the core report the events that have handlers."""
        core, registry = self._holder.core, self._registry
        logging_wanted = registry.current("on_log") is not None or registry.logger is not None
        self.dispatcher.listen(logging_wanted, registry.current("on_publish") is not None)
        core.want_socket(self._has_socket_handler())
        self.dispatcher.look_closely()
        # An `on_connect` that came late has something to catch up with.
        core.wake()

    def refresh_with(self, refresh: Callable[[], None]) -> None:
        """Call this when the connection's thread asks for the settings of its next attempt."""
        self._refresh_settings = refresh

    def watch_subscriptions(
        self,
        accepted: Callable[[Properties | None], None] | None,
        granted: Callable[[tuple[int, ...]], None] | None,
    ) -> None:
        """Tell the client's own part about what the broker says of subscriptions.

        Args:
            accepted: Called with the properties of each CONNACK that accepts; None for nothing.
            granted: Called with the codes of each SUBACK; None for nothing.
        """
        self._accepted, self._granted = accepted, granted

    def set_version(self, *, speaks_5: bool) -> None:
        """Take the events that follow for those of MQTT 5, or of an earlier version."""
        self.speaks_5 = speaks_5
        self.dispatcher.arguments_changed()

    def expect_end(self) -> None:
        """Expect the event of a connection that `disconnect` ends."""
        self.is_ending = True

    def forget_end(self) -> None:
        """Forget why the last connection ended: a loop begins that waits for the next end."""
        self.ended_with = 0

    def forked(self, core: CoreClient) -> None:
        """Be without a connection in a forked child.

        Args:
            core: The child's.
        """
        self.dispatcher.forked(core)
        self._unseen = None
        self.is_in_on_connect = self.is_ending = False
        self.ended_with = 0
        self._sockets.forked()

    def take_reports(self) -> bool:
        """Take what the connection reports, where no thread calls handlers: `Reports.take`."""
        return self.reports.take(self._attempt)

    def log_rest(self) -> None:
        """At the end of the connection, log what no thread has come to, if `halt` has ended all."""
        if self.dispatcher.is_halted:
            # Settings are for an attempt that nobody makes any more.
            self.reports.take(lambda: None, self.dispatcher.take_fetched())

    def _connack(self, session_present: int, code: int, properties: Properties | None) -> None:
        flags = {"session present": session_present}
        rc = ReasonCode(PacketTypes.CONNACK, identifier=code) if self.speaks_5 else code
        self._unseen = (flags, rc, properties)
        if code == 0:
            self.reports.accepted(session_present, properties)
            if self._accepted is not None:
                self._accepted(properties)
        self._told = ("on_connect", threading.get_ident())
        hooks, userdata = self._registry.hooks, self.dispatcher.userdata
        if hooks is None:
            self.guarded(self.call_on_connect, userdata, flags, rc)
        else:
            self.guarded(hooks.connected, self._client, userdata, flags, rc)

    def call_on_connect(self, userdata: Any, flags: dict[str, int], rc: int) -> None:
        """Call the application's `on_connect`, if there is one and it has not seen this CONNACK."""
        fitted = self._registry.current("on_connect")
        if fitted is None or self._unseen is None:
            return
        unseen, self._unseen = self._unseen, None
        properties = unseen[2]
        self.is_in_on_connect = True
        arguments: tuple[Any, ...] = (flags, rc, properties)
        if not self._version_1:
            arguments = signatures.connect(*arguments)
        try:
            self._call_handler(fitted, self._client, userdata, *arguments)
        except BaseException:
            if self.dispatcher.caller.progress == NOT_CALLED:
                self._unseen = unseen
            raise
        finally:
            self.is_in_on_connect = False

    def takes_event(self, name: str) -> bool:
        """Whether a hook is called for an event, and has not passed it on: it does so now.

        Otherwise it was called by the application.
        """
        if self._told != (name, threading.get_ident()):
            return False
        self._told = None
        return True

    @contextlib.contextmanager
    def in_on_connect(self) -> Iterator[None]:
        """Take what happens meanwhile for a handler of `on_connect`: nothing is made twice."""
        self.is_in_on_connect = True
        try:
            yield
        finally:
            self.is_in_on_connect = False

    def _catch_up(self) -> bool:
        """Call an `on_connect` that came after its CONNACK. Returns whether there was one."""
        if self._unseen is None or self._registry.current("on_connect") is None:
            return False
        flags, rc, _ = self._unseen
        self.call_on_connect(self.dispatcher.userdata, flags, rc)
        return True

    def disconnected(
        self, code: MQTTErrorCode, reason: int | None = None, properties: Properties | None = None
    ) -> None:
        """Be without a connection, and call `on_disconnect`.

        Args:
            code: Why the connection has ended.
            reason: The reason code of the broker's DISCONNECT, where there was one (MQTT 5).
            properties: Its properties.
        """
        self._unseen = None
        self.ended_with = code
        self.dispatcher.held.connection_ended()
        self.dispatcher.tap.tell(Disconnected(code, reason))
        self.guarded(self._socket_closed)
        if code == MQTT_ERR_SUCCESS:
            # The core logs any other end itself, because it knows what it does next.
            self.reports.log_change("disconnected", "Disconnected from", rc=reason or 0)
        # None also where the broker's DISCONNECT has none, or there was no such packet.
        self._last_properties = properties
        rc = code if reason is None else ReasonCode(PacketTypes.DISCONNECT, identifier=reason)
        self._told = ("on_disconnect", threading.get_ident())
        try:
            hooks, userdata = self._registry.hooks, self.dispatcher.userdata
            if hooks is None:
                self.guarded(self.call_on_disconnect, userdata, rc)
            else:
                self.guarded(hooks.disconnected, self._client, userdata, rc)
        finally:
            self.is_ending = False
            self.dispatcher.connection_ended()

    def _replaced(self) -> None:
        self.dispatcher.held.connection_ended()
        self.gone()

    def gone(self) -> None:
        """Be without a connection, of whose end `on_disconnect` does not hear."""
        self._unseen = None
        self.guarded(self._socket_closed)
        if self._registry.hooks is not None:
            self.guarded(self._registry.hooks.gone)

    def call_on_disconnect(self, userdata: Any, rc: int) -> None:
        """Call the application's `on_disconnect`, with the arguments that it can take."""
        fitted = self._registry.current("on_disconnect")
        if fitted is not None:
            arguments: tuple[Any, ...] = (rc, self._last_properties)
            if not self._version_1:
                arguments = signatures.disconnect(*arguments)
            self._call_handler(fitted, self._client, userdata, *arguments)

    def _call_handler(self, fitted: Fitted, *arguments: Any) -> None:
        if self._version_1:
            arguments = arguments[: fitted.with_5 if self.speaks_5 else fitted.before]
        self.dispatcher.call(fitted.handler, *arguments)

    def guarded(self, hook: Handler, *arguments: Any) -> None:
        """Call what may be the application's own. What it raises is logged.

        Raises:
            KeyboardInterrupt: In a thread of the application's. So with ``SystemExit``.
        """
        # A hook may be a method that the application overrides: what follows is due all the same.
        try:
            hook(*arguments)
        except BaseException as error:
            if goes_on(error):
                raise
            name = name_of(hook)
            extra = fields(self._holder.core, "handler_failed", handler=name)
            told = from_outside(error)
            write(logger.exception, "%s failed", name, exc_info=told, extra=extra)

    def _published(self, mid: int, code: int, properties: Properties | None) -> None:
        fitted = self._fitted["on_publish"] or self._registry.current("on_publish")
        if fitted is None:
            return
        userdata = self._message_handlers.userdata
        if not self._version_1:
            self._call_handler(
                fitted, self._client, userdata, mid, *signatures.publish(code, properties)
            )
        elif self._is_plain(fitted):
            self._caller.call(fitted.handler, self._client, userdata, mid)
        else:
            reason = ReasonCode(PacketTypes.PUBACK, identifier=code) if self.speaks_5 else None
            self._call_handler(fitted, self._client, userdata, mid, properties, reason)

    def _is_plain(self, fitted: Fitted) -> bool:
        """Whether an `on_publish` is called with no more than what it always was called with."""
        return (fitted.with_5 if self.speaks_5 else fitted.before) == 3  # noqa: PLR2004

    def _plain_on_publish(self) -> Handler | None:
        fitted = self._fitted["on_publish"]
        if fitted is None or not self._version_1 or not self._is_plain(fitted):
            return None
        return fitted.handler

    def _subscribed(
        self, mid: int, granted: tuple[int, ...], properties: Properties | None
    ) -> None:
        if self._granted is not None:
            self._granted(granted)
        fitted = self._registry.current("on_subscribe")
        if fitted is None:
            return
        arguments: tuple[Any, ...] = (granted, properties)
        if not self._version_1:
            arguments = signatures.subscribe(granted, properties)
        elif self.speaks_5:
            arguments = (tuple(reason_codes(PacketTypes.SUBACK, granted)), properties)
        self._call_handler(fitted, self._client, self.dispatcher.userdata, mid, *arguments)

    def _unsubscribed(
        self, mid: int, codes: tuple[int, ...], properties: Properties | None
    ) -> None:
        fitted = self._registry.current("on_unsubscribe")
        if fitted is None:
            return
        if self._version_1:
            reasons = tuple(reason_codes(PacketTypes.UNSUBACK, codes))
            arguments: tuple[Any, ...] = (properties, reasons)
        else:
            arguments = signatures.unsubscribe(codes, properties)
        self._call_handler(fitted, self._client, self.dispatcher.userdata, mid, *arguments)

    def log(self, level: int, text: str) -> None:
        """Give a line to `on_log`, and to the logger that gets the same.

        Args:
            level: A `LogLevel`.
            text: The line.
        """
        if self._registry.logger is not None:
            # A filter of the application's may raise.
            write(partial(_log, self._registry.logger, LOGGING_LEVEL[LogLevel(level)]), text)
        fitted = self._fitted["on_log"] or self._registry.current("on_log")
        if fitted is not None:
            self._call_handler(
                fitted, self._client, self.dispatcher.userdata, LogLevel(level), text
            )

    def _attempt(self) -> None:
        self._refresh_settings()

    def call_on_pre_connect(self, call: Handler) -> None:
        """Call `on_pre_connect`, but for a connection that it makes itself.

        Args:
            call: Calls a handler with its arguments.
        """
        fitted = self._registry.current("on_pre_connect")
        # Where it connects itself, it is not called for that: there would be no end.
        if fitted is None or (self._pre_connecting and is_handler(self._holder.core)):
            return
        self._pre_connecting += 1
        try:
            call(fitted.handler, self._client, self.dispatcher.userdata)
        finally:
            self._pre_connecting -= 1

    def _has_socket_handler(self) -> bool:
        names = ("on_socket_open", "on_socket_close")
        return any(self._registry.current(name) is not None for name in names)

    def socket_opened(self) -> None:
        """Call `on_socket_open`, where a handler wants the socket of the present connection."""
        # The one before may have ended a moment ago.
        self._socket_closed()
        if self._has_socket_handler():
            self._sockets.opened(self._holder.core, self._socket_handler("on_socket_open"))

    def _socket_closed(self) -> None:
        """Call `on_socket_close` if the connection of the open socket is over."""
        self._sockets.closed(self._holder.core, self._socket_handler("on_socket_close"))

    def _socket_handler(self, name: str) -> Handler:
        fitted = self._registry.current(name)

        def call(sock: Any) -> None:
            if fitted is not None:
                self.dispatcher.call(fitted.handler, self._client, self.dispatcher.userdata, sock)

        return call

    def connect_failed(self) -> None:
        """Call `on_connect_fail`."""
        fitted = self._registry.current("on_connect_fail")
        if fitted is not None:
            self._call_handler(fitted, self._client, self.dispatcher.userdata)


def _log(log: Any, level: int, text: str, **options: Any) -> None:
    # Looked up here, where what that raises is caught.
    log.log(level, text, **options)
