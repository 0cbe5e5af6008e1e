"""Who calls the handlers: a thread of the client's, or a thread of the application's."""

from __future__ import annotations

import logging
import threading

from ..discretion import discreet
from ..paho.constants import MQTT_ERR_INVAL, MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from ..paho.enums import MQTTErrorCode
from ..records import fields, write
from .base import Base

logger = logging.getLogger("flask_mqtt")

#: How long a handler that is running may hold up `loop_stop`, in seconds.
STOP_TIMEOUT = 5.0


class Loops(Base):
    """The ``loop*`` methods. The connection has a thread of its own and needs none of them."""

    @discreet
    def loop_start(self) -> MQTTErrorCode:
        """Start a thread that calls handlers, and connect where `connect_async` was called.

        It also connects where `connect` has raised, and nothing has tried since.

        With the connection that `disconnect` has ended, the thread ends too, after `on_disconnect`;
        the next connection starts it again.

        With ``handler_threads`` above 1 in the settings, it starts so many to handle messages.
        Called by a handler after `loop_stop`, the thread begins when that handler has returned.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_INVAL`` where handlers are called already.
        """
        self._parts.holder.notice_fork()
        if self._parts.dispatcher.working:
            return MQTT_ERR_INVAL
        # A bad file is an exception here, which leaves no thread behind.
        if self._parts.connection.connect_with_loop():
            return MQTT_ERR_SUCCESS
        if not self._parts.dispatcher.start(self._parts.settings.config.handler_threads):
            return MQTT_ERR_INVAL
        return MQTT_ERR_SUCCESS

    def loop_stop(self) -> MQTTErrorCode:
        """Stop the threads of `loop_start`, after the handlers that are running.

        They get 5 s for that; what runs longer is logged. The connection stays, and events wait;
        after `disconnect`, `on_disconnect` comes first. A handler that calls this is the last one
        then.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_INVAL`` where `loop_start` was not called: `loop`
            and `loop_forever` end by themselves, or with `disconnect`.
        """
        self._parts.holder.notice_fork()
        if not self._parts.dispatcher.started:
            return MQTT_ERR_INVAL
        stopped = self._parts.dispatcher.stop(STOP_TIMEOUT, lambda: self._parts.events.is_ending)
        if not stopped and not self._parts.dispatcher.is_current_thread:
            extra = fields(self._parts.holder.core, "handler_running", seconds=STOP_TIMEOUT)
            text = "An MQTT handler is still running after %s s"
            write(logger.warning, text, STOP_TIMEOUT, extra=extra)
        return MQTT_ERR_SUCCESS

    @discreet
    def loop(self, timeout: float = 1.0) -> MQTTErrorCode:
        """Call the handlers of pending events in this thread, or wait for an event.

        What a handler raises is logged, but for ``KeyboardInterrupt`` and ``SystemExit``, which go
        on to the caller. The message is not acknowledged then, so one with QoS 1 or 2 comes again
        with a later connection. Whatever interrupts this, nothing else of what was fetched is lost:
        the next call goes on with it, as the threads of `loop_start` do.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            ``MQTT_ERR_SUCCESS``; ``MQTT_ERR_NO_CONN`` without a connection, also before the next
            attempt; if the connection has ended just now, the reason for that;
            ``MQTT_ERR_INVAL`` after `loop_start`, or in a handler.

        Raises:
            TypeError: The timeout is no number.
            ValueError: The timeout is negative.
        """
        timeout = _checked_timeout(timeout)
        self._parts.holder.notice_fork()
        if self._parts.dispatcher.working or self._parts.dispatcher.is_current_thread:
            return MQTT_ERR_INVAL
        self._parts.events.forget_end()
        # Without a connection's thread nothing can come that is worth waiting for.
        timeout = timeout if self._parts.holder.core.is_running() else 0
        if self._parts.dispatcher.run_here(timeout) is None:
            return MQTT_ERR_INVAL
        if self._parts.holder.core.is_open() and not self._parts.events.ended_with:
            return MQTT_ERR_SUCCESS
        # It may have ended just now, and why is there to be fetched.
        self._parts.dispatcher.run_here(0)
        return MQTTErrorCode(self._parts.events.ended_with or MQTT_ERR_NO_CONN)

    @discreet
    def loop_forever(
        self, timeout: float = 1.0, retry_first_connection: bool = False
    ) -> MQTTErrorCode:
        """Call handlers in this thread until `disconnect`, and connect first after `connect_async`.

        Where `connect` has raised, it goes on trying. Where another thread calls the handlers, as
        after `loop_start`, this one waits for that. It also returns when a connection has ended
        that is not to be made again (``reconnect_on_failure``), and with `loop_stop`. What a
        handler raises is treated as by `loop`.

        Args:
            timeout: Seconds after which a look is taken whether to go on, though nothing happened.
            retry_first_connection: Whether to go on trying where the connection of `connect_async`
                cannot be made, unless ``reconnect_on_failure`` is False.

        Returns:
            Why the connection ended; ``MQTT_ERR_NO_CONN`` after `disconnect`, and where there is
            nothing to wait for; ``MQTT_ERR_INVAL`` in a handler.

        Raises:
            OSError: The connection of `connect_async` could not be made.
            TypeError: The timeout is no number.
            ValueError: The timeout is negative, or there was no `connect` before.
        """
        timeout = _checked_timeout(timeout)
        self._parts.holder.notice_fork()
        if self._parts.dispatcher.is_current_thread:
            return MQTT_ERR_INVAL
        self._parts.events.forget_end()
        self._parts.connection.connect_first(retry=retry_first_connection)
        if self._parts.dispatcher.started:
            self._parts.dispatcher.wait_for_rest()
            return MQTTErrorCode(self._parts.events.ended_with or MQTT_ERR_NO_CONN)
        # Another thread may be in one of these methods, or be the first to begin.
        while True:
            self._parts.dispatcher.wait_for_rest()
            if (
                self._parts.dispatcher.run_here(timeout, self._parts.holder.core.is_running)
                is not None
            ):
                break
        # What came before the connection's thread ended may be there still.
        while self._parts.dispatcher.run_here(0):
            pass
        return MQTTErrorCode(self._parts.events.ended_with or MQTT_ERR_NO_CONN)


def _checked_timeout(timeout: float) -> float:
    wanted = "it must be a number of seconds from 0 on"
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout {timeout!r}: {wanted}")
    # Not `timeout < 0`, which is false for NaN.
    if not timeout >= 0:
        raise ValueError(f"timeout {timeout!r}: {wanted}")
    return min(timeout, threading.TIMEOUT_MAX)
