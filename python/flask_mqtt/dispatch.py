"""The thread that calls the handlers: one of its own, or the caller's."""

from __future__ import annotations

import asyncio
import inspect
import logging
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ._core import MQTTMessage, Routes
from .context import HandlerContext
from .handling import handling
from .records import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from flask import Flask

    from ._core import Client as CoreClient
    from .stats import HandlerTimes

    Handler = Callable[..., Any]

logger = logging.getLogger("flask_mqtt")

_BATCH = 512
_WAKE_BYTES = 4096

#: How long messages still wait after the first handler was registered: a module that registers
#: several, one after the other, loses none of what came before the last of them.
_SETTLE_SECONDS = 0.1

_KEPT_MESSAGES = 1_000
_KEPT_BYTES = 16 * 1024 * 1024

#: The handlers of so many topics are remembered, of so many characters at most: few topics that
#: come again and again are the usual case, and a dict finds them in half the time of the index.
_REMEMBERED_TOPICS = 4_096
_REMEMBERED_LENGTH = 256


class Dispatcher:
    """Fetches events from the core and calls handlers, one at a time, in the order of arrival.

    The thread is a ``threading.Thread`` that waits in ``socket.recv``. Under eventlet or gevent
    both are the patched ones, looked up when they are used, and the same code runs as a green
    thread. Without `start`, somebody's own thread can do the same in `run_here`.
    """

    def __init__(
        self,
        core: CoreClient,
        events: Mapping[int, Callable[..., None]],
        catch_up: Callable[[], None],
    ) -> None:
        """Make a dispatcher.

        Args:
            core: Where events come from.
            events: What is called for events other than messages, by their kind.
            catch_up: Called on every wake-up, for what a handler registered late has missed.
        """
        self._core = core
        self._events = events
        self._client_catch_up = catch_up
        self._thread: threading.Thread | None = None
        #: Whether the thread is the caller's of `run_here`.
        self._borrowed = False
        self._token: object | None = None
        #: Whether the thread stops when it has told of the connection's end.
        self._ends = False
        self._batch: Iterator[Any] = iter(())
        self._context: HandlerContext | None = None
        self.app: Flask | None = None
        self.client: Any = None
        self.userdata: Any = None
        #: Whether the application says itself which messages are handled.
        self.manual_ack = False
        self._routes = Routes()
        #: Whether there ever were any: asked about every message, and faster so than the index.
        self._routed = False
        self._on_message: Handler | None = None
        self._route_cache: dict[str, tuple[Handler, ...]] = {}
        self._settled_at: float | None = None
        self._gated = True
        self._kept: deque[MQTTMessage] = deque()
        self._kept_bytes = 0
        #: Messages that were dropped, because there was no handler for them.
        self.dropped = 0
        self._failures = 0

    def forked(self, core: CoreClient) -> None:
        """Be without a thread in a forked child. What was fetched is for the parent to handle."""
        self._core = core
        self._thread = self._token = None
        self._borrowed = self._ends = False
        self._batch = iter(())
        self._kept.clear()
        self._kept_bytes = 0

    # -- handlers ---------------------------------------------------------------------------------

    def bind(self, app: Flask) -> None:
        """Run every handler in a context of this application, and log to its logger."""
        self.app = app
        self._context = HandlerContext(app)

    @property
    def on_message(self) -> Handler | None:
        """The handler of messages that no topic's handler takes."""
        return self._on_message

    @on_message.setter
    def on_message(self, handler: Handler | None) -> None:
        self._on_message = handler
        self._routes_changed()

    def add_route(self, sub: str, handler: Handler) -> None:
        """Call a handler for the messages of a subscription, which may be a shared one."""
        self._routed = True
        self._routes.add(sub, handler)
        self._routes_changed()

    def remove_route(self, sub: str) -> None:
        """Forget a subscription's handler."""
        self._routes.remove(sub)
        self._routes_changed()

    def _routes_changed(self) -> None:
        self._route_cache = {}
        if self._settled_at is None and (self._routes or self._on_message):
            self._settled_at = time.monotonic() + _SETTLE_SECONDS
        self._core.wake()

    # -- the thread -------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a thread calls handlers and was not told to stop."""
        return self._token is not None and not self._ends

    @property
    def started(self) -> bool:
        """Whether that is a thread of the dispatcher's own."""
        return self.running and not self._borrowed

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is a handler."""
        return threading.current_thread() is self._thread

    def start(self) -> None:
        """Start the thread. What was registered before needs no time to settle."""
        predecessor = self._thread
        self._token = token = object()
        self._ends = False
        self._settle()
        self._thread = threading.Thread(
            target=self._run, args=(token, predecessor), name="mqtt-dispatch", daemon=True
        )
        self._thread.start()

    def _settle(self) -> None:
        if self._settled_at is not None:
            self._settled_at = time.monotonic()

    def stop(self, timeout: float, is_ending: Callable[[], bool]) -> bool:
        """Tell the thread to stop after the handler that is running, and wait for that.

        Args:
            timeout: Seconds to wait. A handler that calls this is not waited for.
            is_ending: Whether the connection is being ended; the thread stops after that then.

        Returns:
            Whether the thread has ended.
        """
        token = self._token
        # Said first: should the connection end in between, one of the two notices.
        self._ends = True
        if not is_ending():
            self._stop_now()
        if self._thread is None:
            return True
        if self.is_current_thread:
            return False
        thread = self._thread
        thread.join(timeout)
        # A handler may have started another one.
        if self._token is token:
            self._stop_now()
        return not thread.is_alive()

    def connection_ended(self) -> None:
        """Stop where `stop` has waited for this. The thread calls it."""
        if self._ends:
            self._stop_now()

    def _stop_now(self) -> None:
        self._token = None
        self._core.wake()

    def run_here(self, timeout: float, goes_on: Callable[[], bool] | None = None) -> bool:
        """Wait for events, and call their handlers, in the caller's thread.

        Args:
            timeout: Seconds to wait where there is nothing yet.
            goes_on: Whether to do so again, asked after each time; by default it is once.

        Returns:
            Whether there was something, the last time.

        Raises:
            KeyboardInterrupt: While waiting or in a handler; what was fetched waits for the next
                call. So with `SystemExit` in a handler.
        """
        if not self._has_ended(self._thread, timeout):
            return False
        self._token = token = object()
        self._ends = False
        self._thread, self._borrowed = threading.current_thread(), True
        self._settle()
        try:
            with self._wake_socket() as wake, handling(self._thread, self._core):
                found = self._round(token, wake, timeout)
                while goes_on is not None and goes_on():
                    found = self._round(token, wake, timeout)
                return found
        finally:
            self._leave_kept()
            self._token = self._thread = None
            self._borrowed = False

    def _has_ended(self, thread: threading.Thread | None, timeout: float | None = None) -> bool:
        """Wait for a thread that was stopped in the middle of a handler: they run one at a time."""
        if thread is None or not thread.is_alive():
            return True
        thread.join(timeout)
        return not thread.is_alive()

    def _round(self, token: object, wake: socket.socket, timeout: float) -> bool:
        if self._work(token):
            return True
        self._leave_kept()
        wake.settimeout(timeout)
        try:
            wake.recv(_WAKE_BYTES)
        except (TimeoutError, BlockingIOError):
            # The second one is that of no time at all.
            return False
        return self._work(token)

    def _wake_socket(self) -> socket.socket:
        # Made by who uses it, so that it is the patched one where the application patched before.
        descriptor = self._core.wake_fd()
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)

    def _run(self, token: object, predecessor: threading.Thread | None) -> None:
        self._has_ended(predecessor)
        with self._wake_socket() as wake, handling(threading.current_thread(), self._core):
            wake.settimeout(None)
            # A predecessor may have taken the byte for what is there.
            self._work_on(token)
            while self._token is token and wake.recv(_WAKE_BYTES):
                self._work_on(token)

    def _work_on(self, token: object) -> None:
        while self._token is token and self._work(token):
            pass
        self._leave_kept()

    def _work(self, token: object) -> bool:
        """Call the handlers of a batch of events. Returns whether there were any."""
        self._catch_up()
        # What was left behind by who stopped comes first.
        self._dispatch(token)
        if self._token is not token or not (events := self._core.take(_BATCH)):
            return False
        self._batch = iter(events)
        self._dispatch(token)
        # Under a green-thread hub the others get their turn; otherwise it costs nothing.
        time.sleep(0)
        return True

    def _leave_kept(self) -> None:
        if self._context is not None:
            self._leave(self._context)

    def _catch_up(self) -> None:
        self._client_catch_up()
        if self._kept and self._settled_at is not None:
            time.sleep(max(0.0, self._settled_at - time.monotonic()))
            self._open_gate()

    def _dispatch(self, token: object) -> None:
        for event in self._batch:
            if type(event) is MQTTMessage:
                self._message(event)
            else:
                self._events[event[0]](*event[1:])
            if self._token is not token:
                break

    # -- messages ---------------------------------------------------------------------------------

    def _message(self, message: MQTTMessage) -> None:
        if self._gated and not self._may_open(message):
            return
        # A handler may change the message.
        acknowledged = message.qos
        if self._routed:
            for handler in self._handlers_of(message.topic):
                self.call(handler, self.client, self.userdata, message)
        elif self._on_message is not None:
            self.call(self._on_message, self.client, self.userdata, message)
        if acknowledged and not self.manual_ack:
            self._core.handled(message)

    def _handlers_of(self, topic: str) -> tuple[Handler, ...]:
        # Taken first: what is found before a change goes to the cache that the change throws away.
        cache = self._route_cache
        handlers = cache.get(topic)
        if handlers is None:
            handlers = self._routes.handlers(topic)
            if not handlers and self._on_message is not None:
                handlers = (self._on_message,)
            if len(topic) <= _REMEMBERED_LENGTH:
                if len(cache) >= _REMEMBERED_TOPICS:
                    cache.clear()
                cache[topic] = handlers
        return handlers

    def _may_open(self, message: MQTTMessage) -> bool:
        """Keep a message while there is no handler at all, and let it pass from then on."""
        if self._settled_at is not None and time.monotonic() >= self._settled_at:
            self._open_gate()
            return True
        self._kept.append(message)
        self._kept_bytes += len(message.payload)
        while len(self._kept) > _KEPT_MESSAGES or (
            self._kept_bytes > _KEPT_BYTES and len(self._kept) > 1
        ):
            dropped = self._kept.popleft()
            self._kept_bytes -= len(dropped.payload)
            self.dropped += 1
            if self.dropped == 1:
                logger.warning(
                    "No message handler is registered: dropped the oldest message, on %r; the next "
                    "oldest follow without a line",
                    dropped.topic,
                    extra=fields(self._core, "dropping", reason="no_handler", topic=dropped.topic),
                )
        return False

    def _open_gate(self) -> None:
        self._gated = False
        self._kept_bytes = 0
        if self.dropped:
            logger.warning(
                "A message handler is registered: no more messages are dropped; %s were",
                self.dropped,
                extra=fields(self._core, "dropping_ended", reason="no_handler", count=self.dropped),
            )
        while self._kept:
            self._message(self._kept.popleft())

    # -- calls ------------------------------------------------------------------------------------

    def call_elsewhere(self, handler: Handler, *arguments: Any) -> None:
        """Call a handler from a thread other than the dispatcher's, whose context stays its own."""
        with handling(threading.current_thread(), self._core):
            if self.app is None:
                self.call(handler, *arguments)
                return
            context = HandlerContext(self.app)
            self.call(handler, *arguments, context=context)
            self._leave(context)

    def call(
        self, handler: Handler, *arguments: Any, context: HandlerContext | None = None
    ) -> None:
        """Call a handler in an application context. What it raises is logged, and nothing else.

        Only what is meant to end a program goes on to the caller of `run_here`, as it would from
        any other function that is called there.
        """
        context = context or self._context
        failure: BaseException | None = None
        try:
            if context is not None and not context.kept:
                context.enter()
            result = handler(*arguments)
            if result is not None and inspect.iscoroutine(result):
                self._run_coroutine(result)
        except BaseException as error:  # noqa: BLE001 - CancelledError, SystemExit: the next is due
            failure = error
            if not self._ends_program(error):
                self._failures += 1
                self._log_failure(handler, arguments)
        if context is not None and (failure is not None or context.is_traced()):
            self._leave(context, failure)
        if failure is not None and self._ends_program(failure):
            raise failure

    def _log_failure(self, handler: Handler, arguments: tuple[Any, ...]) -> None:
        name = getattr(handler, "__qualname__", repr(handler))
        extra = fields(self._core, "handler_failed", handler=name)
        if isinstance(arguments[-1], MQTTMessage):
            extra["mqtt_topic"] = arguments[-1].topic
        self._log().exception("MQTT handler %s failed", name, extra=extra)

    def handler_times(self) -> HandlerTimes:
        """Return what the calls of handlers took, and how many of them failed."""
        return {"calls": 0, "seconds": 0.0, "longest": 0.0, "failures": self._failures}

    def _ends_program(self, error: BaseException) -> bool:
        here = self._borrowed and self.is_current_thread
        return here and isinstance(error, (KeyboardInterrupt, SystemExit))

    def _leave(self, context: HandlerContext, failure: BaseException | None = None) -> None:
        """End a context. A teardown function may fail, or the handler have left another one."""
        try:
            context.leave(failure)
        except BaseException:  # noqa: BLE001 - the application's, as above
            text = "The application context of an MQTT handler did not end well"
            self._log().exception(text, extra=fields(self._core, "context_failed"))

    def _run_coroutine(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run an ``async def`` handler as Flask runs such a view."""
        if self.app is None:
            asyncio.run(coroutine)
            return

        async def finish() -> None:
            with handling(asyncio.get_running_loop(), self._core):
                await coroutine

        try:
            self.app.ensure_sync(finish)()
        finally:
            # Where Flask's extra `async` is missing, it was not awaited.
            coroutine.close()

    def _log(self) -> logging.Logger:
        return logger if self.app is None else self.app.logger
