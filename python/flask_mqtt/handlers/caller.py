"""Calls of handlers: in an application context, measured, and with what they raise kept to them."""

from __future__ import annotations

import inspect
import logging
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any

from flask import Flask

from .._core import MQTTMessage
from ..discretion import from_outside
from ..records import fields, write
from .context import HandlerContext, NoContext
from .coroutines import is_coroutine, run
from .naming import name_of
from .scope import handling

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from .context import Traces

    Handler = Callable[..., Any]
    #: Gets the handler's name, seconds, whether it has failed, and its message.
    Tell = Callable[[str, float, bool, MQTTMessage | None], None]

logger = logging.getLogger("flask_mqtt")

#: Seconds up to which a call is a quick one.
_QUICK = 20e-6

#: How many calls are measured one by one after a change of handlers, because a new handler may be
#: slow or leave contexts.
_FIRST = 256

#: How far the last call has come where an exception went through it.
NOT_CALLED, CALLED, RETURNED = range(3)


class Caller:
    """Calls handlers for one thread, in that thread's contexts, and measures them.

    Reading the clock takes a quarter of the time of an empty handler. So several quick calls are
    measured together, and slower ones one by one.
    """

    #: Slots take a third of the time of a dict, at each call.
    __slots__ = (
        "_app",
        "_closely",
        "_context",
        "_core",
        "_entering",
        "_left",
        "_since",
        "_stretch",
        "_tell",
        "_together",
        "_told_failures",
        "calls",
        "failures",
        "longest",
        "passes_on",
        "progress",
        "seconds",
    )

    def __init__(self, core: CoreClient, app: Flask | None, together: int = 1) -> None:
        """Prepare for the calls of a thread.

        Args:
            core: The client whose handlers they are.
            app: The application in whose contexts handlers run, and whose logger gets their errors.
            together: How many quick calls are measured at once.
        """
        self._core = core
        self._together = together
        #: Whether the thread is one of the application's, so that what is meant to end a program
        #: goes on to it, as it would from any other function that it calls.
        self.passes_on = False
        #: How far a call has come that was interrupted.
        self.progress = NOT_CALLED
        self._entering = False
        #: How many calls have ended, how many of them by an exception, and their seconds.
        self.calls = 0
        self.failures = 0
        self.seconds = 0.0
        self.longest = 0.0
        #: How many calls are measured at once now, how many of them are left, and since when.
        self._stretch = self._left = 1
        self._since = 0.0
        #: How many are measured one by one still.
        self._closely = _FIRST
        #: Who is told of each call, and how many of the failures.
        self._tell: Tell | None = None
        self._told_failures = 0
        self.bind(app)

    def bind(self, app: Flask | None) -> None:
        """Run handlers in a context of this application, if it is one that has contexts."""
        if not isinstance(app, Flask):
            # Something with a `config` is all that Flask-MQTT asks for.
            app = None
        self._app = app
        self._context = NoContext() if app is None else HandlerContext(app)

    def use(self, core: CoreClient) -> None:
        """Call handlers of this client from now on."""
        self._core = core

    def observe(self, tell: Tell | None) -> None:
        """Tell of each call that has ended, from the next look at the time on, or of none.

        Args:
            tell: Called in this one's thread with the handler's name, the seconds, whether it has
                failed, and the message if it was called for one.
        """
        self._told_failures = self.failures
        self._tell = tell

    def look_closely(self) -> None:
        """Look at the next calls one by one: a handler may be another one, and leave contexts."""
        self._closely = _FIRST

    def begin(self) -> None:
        """Read the clock: the time until now belongs to no handler."""
        self._since = perf_counter()
        each = self._closely > 0 or self._tell is not None
        if each and self._left == self._stretch:
            self._stretch = self._left = 1

    def measure(self, handler: Handler | None = None, subject: Any = None) -> None:
        """Take the time of the calls since it was taken the last time, if there were any.

        Args:
            handler: That of the last call, where that has just ended.
            subject: What it was called with.
        """
        count = self._stretch - self._left
        if not count:
            return
        if self._context.is_left_behind():
            self._leave(None)
        now = perf_counter()
        took = now - self._since
        self._since = now
        self.calls += count
        self.seconds += took
        # Of several, one may have taken all of it.
        if took > self.longest:  # noqa: PLR1730 - max() is a call
            self.longest = took
        if self._tell is not None:
            self._stretch = self._left = 1
            if handler is not None and count == 1:
                self._tell_of(handler, took, subject)
        elif self._closely > 0:
            self._closely -= count
            self._stretch = self._left = 1
        else:
            self._stretch = self._left = self._together if took < count * _QUICK else 1

    def _tell_of(self, handler: Handler, took: float, subject: Any) -> None:
        failed, self._told_failures = self.failures != self._told_failures, self.failures
        tell = self._tell
        if tell is not None:
            message = subject if isinstance(subject, MQTTMessage) else None
            tell(name_of(handler), took, failed, message)
        # That was no handler's time.
        self._since = perf_counter()

    def call(self, handler: Handler, client: Any, userdata: Any, subject: Any) -> None:
        """Call a handler. What it raises is logged, and nothing else.

        These are the arguments of handlers that are called a million times a second: those of
        messages, and of what was published. A fixed number of them costs a quarter less.

        Raises:
            KeyboardInterrupt: In a thread of the application's. So with ``SystemExit``.
        """
        context = self._context
        try:
            if not context.kept:
                self._entering = True
                context.enter()
                self._entering = False
            result = handler(client, userdata, subject)
            if result is not None:
                self._go_on_with(result)
        except BaseException as error:  # noqa: BLE001 - CancelledError, SystemExit: the next is due
            self._failed(handler, error, subject)
        try:
            if context.is_traced():
                self._leave(None)
            self._left -= 1
            if not self._left:
                self.measure(handler, subject)
        except BaseException:
            self.progress = RETURNED
            raise

    # -- for calls in a row -----------------------------------------------------------------------

    def enter(self) -> Traces:
        """Push a context where none was kept. Returns where it shows that it must end."""
        if not self._context.kept:
            self._entering = True
            self._context.enter()
            self._entering = False
        return self._context.traces()

    def go_on_with(self, result: Any) -> None:
        """Do what is left of a call that has returned something."""
        self._go_on_with(result)

    def failed(self, handler: Handler, error: BaseException, subject: Any, count: int) -> None:
        """Deal with an exception of a handler as `call` does.

        Args:
            handler: The handler.
            error: What it has raised.
            subject: What it was called for.
            count: How many calls have ended before, and were not counted.
        """
        self._failed(handler, error, subject)
        try:
            self.count(count + 1)
        except BaseException:
            self.progress = RETURNED
            raise

    def count(self, calls: int) -> int:
        """Count calls that have ended.

        Returns:
            How many may follow, at least one, before they have to be counted.
        """
        self._left -= calls
        # Handlers that made the client call another one have used up more than there were.
        if self._left <= 0:
            self.measure()
        return self._left

    def call_with(self, handler: Handler, *arguments: Any) -> None:
        """Do as `call`, with any arguments."""
        begun = False

        def with_arguments(*_: Any) -> Any:
            nonlocal begun
            begun = True
            return handler(*arguments)

        with_arguments.__module__, with_arguments.__qualname__ = "", name_of(handler)
        self.measure()
        self.begin()
        try:
            self.call(with_arguments, None, None, None)
        except BaseException:
            if not begun:
                self.progress = NOT_CALLED
            raise
        self.measure()

    def rest(self) -> None:
        """End the context that was kept for the next handler, before a wait."""
        self._leave(None)

    def _failed(self, handler: Handler, error: BaseException, subject: Any) -> None:
        self.progress = NOT_CALLED if self._entering else CALLED
        ends = self._is_passed_on(error) or self._was_interrupted(error)
        self._entering = False
        self.failures += 1
        if not ends:
            name = name_of(handler)
            extra = fields(self._core, "handler_failed", handler=name)
            if isinstance(subject, MQTTMessage):
                extra["mqtt_topic"] = subject.topic
            told = from_outside(error)
            text = "MQTT handler %s failed"
            write(self._log_exception, text, name, exc_info=told, extra=extra)
        self._leave(error)
        if ends:
            raise error
        self.progress = NOT_CALLED

    def _is_passed_on(self, error: BaseException) -> bool:
        return self.passes_on and issubclass(type(error), (KeyboardInterrupt, SystemExit))

    def _was_interrupted(self, error: BaseException) -> bool:
        """Whether no handler was called because of something else than the application's hooks.

        Those would fail again.
        """
        if not (self._entering and self.passes_on):
            return False
        self._leave(error)
        try:
            self._context.enter()
        except Exception:  # noqa: BLE001 - the application's
            return False
        return True

    def _leave(self, failure: BaseException | None) -> None:
        """End a context. A teardown function may fail."""
        try:
            self._context.leave(failure)
        except BaseException as error:
            if self._is_passed_on(error):
                raise
            text = "Ending the application context of an MQTT handler failed"
            write(self._log_exception, text, extra=fields(self._core, "context_failed"))

    def _go_on_with(self, result: Any) -> None:
        """Run what the call of an ``async def`` handler has only made.

        Raises:
            TypeError: It is a generator, so that nothing was run, and nothing will be.
        """
        if is_coroutine(result):
            run(result, self._app, (self._core,))
        elif inspect.isasyncgen(result) or (
            inspect.isgenerator(result) and inspect.getgeneratorstate(result) == inspect.GEN_CREATED
        ):
            raise TypeError(
                "the handler returned a generator, which nothing runs: write it without "
                "'yield', or iterate over it in the handler"
            )

    def _log_exception(self, *arguments: Any, **options: Any) -> None:
        log = logger if self._app is None else self._app.logger
        log.exception(*arguments, **options)  # noqa: LOG004 - called where one is handled


def call_elsewhere(
    core: CoreClient, app: Flask | None, tell: Tell | None, handler: Handler, *arguments: Any
) -> None:
    """Call a handler in a thread that calls no others, in a context of its own."""
    caller = Caller(core, app)
    caller.observe(tell)
    caller.passes_on = True
    with handling(threading.current_thread(), core):
        try:
            caller.call_with(handler, *arguments)
        finally:
            caller.rest()
