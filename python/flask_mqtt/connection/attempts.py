"""Supplies each attempt to connect with settings, after calling `on_pre_connect`."""

from __future__ import annotations

import errno
import gc
import logging
from typing import TYPE_CHECKING, Any

from .._core import Attempt, departing
from ..config import Config, cleartext
from ..discretion import forget
from ..guards import goes_on
from ..handlers.scope import is_handler
from ..paho.constants import MQTTv5
from ..records import fields, write
from ..waiting import are_threads_green, wait_for
from .replaced import passed_by

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from ..config.options import ConnectOptions
    from ..core_holder import CoreHolder
    from ..dispatch.events import Events
    from .settings import ConnectionSettings

logger = logging.getLogger("flask_mqtt")


class Attempts:
    """Passes settings to the core.

    `connect` passes them along. Before a later attempt the core asks for them if they may differ:
    they were changed, a function makes headers, or `on_pre_connect` is set.
    """

    def __init__(self, holder: CoreHolder, settings: ConnectionSettings, events: Events) -> None:
        """Answer for a client.

        Args:
            holder: Has its core.
            settings: What attempts are made with.
            events: Brings the requests for settings.
        """
        self._holder = holder
        self._settings = settings
        self._events = events
        #: What `passed_by` has found so far, so that each line is logged only once.
        self._passed_by: frozenset[str] = frozenset()
        events.refresh_with(self._refresh)

    def start(self, *, report_first: bool) -> Attempt:
        """Have the core connect with the present settings.

        Args:
            report_first: Whether the first attempt is the caller's, who hears how it went.

        Raises:
            OSError: What it takes cannot be had, as a file of the settings.
            ValueError: The settings do not go together.
        """
        dispatcher = self._events.dispatcher
        if report_first:
            # A handler that connects has a context of its own.
            self._events.call_on_pre_connect(dispatcher.call_elsewhere)
        settings, spoke_5 = self._settings.config, self._events.speaks_5
        options = settings.connect_options(make_headers=report_first)
        self._warn(settings, options)
        self._settings.take()
        self._events.reports.forget_keepalive()
        self._events.set_version(speaks_5=settings.protocol_version == MQTTv5)
        # The connection's thread may ask as soon as it runs.
        self._settings.announce()
        try:
            by_handler = is_handler(self._holder.core)
            with dispatcher.connecting():
                attempt = self._connect(options, report_first, dispatcher.running, by_handler)
        except BaseException:
            # An earlier connection goes on, and its next attempt needs the earlier settings.
            self._events.set_version(speaks_5=spoke_5)
            self._settings.give_back()
            raise
        self._settings.use(settings)
        return attempt

    def _warn(self, settings: Config, options: ConnectOptions) -> None:
        if settings.proxy is None and any(one.transport != "unix" for one in options.brokers):
            self._tell_what_is_passed_by(settings)
        if settings.key_prefix is None:
            for line in cleartext.falls_back(settings, options.brokers):
                write(logger.warning, "%s", line)

    def _connect(self, options: ConnectOptions, *arguments: Any) -> Attempt:
        try:
            return self._connect_once(options, *arguments)
        except OSError as error:
            if options.persistence is None or error.errno != errno.EBUSY:
                raise
            # It may be that of a client that nobody has any more, and that is to be collected.
            gc.collect()
            if not departing():
                raise
        return self._connect_once(options, *arguments)

    def _connect_once(self, options: ConnectOptions, *arguments: Any) -> Attempt:
        core = self._holder.core
        has_opened = _open_file(core, options)
        try:
            return core.connect(options, *arguments)
        except BaseException:
            if has_opened:
                # Another client may now open it.
                core.close_file()
            raise

    def _tell_what_is_passed_by(self, settings: Config) -> None:
        """Log what the application has done for sockets, and this connection does not use."""
        bare = settings.key_prefix is None
        for text in passed_by("proxy_set()" if bare else settings.key("proxy")):
            if text not in self._passed_by:
                self._passed_by |= {text}
                write(logger.warning, text, extra=fields(self._holder.core, "passed_by"))

    def _refresh(self) -> None:
        """Answer the connection's thread, which asks for the settings of its next attempt."""
        events = self._events
        if not self._holder.core.is_asking():
            # The connection was ended in the meantime.
            return
        events.guarded(events.call_on_pre_connect, events.dispatcher.call)
        # A handler that forks has another one in the child.
        core = self._holder.core
        try:
            settings = self._settings.take()
            core.answer(settings.connect_options())
            events.set_version(speaks_5=settings.protocol_version == MQTTv5)
            self._settings.use(settings)
        except BaseException as error:
            # The connection's thread waits for an answer.
            core.answer(None)
            if goes_on(error):
                raise
            forget(error)
            text = "The new settings are invalid; keeping the previous ones"
            write(logger.exception, text, extra=fields(core, "settings_refused"))
        self._settings.announce()
        # Reading certificates may take longer than a handler.
        events.dispatcher.caller.begin()


def _open_file(core: CoreClient, options: ConnectOptions) -> bool:
    """Open the file of ``MQTT_PERSISTENCE`` for a green thread, which must not block the others.

    Otherwise `connect` opens it: that waits for a moment for whoever has the file.

    Returns:
        Whether it was opened here.
    """
    if options.persistence is None or not are_threads_green():
        return False
    opening = core.open_file(options)
    wait_for(opening.waiter())
    return opening.outcome()
