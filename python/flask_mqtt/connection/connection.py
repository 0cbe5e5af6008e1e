"""The connection of a client: making it, ending it, and waiting for what the core does."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, cast

from .._core import Attempt, Waiter
from .._core import Client as CoreClient
from ..config import Config
from ..discretion import discreet
from ..paho.constants import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    MQTT_LOG_DEBUG,
)
from ..paho.enums import CallbackAPIVersion, MQTTErrorCode
from ..paho.reasoncodes import PacketTypes, ReasonCode
from ..process.ends import DISCONNECT_TIMEOUT
from ..process.forks import ChildCore, notice, watch
from ..process.standby import Inherited, Unprepared
from ..records import fields, write
from ..waiting import wait_for
from .attributes import ClientAttributes

logger = logging.getLogger("flask_mqtt")

#: How long writing and closing the file of ``MQTT_PERSISTENCE`` may take, in seconds.
FILE_TIMEOUT = 5.0

#: How much longer than the time of its steps an attempt to connect may take, in seconds.
_SPARE = 10.0


class Connection(ClientAttributes):
    """Connecting and disconnecting. What has the connection is a thread of the core's."""

    #: The extension's bookkeeping in a forked child.
    _fork_hook: Callable[[], None] | None = None
    #: What refuses messages in a forked child that has not connected; it is `_core` then.
    _inherited: Inherited | None = None

    def __init__(self, version: CallbackAPIVersion, userdata: Any) -> None:
        """Start without a connection."""
        super().__init__(version, userdata)
        # In a forked child, `reinitialise` has made another core.
        self._inherited = None
        watch(self)

    @discreet
    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Any = None,
    ) -> MQTTErrorCode:
        """Open a connection and return when the broker has been reached.

        That is when TCP, and TLS and the websocket where there are some, are there. A connection
        that there is ends first. Lost later, it is made again until `disconnect`.

        Where this raises, automatic attempts follow, with the new arguments, if there was a
        connection, one was tried, or a loop runs. Otherwise they begin with `loop_start` or
        `loop_forever`.

        Args:
            host: Host name or address, a URL, or the path of a unix socket with that transport.
                Several URLs, with commas between them, are tried in turn.
            port: TCP port.
            keepalive: Seconds between packets before a PINGREQ; 0 switches that off.
            bind_address: Local address to connect from.
            bind_port: 0; the system chooses the local port.
            clean_start: For MQTT 5: True or False replaces ``clean_session``. By default that holds
                until the broker has accepted a connection, and the session goes on with the next
                (MQTT 5.0, 3.1.2.4).
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``. What the broker answers is `on_connect`'s. ``MQTT_ERR_NO_CONN``
            where another thread has called `disconnect`, `connect` or `reconnect` before there was
            a connection: what there is now is that call's.

        Raises:
            OSError: ``ConnectionRefusedError``, ``socket.gaierror``, ``ssl.SSLError``,
                ``TimeoutError`` and so on.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._aim(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return self._open_connection()

    @discreet
    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Any = None,
    ) -> None:
        """Connect when `loop_start` is called, and go on trying until it works.

        `loop_forever` connects too, and goes on trying where it is told to.

        The arguments are those of `connect`.
        """
        self._aim(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        self._open_connection_async()

    @discreet
    def reconnect(self) -> MQTTErrorCode:
        """Do as `connect` did the last time.

        Raises:
            ValueError: There was no last time.
            OSError: As `connect`.
        """
        if not self._has_host:
            raise ValueError("there is no host to connect to again: call connect() first")
        return self._open_connection()

    def _open_connection(self) -> MQTTErrorCode:
        """Connect as `connect` does, with the present settings."""
        self._notice_fork()
        self._connect_with_loop = False
        self._has_host = True
        had_file, was_wanted = self._core.is_keeping(), self._core.is_wanted()
        try:
            attempt = self._start_connecting(report_first=True)
            self._wait_for_attempt(attempt.waiter())
            succeeded = attempt.outcome()
        except Exception:
            if not self._core.is_wanted():
                self._retry_with_loop = True
                # Who tries again with another client can have it.
                if not had_file:
                    self._close_file()
            if not self._core.is_connected():
                self._gone()
            raise
        except BaseException:
            # As Ctrl-C. It leaves no attempt that nobody knows of, nor a file that nobody can open.
            if not was_wanted:
                self._tell_end()
                self._core.close_file()
            raise
        self._retry_with_loop = False
        if not succeeded:
            return MQTT_ERR_NO_CONN
        self._socket_opened()
        return MQTT_ERR_SUCCESS

    def _wait_for_attempt(self, waiter: Waiter) -> None:
        # Each step has a bound, so what takes longer hangs.
        settings = cast("Config", self._used_settings)
        reaching, handshake = settings.connection_timeout, settings.handshake_timeout
        brokers = len(settings.endpoints())
        longest = DISCONNECT_TIMEOUT + brokers * (reaching + max(reaching, handshake)) + _SPARE
        if not wait_for(waiter, longest):
            self._tell_end()
            raise TimeoutError(f"the thread of the connection has not answered in {longest} s")

    def _open_connection_async(self) -> None:
        """Connect as `connect_async` does, with the present settings."""
        self._notice_fork()
        self._has_host = True
        self._connect_with_loop = True
        if self._dispatcher.running:
            self._connect_now()

    def _connect_now(self) -> None:
        self._start_connecting(report_first=False)
        self._connect_with_loop = self._retry_with_loop = False

    @discreet
    def disconnect(self, reasoncode: int | None = None, properties: Any = None) -> MQTTErrorCode:
        """Send DISCONNECT, so that no will is published, and stop reconnecting.

        `on_disconnect` follows with rc 0: from the dispatcher's thread, or from here where that
        does not run.

        Args:
            reasoncode: For MQTT 5: why, as a number or a `ReasonCode`; 4 has the will published.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` where there was no connection.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed, or there is one before MQTT 5.
        """
        self._notice_fork()
        self._check_properties(properties)
        reason = 0
        if reasoncode is not None:
            self._need_5("reasoncode")
            # Another class with this attribute is paho's.
            number = getattr(reasoncode, "value", reasoncode)
            if not isinstance(number, int):
                raise TypeError(f"reasoncode {number!r}: it must be a number or a ReasonCode")
            # With -1 a ReasonCode looks for a name.
            if number < 0:
                raise ValueError(f"reasoncode {number}: it must be from 0 to 255")
            reason = int(ReasonCode(PacketTypes.DISCONNECT, identifier=number))
        self._connect_with_loop = self._retry_with_loop = False
        was_open = self._core.is_open()
        if self._dispatcher.running:
            self._is_ending = self._is_ending or was_open
            self._core.disconnect(report=True, reason=reason, properties=properties)
        else:
            waiter = self._core.disconnect(report=False, reason=reason, properties=properties)
            try:
                if was_open:
                    self._log_event(MQTT_LOG_DEBUG, "Sending DISCONNECT")
                self._wait_for_end(waiter)
            finally:
                # It ends also where Ctrl-C ends the wait.
                if was_open:
                    self._disconnected_event(MQTT_ERR_SUCCESS)
        return MQTT_ERR_SUCCESS if was_open else MQTT_ERR_NO_CONN

    def is_connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        self._notice_fork()
        return self._core.is_connected()

    def close(self) -> None:
        """End the connection with a DISCONNECT and wait, for a bounded time, for its thread.

        The file of ``MQTT_PERSISTENCE`` is free for another process then.
        """
        self._part()()

    def _part(self) -> Callable[[], None]:
        """Have the connection end. Returns what waits for that and does the rest of `close`."""
        self._notice_fork()
        was_open = self._core.is_open()
        waiter = self._tell_end()
        # From now on, also where others are waited for before this one.
        until = time.monotonic() + DISCONNECT_TIMEOUT

        def finish() -> None:
            try:
                self._finish_end(waiter, until)
            finally:
                self._gone()
                if was_open:
                    self._log_change("disconnected", "Disconnected from", rc=0)

        return finish

    def _end_connection(self) -> None:
        self._finish_end(self._tell_end(), time.monotonic() + DISCONNECT_TIMEOUT)

    def _finish_end(self, waiter: Waiter | None, until: float) -> None:
        try:
            self._wait_for_end(waiter, until - time.monotonic())
        finally:
            self._close_file(until + FILE_TIMEOUT - time.monotonic())

    def _tell_end(self) -> Waiter | None:
        self._connect_with_loop = self._retry_with_loop = False
        return self._core.disconnect(report=False, reason=0, properties=None)

    def _close_file(self, left: float = FILE_TIMEOUT) -> None:
        waiter = self._core.close_file()
        if waiter is not None and not wait_for(waiter, min(max(left, 0.0), FILE_TIMEOUT)):
            extra = fields(self._core, "not_stored", seconds=FILE_TIMEOUT)
            text = "What is to be kept was not written within %s s"
            write(logger.error, text, FILE_TIMEOUT, extra=extra)

    def _refuse_new(self) -> None:
        self._notice_fork()
        self._core.refuse_new()

    def _tell_what_is_lost(self) -> None:
        """Log how many messages end with the process."""
        count = self._core.only_in_memory()
        if count:
            extra = fields(self._core, "lost_at_exit", count=count)
            key = self._connection_settings.key("persistence")
            text = (
                "%s messages with QoS 1 or 2 are lost with the process: the broker has not "
                "acknowledged them, and no file (%s) has them"
            )
            write(logger.warning, text, count, key, extra=extra)

    def _wait_for_end(self, waiter: Waiter | None, left: float = DISCONNECT_TIMEOUT) -> None:
        if waiter is not None and not wait_for(waiter, max(left, 0.0)):
            extra = fields(self._core, "not_ended", seconds=DISCONNECT_TIMEOUT)
            text = "The MQTT connection did not end within %s s"
            write(logger.warning, text, DISCONNECT_TIMEOUT, extra=extra)

    # -- forks ------------------------------------------------------------------------------------

    def _start_connecting(self, *, report_first: bool) -> Attempt:
        if isinstance(self._inherited, Unprepared):
            # What was in the way may be gone.
            self._forked((self._inherited.core, self._inherited.was_connected))
        attempt = super()._start_connecting(report_first=report_first)
        if self._inherited is not None:
            self._core, self._inherited = self._inherited.core, None
        return attempt

    def _child_core(self) -> ChildCore:
        """Make a core for a child that is about to be forked. What it needs may be locked there."""
        self._notice_fork()
        return self._core.for_child(), self._inherited is not None or self._core.is_running()

    def _notice_fork(self) -> None:
        if self._core.is_foreign():
            notice()

    def _forked(self, child_core: ChildCore | None) -> None:
        """Be without a connection in a forked child: threads, and what they hold, are the parent's.

        Args:
            child_core: What `_child_core` has made, where it was called.
        """
        if child_core is None:
            core, was_connected = self._core.in_child()
            was_connected = was_connected or self._inherited is not None
        else:
            core, was_connected = child_core
            core.claim()
        # Whatever fails from here on, the parent's connection is out of reach.
        unprepared = Unprepared(core, was_connected)
        self._refuse(unprepared)
        try:
            self._be_in_child(core)
        except Exception as error:  # noqa: BLE001 - the other clients are to be prepared all the same
            unprepared.error = error
            return
        if was_connected:
            self._refuse(Inherited(core))
        else:
            # It is no news that there is no connection.
            self._core, self._inherited = core, None

    def _refuse(self, inherited: Inherited) -> None:
        self._core, self._inherited = cast("CoreClient", inherited), inherited

    def _be_in_child(self, core: CoreClient) -> None:
        self._dispatcher.forked(core)
        self._unseen = None
        self._in_on_connect = self._is_ending = False
        self._ended_with = 0
        self._sockets.forked()
        # What has to be said to a new core.
        self._change_settings()
        self._handlers_changed()
        if self._fork_hook is not None:
            self._fork_hook()
