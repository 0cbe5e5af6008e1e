"""What an attempt to connect is made with, and who is asked before it."""

from __future__ import annotations

import errno
import gc
import logging
from typing import Any

from .._core import Attempt, departing
from ..config import NAMES, Config, cleartext
from ..config.options import ConnectOptions
from ..config.suggestions import meant
from ..discretion import discreet, forget
from ..dispatch.callbacks import Callbacks
from ..guards import goes_on
from ..handlers.scope import is_handler
from ..paho.constants import MQTTv5
from ..records import fields, write
from .replaced import passed_by
from .settings import ClientSettings

logger = logging.getLogger("flask_mqtt")


class Attempts(ClientSettings, Callbacks):
    """The way of the settings to the connection.

    `connect` takes them along. Before every other attempt the core asks for them, where they may be
    others: they were changed, a function makes headers, or there is an `on_pre_connect`.
    """

    #: Whether the connection has other settings than the client.
    _settings_changed = False
    #: What the last attempt was made with.
    _used_settings: Config | None = None
    #: What the log has been told of that the application has done in vain.
    _passed_by: frozenset[str] = frozenset()

    @discreet
    def configure(self, **values: Any) -> None:
        """Change settings for the next attempt to connect, also an automatic one.

        Args:
            values: By the names of the configuration keys, in lower case and without their prefix.
                ``handler_threads`` holds from the next `loop_start` on.

        Raises:
            TypeError: A value has the wrong type, or there is no such setting.
            ValueError: A value is not allowed, or ``tls_only`` is set and the running connection is
                one without TLS.
        """
        for name in values.keys() - NAMES:
            right = meant(name, NAMES)
            hint = f"; did you mean {right}?" if right else ""
            raise TypeError(f"configure() has no setting {name!r}{hint}")
        wanted = self._connection_settings.updated(values)
        if wanted.tls_only and self._core.is_running():
            # Refused later, the next attempt would be made with the previous settings: without TLS.
            cleartext.refuse(wanted, wanted.endpoints())
        self._change_settings(**values)

    def _change_settings(self, **values: Any) -> None:
        self._notice_fork()
        super()._change_settings(**values)
        self._settings_changed = True
        if not self._core.is_running():
            # What is published before there is a connection waits too.
            self._core.limit(self._connection_settings)
        self._ask()

    def _handlers_changed(self) -> None:
        super()._handlers_changed()
        self._ask()

    def _ask(self) -> None:
        # Another thread may change something in between: a question too many does no harm.
        if not self._may_differ():
            self._core.ask(False)
        if self._may_differ():
            self._core.ask(True)

    def _may_differ(self) -> bool:
        hook = self._current_handler("on_pre_connect") is not None
        return hook or self._settings_changed or callable(self._connection_settings.ws_headers)

    def _start_connecting(self, *, report_first: bool) -> Attempt:
        if report_first:
            # A handler that connects has a context of its own.
            self._call_on_pre_connect(self._dispatcher.call_elsewhere)
        settings, spoke_5 = self._connection_settings, self._speaks_5
        options = settings.connect_options(make_headers=report_first)
        if settings.proxy is None and any(one.transport != "unix" for one in options.brokers):
            self._tell_what_is_passed_by()
        if settings.prefix is None:
            for line in cleartext.falls_back(settings, options.brokers):
                write(logger.warning, "%s", line)
        self._settings_changed = False
        self._server_keepalive = None
        self._speaks_5 = settings.protocol_version == MQTTv5
        # The connection's thread may ask as soon as it runs.
        self._ask()
        try:
            by_handler = is_handler(self._core)
            with self._dispatcher.connecting():
                goes_on = self._dispatcher.running
                attempt = self._connect_core(options, report_first, goes_on, by_handler)
        except BaseException:
            # A connection that there is goes on, and its next attempt is made with these.
            self._settings_changed, self._speaks_5 = True, spoke_5
            self._ask()
            raise
        self._used_settings = settings
        return attempt

    def _connect_core(self, options: ConnectOptions, *arguments: Any) -> Attempt:
        try:
            return self._core.connect(options, *arguments)
        except OSError as error:
            if options.persistence is None or error.errno != errno.EBUSY:
                raise
            # It may be that of a client that nobody has any more, and that is to be collected.
            gc.collect()
            if not departing():
                raise
        return self._core.connect(options, *arguments)

    def _tell_what_is_passed_by(self) -> None:
        """Log what the application has done for sockets, and this connection does not use."""
        settings = self._connection_settings
        bare = settings.prefix is None
        for text in passed_by("proxy_set()" if bare else settings.key("proxy")):
            if text not in self._passed_by:
                self._passed_by |= {text}
                write(logger.warning, text, extra=fields(self._core, "passed_by"))

    def _attempt_event(self) -> None:
        if not self._core.is_asking():
            # The connection was ended in the meantime.
            return
        self._guarded(super()._attempt_event)
        self._settings_changed = False
        try:
            settings = self._connection_settings
            self._core.answer(settings.connect_options())
            self._speaks_5 = settings.protocol_version == MQTTv5
            self._used_settings = settings
        except BaseException as error:
            # The connection's thread waits for an answer.
            self._core.answer(None)
            if goes_on(error):
                raise
            forget(error)
            text = "No connection can be made with the new settings; those before stay"
            write(logger.exception, text, extra=fields(self._core, "settings_refused"))
        self._ask()
        # Reading certificates may take longer than a handler.
        self._dispatcher.caller.begin()
