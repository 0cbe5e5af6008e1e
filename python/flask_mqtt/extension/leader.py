"""Mode "leader" of ``MQTT_WORKER_MODE``: how a standby takes over, and who hears of it."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ..client import Client
from ..handlers.slots import HandlerSlot, check_decorated, with_parentheses
from ..process.ends import DISCONNECT_TIMEOUT
from ..records import fields, write
from . import driving
from .periodic import PeriodicThread
from .worker import Worker

if TYPE_CHECKING:
    from ..handlers.slots import Handler

logger = logging.getLogger("flask_mqtt")

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

#: Seconds between two attempts of a standby to become the leader.
_LOOK_SECONDS = 0.1

#: Seconds after which a leader that could not even begin to connect tries again.
_FAILURE_SECONDS = 5.0

_SLOT = HandlerSlot("on_leader", "client, userdata")


class Leadership:
    """Has a standby become the leader when there is none, and calls `on_leader`.

    A thread tries to take the leader's slot, which the kernel frees when its process ends. It does
    not wait in the kernel for that: it has to end with the client, and be a green thread.
    """

    def __init__(self, worker: Worker, take_over: Callable[[], bool]) -> None:
        """Be no candidate.

        Args:
            worker: Has the slot of this process.
            take_over: Called again and again in the thread of a candidate: takes the leader's slot
                if it is free, and connects as the leader. Returns whether it does.
        """
        self._worker = worker
        self._take_over = take_over
        self._thread = PeriodicThread("mqtt-leader", _LOOK_SECONDS, self._look)
        #: Guards `_is_candidate`, and is held while a standby takes over.
        self._lock = threading.RLock()
        self._is_candidate = False
        self._handler: Handler | None = None
        #: Since this worker is the leader: whether it has connected, and the handler was called.
        self._has_connected = self._is_told = False

    def stand(self) -> None:
        """Be a candidate, if this worker is a standby.

        Raises:
            RuntimeError: The system starts no other thread.
        """
        with self._lock:
            if self._worker.is_standby and not self._is_candidate:
                self._is_candidate = True
                self._thread.start()

    def stand_down(self) -> None:
        """Be no candidate, and wait for a take-over that has begun. A leader stays the leader."""
        self._thread.stop()
        with self._lock:
            self._is_candidate = False
            self._has_connected = self._is_told = False
        self._thread.wait(DISCONNECT_TIMEOUT)

    def forked(self) -> None:
        """Be no candidate, in a forked child: the parent may be the leader."""
        self._thread.forked()
        # A thread of the parent's may have had it.
        self._lock = threading.RLock()
        self._is_candidate = self._has_connected = self._is_told = False

    def _look(self) -> bool:
        with self._lock:
            if not self._is_candidate:
                return False
            try:
                if self._take_over():
                    return False
            except (OSError, ValueError) as error:
                if not self._worker.is_leader:
                    raise
                # No other worker could do better, so this one stays the leader. Other errors than
                # this one are logged.
                if isinstance(error, ValueError):
                    extra = fields(None, "connect_failed", error=str(error))
                    write(logger.error, "The leader cannot connect: %s", error, extra=extra)
            else:
                return True
        self._thread.pause(_FAILURE_SECONDS)
        return True

    # -- on_leader --------------------------------------------------------------------------------

    def set_handler(self, client: Any, handler: Handler) -> None:
        """Have a handler called when this worker is the leader, and connected as that.

        Args:
            client: The client.
            handler: Called as ``(client, userdata)``.

        Raises:
            TypeError: It cannot be called so.
        """
        check_decorated("on_leader", handler)
        _SLOT.check(handler, version_1=True)
        self._handler = handler
        self.warn()
        self._tell(client)

    def warn(self) -> None:
        """Warn of a handler that is never called, as the mode is another one."""
        mode, key = self._worker.mode, self._worker.mode_key
        if self._handler is not None and mode not in ("", "leader"):
            extra = fields(None, "no_leader", mode=mode)
            text = 'on_leader() has a handler that is never called: %s is %r, and not "leader"'
            write(logger.warning, text, key, mode, extra=extra)

    def connected(self, client: Any) -> None:
        """Have the handler called next, after `on_connect` of the first connection as the leader.

        Args:
            client: The client.
        """
        parts = driving.parts(client)
        # The event may be one of the connection before, as a standby.
        if parts is not None and self._worker.is_leader and parts.holder.core.is_connected():
            self._has_connected = True
            self._tell(client)

    def _tell(self, client: Any) -> None:
        parts, handler = driving.parts(client), self._handler
        if parts is None or handler is None or self._is_told or not self._has_connected:
            return
        dispatcher = parts.dispatcher

        @functools.wraps(handler)
        def step() -> Any:
            if self._is_told or not self._worker.is_leader:
                return None
            self._is_told = True
            return handler(dispatcher.client, dispatcher.userdata)

        dispatcher.call_at(0.0, step, "on_leader")


class Leading:
    """What an application sees of the leader."""

    client: Client
    _rs_worker: Worker
    _rs_leadership: Leadership

    @property
    def is_leader(self) -> bool:
        """Whether this worker is the leader: it handles the messages of this host.

        It is from the moment when it has taken over, before it has connected, and stays the leader
        until `close` or the end of the process, also without a connection. Always False unless
        ``MQTT_WORKER_MODE`` is ``"leader"``.
        """
        return self._rs_worker.is_leader

    @with_parentheses("mqtt.on_leader()")
    def on_leader(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata)`` that is called when this worker is the leader.

        It is called once, after `on_connect` of the first connection as the leader, in an
        application context. Where it is registered later than that, it is called at once.

        Raises:
            TypeError: The decorator was used without parentheses, or the handler takes other
                arguments.
        """

        def decorator(handler: HandlerT) -> HandlerT:
            self._rs_leadership.set_handler(self.client, handler)
            return handler

        return decorator
