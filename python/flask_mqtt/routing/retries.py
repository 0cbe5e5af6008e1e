"""Handlers that are called again after a failure, later and without holding up other topics."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..discretion import from_outside
from ..guards import goes_on, text_of
from ..handlers.naming import name_of
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from ..dispatch.dispatcher import Dispatcher
    from ..dispatch.held import Hold
    from .counts import Counts
    from .invoke import Invoke

    #: Gets a message that is given up, and why.
    GiveUp = Callable[[MQTTMessage, BaseException], None]

logger = logging.getLogger("flask_mqtt")

#: How much waits at most for its turn behind failures of one route.
_MOST_MESSAGES = 1_000
_MOST_BYTES = 4 * 1024 * 1024

#: Most times, and most seconds, that an application can say.
_MOST_TIMES = 1_000_000
_MOST_SECONDS = 86_400


@dataclass(frozen=True)
class Retry:
    """How often a handler is called again after a failure, and after which delays.

    Attributes:
        times: How often it is called again; at least 1.
        backoff: The delay before the first further call, in seconds.
        factor: Each later delay is the one before multiplied by this; at least 1.
        longest: The longest delay, in seconds.

    Raises:
        TypeError: A value is not a number.
        ValueError: A value is not allowed.
    """

    times: int
    backoff: float = 0.1
    factor: float = 2
    longest: float = 60

    def __post_init__(self) -> None:
        """Look at the values."""
        if not isinstance(self.times, int) or isinstance(self.times, bool):
            raise TypeError(f"times {self.times!r}: it must be an int of 1 or more")
        if not 1 <= self.times <= _MOST_TIMES:
            raise ValueError(f"times {self.times!r}: it must be from 1 to {_MOST_TIMES}")
        check_seconds("backoff", self.backoff)
        check_seconds("longest", self.longest)
        wanted = "it must be a number of 1 or more"
        if not isinstance(self.factor, (int, float)) or isinstance(self.factor, bool):
            raise TypeError(f"factor {self.factor!r}: {wanted}")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor {self.factor!r}: {wanted}")

    def delay(self, failures: int) -> float:
        """Return the seconds before the next time.

        Args:
            failures: How often the handler has failed, from 1 on.
        """
        try:
            return min(self.longest, self.backoff * self.factor ** (failures - 1))
        except OverflowError:
            return self.longest


def check_seconds(name: str, value: object) -> None:
    """Look at a number of seconds.

    Args:
        name: What it is called.
        value: What it is.

    Raises:
        TypeError: It is no number.
        ValueError: It is negative, or more than a day.
    """
    wanted = f"it must be a number of seconds from 0 to {_MOST_SECONDS}"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name} {value!r}: {wanted}")
    if not 0 <= value <= _MOST_SECONDS:
        raise ValueError(f"{name} {value!r}: {wanted}")


class _Waiting:
    """A message that waits for a call of the handler."""

    __slots__ = ("client", "hold", "message", "size", "values")

    def __init__(
        self, client: Any, message: MQTTMessage, values: dict[str, Any], hold: Hold
    ) -> None:
        self.client = client
        self.message = message
        self.values = values
        self.hold = hold
        self.size = len(message.payload)


class _Line:
    """The messages of a topic: the first one has failed, and the others wait for it."""

    __slots__ = ("due_at", "failures", "is_running", "topic", "waiting")

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.waiting: deque[_Waiting] = deque()
        #: How often the handler has failed for the first one.
        self.failures = 0
        self.due_at = 0.0
        #: Whether a thread calls the handler for the first one, and decides what becomes of that.
        self.is_running = True


class Retries:
    """Calls a route's handler again for messages that it has failed for: those of a topic in order.

    A message is acknowledged when the handler has returned, or when it is given up. Where too much
    waits, nothing waits longer: the oldest failure is tried again at once, as often as it may be.
    """

    def __init__(
        self,
        handler: Any,
        retry: Retry,
        dispatcher: Dispatcher,
        counts: Counts,
        give_up: GiveUp,
    ) -> None:
        """Start without any failure.

        Args:
            handler: The handler, for its name.
            retry: How often, and when.
            dispatcher: What calls at a time, and acknowledges.
            counts: What is counted.
            give_up: Called with a message that is given up.
        """
        self._invoke: Invoke = _not_yet
        self._name = name_of(handler)
        self._retry = retry
        self._dispatcher = dispatcher
        self._counts = counts
        self._give_up = give_up
        #: Held for a look or a change.
        self._lock = threading.Lock()
        self._lines: dict[str, _Line] = {}
        self._count = 0
        self._bytes = 0
        dispatcher.held.keepers.append(self)

    def around(self, invoke: Invoke) -> Invoke:
        """Return what calls the handler, and again after a failure.

        Args:
            invoke: Calls it: from now on, also for what has failed before.
        """
        self._invoke = invoke
        return self.handle

    def handle(self, client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        """Call the handler for a message, now or when its turn comes: an `Invoke`."""
        # Without the lock: nobody else begins the line of this topic, or ends an empty one.
        if message.topic in self._lines:
            waiting = _Waiting(client, message, values, self._dispatcher.hold(message))
            if self._append(waiting):
                self._make_room()
                return None
            waiting.hold.release()
        try:
            return self._invoke(client, message, values)
        except BaseException as error:
            if goes_on(error):
                raise
            self._begin(_Waiting(client, message, values, self._dispatcher.hold(message)), error)
            self._make_room()
        return None

    def _append(self, waiting: _Waiting) -> bool:
        with self._lock:
            line = self._lines.get(waiting.message.topic)
            if line is None:
                return False
            line.waiting.append(waiting)
            self._count += 1
            self._bytes += waiting.size
        return True

    def _begin(self, waiting: _Waiting, error: BaseException) -> None:
        line = _Line(waiting.message.topic)
        line.waiting.append(waiting)
        with self._lock:
            self._lines[line.topic] = line
            self._count += 1
            self._bytes += waiting.size
        self._failed(line, error)

    def _failed(self, line: _Line, error: BaseException) -> bool:
        """Note a failure of the first one of a line. Returns whether there are attempts left."""
        line.failures += 1
        if line.failures > self._retry.times:
            return False
        seconds = self._retry.delay(line.failures)
        self._counts.add("retries")
        log_retry(self._dispatcher, self._name, line.topic, error, line.failures, seconds)
        at = line.due_at = time.monotonic() + seconds
        # Before there is a timer: it finds nothing to do as long as a thread is at it.
        line.is_running = False
        self._call_at(line, at)
        return True

    def _call_at(self, line: _Line, at: float) -> None:
        def step() -> None:
            error = self._attempt(line)
            # A message may have come meanwhile, and found all at work.
            self._make_room()
            if error is not None:
                # Who has called this logs it.
                raise error

        step.__module__, step.__qualname__ = "", self._name
        self._dispatcher.call_at(at, step, f"{self._name}/{id(self)}/{line.topic}")

    def _attempt(self, line: _Line, *, at_once: bool = False) -> BaseException | None:
        """Call the handler for the first one of a line, if that is due.

        Returns:
            Why that message was given up, if it was.
        """
        with self._lock:
            is_due = at_once or line.due_at <= time.monotonic()
            if line.is_running or not line.waiting or not is_due:
                return None
            line.is_running = True
            first = line.waiting[0]
        is_kept = is_over = False
        try:
            failure = self._call(first)
            if failure is not None:
                is_kept = self._failed(line, failure)
            if is_kept:
                return None
            if failure is not None:
                self._counts.add("given_up")
                log_given_up(self._dispatcher, self._name, line.topic, line.failures)
                self._give_up(first.message, failure)
            is_over = True
        finally:
            if not is_kept:
                self._end_first(line)
                if is_over:
                    first.hold.release()
                else:
                    # Ctrl-C, where the application's thread calls handlers: not acknowledged.
                    first.hold.drop()
        return failure

    def _call(self, first: _Waiting) -> BaseException | None:
        """Call the handler. Returns what it has raised."""
        try:
            self._invoke(first.client, first.message, first.values)
        except BaseException as error:
            if goes_on(error):
                raise
            return error
        return None

    def _end_first(self, line: _Line) -> None:
        with self._lock:
            if line.waiting:
                self._count -= 1
                self._bytes -= line.waiting.popleft().size
            line.failures, line.due_at = 0, 0.0
            line.is_running = False
            is_empty = not line.waiting
            if is_empty and self._lines.get(line.topic) is line:
                del self._lines[line.topic]
        if not is_empty:
            # One at a time, so that other messages have their turn.
            self._call_at(line, line.due_at)

    def _make_room(self) -> None:
        """Wait no longer for the oldest ones where there are too many."""
        while self._count > _MOST_MESSAGES or self._bytes > _MOST_BYTES:
            with self._lock:
                line = next((one for one in self._lines.values() if not one.is_running), None)
            if line is None:
                # Other threads are at all of them.
                return
            failure = self._attempt(line, at_once=True)
            if failure is not None:
                log_failure(self._dispatcher.core, self._name, line.topic, failure)
                self._dispatcher.count_failure()

    def end(self) -> None:
        """Forget everything for good."""
        self._dispatcher.held.keepers.remove(self)
        self.drop()

    # -- Keeper -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Do nothing: what has failed is tried again in its time."""

    def wait(self, until: float) -> bool:  # noqa: ARG002 - a keeper's
        """Wait for nothing."""
        return True

    def drop(self) -> None:
        """Forget all messages: with a session, the broker sends those of QoS 1 and 2 again."""
        with self._lock:
            lines, self._lines = self._lines, {}
            dropped = [one for line in lines.values() for one in line.waiting]
            for line in lines.values():
                line.waiting.clear()
            self._count = self._bytes = 0
        for one in dropped:
            one.hold.drop()
        log_dropped(self._dispatcher, self._name, [one.message for one in dropped])

    def forked(self) -> None:
        """Forget everything, in a forked child."""
        # A thread of the parent's may have had it.
        self._lock = threading.Lock()
        self._lines = {}
        self._count = self._bytes = 0


