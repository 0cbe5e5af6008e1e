"""The connection of a client: making it, ending it, and waiting for what the core does."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from ..config import Config
from ..dispatch.tap import Disconnected
from ..paho.constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, MQTT_LOG_DEBUG
from ..paho.enums import MQTTErrorCode
from ..process.ends import DISCONNECT_TIMEOUT, HANDLING_TIMEOUT
from ..process.standby import Need, Standby
from ..records import fields, write
from ..waiting import WakeUps, wait_for
from .attempts import Attempts
from .sharing import Sharing

if TYPE_CHECKING:
    from .._core import Attempt, Waiter
    from .._core import Client as CoreClient
    from ..core_holder import CoreHolder
    from ..dispatch.events import Events
    from ..handlers.registry import HandlerRegistry
    from ..process.members import ChildCore
    from .settings import ConnectionSettings

logger = logging.getLogger("flask_mqtt")

#: How long writing and closing the file of ``MQTT_PERSISTENCE`` may take, in seconds.
FILE_TIMEOUT = 5.0

#: How much longer than the time of its steps an attempt to connect may take, in seconds.
_SPARE = 10.0


class Connection:
    """Connecting and disconnecting. What has the connection is a thread of the core's."""

    def __init__(
        self,
        holder: CoreHolder,
        registry: HandlerRegistry,
        events: Events,
        settings: ConnectionSettings,
    ) -> None:
        """Start without a connection.

        Args:
            holder: Has the core of the client.
            registry: Has its handlers.
            events: What happens on the connection.
            settings: What it is made with.
        """
        self._holder = holder
        self._registry = registry
        self._events = events
        self._settings = settings
        self._attempts = Attempts(holder, settings, events)
        #: Makes the subscriptions shared ones, where that is wanted.
        self.sharing = Sharing(holder, events, settings)
        self._standby = Standby(holder, self._be_in_child, self._first_use, events.take_reports)
        #: Whether there is a host to connect to.
        self.has_host = False
        #: Whether `connect_async` was called, and nothing has connected since.
        self._waits_for_loop = False
        #: Whether `connect` has raised, and nothing tries to connect since.
        self._retries_with_loop = False

    @property
    def host(self) -> str:
        """Host name or address of the broker, or the path of its socket; empty before `connect`."""
        return self._settings.first_broker.host if self.has_host else ""

    def host_given(self) -> None:
        """Connect to the host of the settings when asked to: it was assigned."""
        self.has_host = True

    @property
    def keepalive(self) -> int:
        """Seconds between packets before a PINGREQ: the broker's choice, if it made one."""
        chosen = self._events.reports.server_keepalive
        return self._settings.config.keepalive if chosen is None else chosen

    def handlers_changed(self) -> None:
        """Tell the core which events have handlers, after a handler was set or removed."""
        self._holder.notice_fork()
        self._events.handlers_changed()
        self._settings.announce()

    @property
    def is_wanted(self) -> bool:
        """Whether the client is connected, connecting, or will connect when the loop starts."""
        return self._waits_for_loop or self._holder.core.is_wanted()

    def runs_with(self, values: Config) -> bool:
        """Whether the client is connected or connecting with these values already.

        Args:
            values: Those of the extension.
        """
        self._holder.notice_fork()
        return self._holder.core.is_wanted() and self._settings.are_used_with(values)

    def forget(self, topics: list[str]) -> None:
        """Not subscribe to these filters any more from the next connection on."""
        self._holder.notice_fork()
        self._holder.core.forget([self.sharing.filter(topic) for topic in topics])

    # -- beginning --------------------------------------------------------------------------------

    def open(self) -> MQTTErrorCode:
        """Connect as `connect` does, with the present settings."""
        self._holder.notice_fork()
        self._waits_for_loop = False
        self.has_host = True
        had_file, was_wanted = self._holder.core.is_keeping(), self._holder.core.is_wanted()
        try:
            attempt = self._start(report_first=True)
            self._wait_for_attempt(attempt.waiter())
            succeeded = attempt.outcome()
        except Exception:
            if not self._holder.core.is_wanted():
                self._retries_with_loop = True
                # Who tries again with another client can have it.
                if not had_file:
                    self._close_file()
            if not self._holder.core.is_connected():
                self._events.gone()
            raise
        except BaseException:
            # As Ctrl-C. It leaves no attempt that nobody knows of, nor a file that nobody can open.
            if not was_wanted:
                self._tell_end()
                self._holder.core.close_file()
            raise
        self._retries_with_loop = False
        if not succeeded:
            return MQTT_ERR_NO_CONN
        self._events.socket_opened()
        return MQTT_ERR_SUCCESS

    def _wait_for_attempt(self, waiter: Waiter) -> None:
        # Each step has a bound, so what takes longer hangs.
        settings = cast("Config", self._settings.used)
        reaching, handshake = settings.connection_timeout, settings.handshake_timeout
        brokers = len(settings.endpoints())
        longest = DISCONNECT_TIMEOUT + brokers * (reaching + max(reaching, handshake)) + _SPARE
        if not wait_for(waiter, longest):
            self._tell_end()
            raise TimeoutError(f"the connection's thread did not respond within {longest} s")

    def open_async(self) -> None:
        """Connect as `connect_async` does, with the present settings."""
        self._holder.notice_fork()
        self.has_host = True
        self._waits_for_loop = True
        if self._events.dispatcher.running:
            self._connect_now()

    def connect_with_loop(self) -> bool:
        """Connect when the loop starts, after `connect_async` or a failed `connect`.

        Returns:
            Whether that was the first use, which has started the loop too.
        """
        if self._standby.waits and self._first_use(Need.SERVING):
            return True
        if self._waits_for_loop or self._retries_with_loop:
            self._connect_now()
        return False

    def connect_first(self, *, retry: bool) -> None:
        """Connect as `connect_with_loop` does, and retry if that is wanted.

        Args:
            retry: Whether what `connect_async` has left is tried again where it cannot be made.

        Raises:
            OSError: It could not be made.
            ValueError: There is no host.
        """
        if not self.has_host:
            raise ValueError("there is no host to connect to: call connect() first")
        if self._retries_with_loop or (self._waits_for_loop and retry):
            self._connect_now()
        elif self._waits_for_loop:
            try:
                self.open()
            except OSError:
                # paho does so here, and does not where `connect` raises.
                self._events.connect_failed()
                raise

    def _connect_now(self) -> None:
        self._start(report_first=False)
        self._waits_for_loop = self._retries_with_loop = False

    def _start(self, *, report_first: bool) -> Attempt:
        self._standby.try_again()
        attempt = self._attempts.start(report_first=report_first)
        self._standby.end()
        return attempt

    # -- end --------------------------------------------------------------------------------------

    def disconnect(self, reason: int, properties: Any) -> MQTTErrorCode:
        """Send DISCONNECT, stop reconnecting, and have `on_disconnect` called.

        Args:
            reason: The reason code, 0 before MQTT 5.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` where there was no connection.
        """
        self._waits_for_loop = self._retries_with_loop = False
        self._events.dispatcher.finish(time.monotonic() + HANDLING_TIMEOUT)
        was_open = self._holder.core.is_open()
        if self._events.dispatcher.running:
            if was_open:
                self._events.expect_end()
            self._holder.core.disconnect(report=True, reason=reason, properties=properties)
        else:
            waiter = self._holder.core.disconnect(
                report=False, reason=reason, properties=properties
            )
            try:
                if was_open:
                    self._events.log(MQTT_LOG_DEBUG, "Sending DISCONNECT")
                self._wait_for_end(waiter)
            finally:
                # It ends also where Ctrl-C ends the wait.
                if was_open:
                    self._events.disconnected(MQTT_ERR_SUCCESS)
        return MQTT_ERR_SUCCESS if was_open else MQTT_ERR_NO_CONN

    def close(self) -> None:
        """End the connection as `close` does, and wait for that."""
        begun = time.monotonic()
        self._holder.notice_fork()
        self._events.dispatcher.finish(begun + HANDLING_TIMEOUT)
        self.begin_end(begun + DISCONNECT_TIMEOUT)()

    def begin_end(self, until: float) -> Callable[[], None]:
        """Begin to disconnect. Returns a function that waits for the end and finishes `close`.

        Args:
            until: Until when that waits, in seconds of the monotonic clock.
        """
        self._holder.notice_fork()
        was_open = self._holder.core.is_open()
        waiter = self._tell_end()

        def finish() -> None:
            try:
                self._finish_end(waiter, until)
            finally:
                self._events.log_rest()
                self._events.gone()
                if was_open:
                    self._events.dispatcher.tap.tell(Disconnected(MQTT_ERR_SUCCESS, None))
                    self._events.reports.log_change("disconnected", "Disconnected from", rc=0)

        return finish

    def end(self) -> None:
        """End the connection, and wait for that and for the file."""
        self._finish_end(self._tell_end(), time.monotonic() + DISCONNECT_TIMEOUT)

    def _finish_end(self, waiter: Waiter | None, until: float) -> None:
        try:
            self._wait_for_end(waiter, until - time.monotonic())
        finally:
            self._close_file(until + FILE_TIMEOUT - time.monotonic())

    def _tell_end(self) -> Waiter | None:
        self._waits_for_loop = self._retries_with_loop = False
        return self._holder.core.disconnect(report=False, reason=0, properties=None)

    def _close_file(self, left: float = FILE_TIMEOUT) -> None:
        waiter = self._holder.core.close_file()
        if waiter is not None and not wait_for(waiter, min(max(left, 0.0), FILE_TIMEOUT)):
            extra = fields(self._holder.core, "not_stored", seconds=FILE_TIMEOUT)
            text = "%s: pending messages were not written within %s s"
            key = self._settings.config.key("persistence")
            write(logger.error, text, key, FILE_TIMEOUT, extra=extra)

    def halt(self) -> None:
        """Have no further handler begin, but for those of what handlers have kept for later."""
        self._holder.notice_fork()
        self._events.dispatcher.halt()

    def finish_handling(self, until: float) -> None:
        """Wait for the handlers that run, and for what they have kept, after `halt`.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """
        self._holder.notice_fork()
        if not self._events.dispatcher.wait_for_handlers(until):
            extra = fields(self._holder.core, "handler_running", seconds=HANDLING_TIMEOUT)
            text = (
                "An MQTT handler is still running after %s s: the process ends, and the message is "
                "not acknowledged"
            )
            write(logger.warning, text, HANDLING_TIMEOUT, extra=extra)
        self._events.dispatcher.finish(until)

    def refuse_new(self) -> None:
        """Accept no more messages of QoS 1 and 2."""
        self._holder.notice_fork()
        self._holder.core.refuse_new()

    def report_lost(self) -> None:
        """Log how many messages end with the process."""
        count = self._holder.core.only_in_memory()
        if count:
            extra = fields(self._holder.core, "lost_at_exit", count=count)
            key = self._settings.config.key("persistence")
            text = (
                "%s messages with QoS 1 or 2 are lost with the process: the broker has not "
                "acknowledged them, and no file (%s) has them"
            )
            write(logger.warning, text, count, key, extra=extra)

    def _wait_for_end(self, waiter: Waiter | None, left: float = DISCONNECT_TIMEOUT) -> None:
        if waiter is not None and not wait_for(waiter, max(left, 0.0)):
            extra = fields(self._holder.core, "not_ended", seconds=DISCONNECT_TIMEOUT)
            text = "The MQTT connection did not end within %s s"
            write(logger.warning, text, DISCONNECT_TIMEOUT, extra=extra)

    # -- forks ------------------------------------------------------------------------------------

    def child_core(self) -> ChildCore:
        """Make a core for a child that is about to be forked. What it needs may be locked there."""
        return self._standby.child_core()

    def is_foreign(self) -> bool:
        """Whether it is the parent's, and this process a forked child."""
        return self._holder.core.is_foreign()

    def forked(self, child_core: ChildCore | None) -> None:
        """Be without a connection in a forked child.

        Args:
            child_core: What `child_core` has made, where it was called.
        """
        self._standby.forked(child_core)

    def _be_in_child(self, core: CoreClient, was_connected: bool) -> bool:
        self._events.forked(core)
        # What has to be said to a new core.
        self._settings.change()
        self.handlers_changed()
        hooks = self._registry.hooks
        return hooks is not None and hooks.forked(was_connected)

    # -- first use --------------------------------------------------------------------------------

    def wait_for_first_use(self) -> None:
        """Connect when the client is used for the first time, after `open_async`."""
        self._standby.wait()

    def publish_only(self, *, is_open: bool) -> None:
        """Do without a thread that calls handlers: subscriptions wait, and so do handlers.

        Args:
            is_open: Whether `open` has succeeded. Then this waits, within
                ``MQTT_HANDSHAKE_TIMEOUT``, for the broker's answer. Otherwise further attempts
                follow, unless not even the first one could begin.
        """
        if not is_open:
            self.connect_with_loop()
        if self.is_wanted:
            self._standby.publish_only()
            if is_open:
                self._wait_for_connack()

    def _wait_for_connack(self) -> None:
        core = self._holder.core
        deadline = time.monotonic() + cast("Config", self._settings.used).handshake_timeout
        with WakeUps(core) as wake_ups:
            while not self._events.take_reports() and not core.is_connected():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                wake_ups.wait(left)

    def _first_use(self, need: Need) -> bool:
        hooks = self._registry.hooks
        return hooks is not None and hooks.first_use(need)

    def making_first_use(self) -> contextlib.AbstractContextManager[None]:
        """Have other threads wait for the connection that is made meanwhile."""
        return self._standby.stays()
