"""The handlers of a client, and what happens to each event on its way to them."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _core
from .constants import LOGGING_LEVEL
from .dispatch import Dispatcher

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger("flask_mqtt")

Handler = Callable[..., Any]


class Callbacks:
    """The ``on_*`` attributes, and the events that lead to them.

    The events arrive on the dispatcher's thread, one at a time.
    """

    def __init__(self, userdata: Any) -> None:
        """Start without handlers; ``userdata`` is given to every one."""
        self._core = _core.Client()
        self._dispatcher = Dispatcher(
            self._core,
            {
                _core.EVENT_CONNACK: self._connack,
                _core.EVENT_DISCONNECTED: self._disconnected,
                _core.EVENT_PUBLISHED: self._published,
                _core.EVENT_SUBSCRIBED: self._subscribed,
                _core.EVENT_UNSUBSCRIBED: self._unsubscribed,
                _core.EVENT_LOG: self._log,
                _core.EVENT_NOTICE: self._notice,
            },
            self._catch_up,
        )
        self._dispatcher.client = self
        self._dispatcher.userdata = userdata
        self._on_connect: Handler | None = None
        self._on_publish: Handler | None = None
        self._on_log: Handler | None = None
        self._logger: logging.Logger | None = None
        #: A CONNACK of this connection that no handler has seen.
        self._unseen: tuple[dict[str, int], int] | None = None
        self._in_on_connect = False
        #: Called as ``(client, userdata, rc)``, or with what it can take, when a connection ends.
        self.on_disconnect: Handler | None = None
        #: Called as ``(client, userdata, mid, granted_qos)``: a tuple, with 128 for a refusal.
        self.on_subscribe: Handler | None = None
        #: Called as ``(client, userdata, mid)``.
        self.on_unsubscribe: Handler | None = None
        #: The extension's bookkeeping: called in place of `on_connect` and `on_disconnect`, with
        #: the same arguments, and expected to call `call_on_connect` and `call_on_disconnect`.
        self.connect_hook: Handler = self.call_on_connect
        self.disconnect_hook: Handler = self.call_on_disconnect

    def bind(self, app: Flask) -> None:
        """Run every handler in an application context of ``app``, and log to its logger."""
        self._dispatcher.bind(app)

    @property
    def on_connect(self) -> Handler | None:
        """Called as ``(client, userdata, flags, rc)``, once for every CONNACK.

        Registered after the CONNACK of the present connection came, it is called for that one then.
        """
        return self._on_connect

    @on_connect.setter
    def on_connect(self, handler: Handler | None) -> None:
        self._on_connect = handler
        self._core.wake()

    @property
    def on_message(self) -> Handler | None:
        """Called as ``(client, userdata, message)`` for messages that no topic's handler takes."""
        return self._dispatcher.on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._dispatcher.on_message = handler

    @property
    def on_publish(self) -> Handler | None:
        """Called as ``(client, userdata, mid)`` when QoS 0 is written, QoS 1 and 2 confirmed."""
        return self._on_publish

    @on_publish.setter
    def on_publish(self, handler: Handler | None) -> None:
        self._on_publish = handler
        self._listen()

    @property
    def on_log(self) -> Handler | None:
        """Called as ``(client, userdata, level, buf)`` for every packet, with paho's texts."""
        return self._on_log

    @on_log.setter
    def on_log(self, handler: Handler | None) -> None:
        self._on_log = handler
        self._listen()

    def enable_logger(self, logger: logging.Logger | None = None) -> None:
        """Write what `on_log` gets to a logger; without an argument to ``flask_mqtt``."""
        self._logger = logger or logging.getLogger("flask_mqtt")
        self._listen()

    def disable_logger(self) -> None:
        """Undo `enable_logger`."""
        self._logger = None
        self._listen()

    def _listen(self) -> None:
        logging_wanted = self._on_log is not None or self._logger is not None
        self._core.listen(logging_wanted, self._on_publish is not None)

    def message_callback_add(self, sub: str, callback: Handler) -> None:
        """Call a handler for messages whose topic matches a filter. The last one for a filter wins.

        Raises:
            ValueError: The filter is malformed (MQTT 3.1.1, section 4.7), or there is no handler.
        """
        if callback is None or sub is None:
            raise ValueError("a handler for a topic needs both the filter and the handler")
        _core.validate_filter(sub)
        self._dispatcher.add_route(sub, callback)

    def message_callback_remove(self, sub: str) -> None:
        """Forget the handler of a filter; nothing happens where there is none."""
        self._dispatcher.remove_route(sub)

    def user_data_set(self, userdata: Any) -> None:
        """Set what every handler gets as ``userdata``."""
        self._dispatcher.userdata = userdata

    def user_data_get(self) -> Any:
        """Return what every handler gets as ``userdata``."""
        return self._dispatcher.userdata

    # -- events -----------------------------------------------------------------------------------

    def _connack(self, session_present: int, code: int) -> None:
        flags = {"session present": session_present}
        self._unseen = (flags, code)
        self._guarded(self.connect_hook, self, self._dispatcher.userdata, flags, code)

    def call_on_connect(self, _client: Any, userdata: Any, flags: dict[str, int], rc: int) -> None:
        """Call the application's `on_connect`, if there is one and it has not seen this CONNACK."""
        handler = self._on_connect
        if handler is None or self._unseen is None:
            return
        self._unseen = None
        self._in_on_connect = True
        try:
            self._dispatcher.call(handler, self, userdata, flags, rc)
        finally:
            self._in_on_connect = False

    def _catch_up(self) -> None:
        if self._unseen is not None and self._on_connect is not None:
            self.call_on_connect(self, self._dispatcher.userdata, *self._unseen)

    def _disconnected(self, rc: int) -> None:
        self._unseen = None
        self._guarded(self.disconnect_hook, self, self._dispatcher.userdata, rc)

    def call_on_disconnect(self, _client: Any, userdata: Any, rc: int) -> None:
        """Call the application's `on_disconnect`, with the arguments that it can take."""
        handler = self.on_disconnect
        if handler is not None:
            here = self._dispatcher.is_current_thread
            call = self._dispatcher.call if here else self._dispatcher.call_elsewhere
            call(handler, *_acceptable(handler, (self, userdata, rc)))

    def _guarded(self, hook: Handler, *arguments: Any) -> None:
        # A hook may be a method that the application overrides: it must not end the thread.
        try:
            hook(*arguments)
        except Exception:
            logger.exception("%s failed", getattr(hook, "__qualname__", hook))

    def _published(self, mid: int) -> None:
        if self._on_publish is not None:
            self._dispatcher.call(self._on_publish, self, self._dispatcher.userdata, mid)

    def _subscribed(self, mid: int, granted: tuple[int, ...]) -> None:
        if self.on_subscribe is not None:
            self._dispatcher.call(self.on_subscribe, self, self._dispatcher.userdata, mid, granted)

    def _unsubscribed(self, mid: int) -> None:
        if self.on_unsubscribe is not None:
            self._dispatcher.call(self.on_unsubscribe, self, self._dispatcher.userdata, mid)

    def _log(self, level: int, text: str) -> None:
        if self._logger is not None:
            self._logger.log(LOGGING_LEVEL[level], text)
        if self._on_log is not None:
            here = self._dispatcher.is_current_thread
            call = self._dispatcher.call if here else self._dispatcher.call_elsewhere
            call(self._on_log, self, self._dispatcher.userdata, level, text)

    def _notice(self, level: int, text: str) -> None:
        logger.log(LOGGING_LEVEL[level], text)


def _acceptable(handler: Handler, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return all arguments if the handler takes them, else none if it takes none.

    Flask-MQTT called `on_disconnect` handlers without arguments through 1.2.0.
    """
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return arguments
    try:
        signature.bind(*arguments)
    except TypeError:
        return arguments if _required(signature) else ()
    return arguments


def _required(signature: inspect.Signature) -> bool:
    try:
        signature.bind()
    except TypeError:
        return True
    return False