def _not_yet(_client: Any, _message: MQTTMessage, _values: dict[str, Any]) -> Any:
    return None


def log_retry(
    dispatcher: Dispatcher,
    name: str,
    topic: str,
    error: BaseException,
    failures: int,
    seconds: float,
) -> None:
    """Log that a handler has failed, and is called again."""
    write(
        logger.warning,
        "MQTT handler %s failed on %.100r (%s: %.200s): it is called again in %.3g s",
        name,
        topic,
        type(error).__name__,
        text_of(error),
        seconds,
        extra=fields(
            dispatcher.core, "retry", handler=name, topic=topic, failures=failures, seconds=seconds
        ),
    )


def log_given_up(dispatcher: Dispatcher, name: str, topic: str, failures: int) -> None:
    """Log that a handler is not called again for a message."""
    extra = fields(dispatcher.core, "retries_over", handler=name, topic=topic, failures=failures)
    text = "MQTT handler %s has failed %s times on %.100r: it is not called again"
    write(logger.warning, text, name, failures, topic, extra=extra)


def log_failure(core: CoreClient | None, name: str, topic: str, error: BaseException) -> None:
    """Log what a handler has raised, where that cannot go on to who calls it."""
    extra = fields(core, "handler_failed", handler=name, topic=topic)
    shown = from_outside(error)
    write(logger.error, "MQTT handler %s failed", name, exc_info=shown, extra=extra)


def log_dropped(dispatcher: Dispatcher, name: str, messages: list[MQTTMessage]) -> None:
    """Log that messages were not handled, since the connection ends."""
    if not messages:
        return
    lost = sum(message.qos == 0 for message in messages)
    write(
        logger.warning,
        "The connection ends before MQTT handler %s could handle %s messages: %s have QoS 0 and "
        "are lost, and a broker with a session sends the others again",
        name,
        len(messages),
        lost,
        extra=fields(dispatcher.core, "not_handled", handler=name, count=len(messages), lost=lost),
    )
