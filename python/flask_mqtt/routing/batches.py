"""Messages in batches: a handler gets a list of them, and they are acknowledged together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..guards import goes_on
from ..handlers.naming import name_of
from .retries import check_seconds, log_dropped, log_failure, log_given_up, log_retry

if TYPE_CHECKING:
    from .._core import MQTTMessage
    from ..dispatch.dispatcher import Dispatcher
    from ..dispatch.held import Hold
    from .counts import Counts
    from .retries import GiveUp, Retry

#: Most bytes of payloads in a batch, but for its last message.
_MOST_BYTES = 4 * 1024 * 1024

#: Most messages that an application can say: a connection has no more identifiers.
_MOST_MESSAGES = 65_535

#: A thread that waits for another one looks again after this many seconds.
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class Batching:
    """How many messages are handled at once, and how long the first one waits for others."""

    most: int
    #: In seconds.
    wait: float

    def __post_init__(self) -> None:
        """Look at the values.

        Raises:
            TypeError: A value is no number.
            ValueError: A value is not allowed.
        """
        if not isinstance(self.most, int) or isinstance(self.most, bool):
            raise TypeError(f"max {self.most!r}: it must be an int of 1 or more")
        if not 1 <= self.most <= _MOST_MESSAGES:
            raise ValueError(f"max {self.most!r}: it must be from 1 to {_MOST_MESSAGES}")
        check_seconds("wait", self.wait)


class _Unit:
    """Messages that are handled together."""

    __slots__ = ("due_at", "failures", "holds", "items", "messages", "silence", "size")

    def __init__(self) -> None:
        self.messages: list[MQTTMessage] = []
        #: What the handler gets: the messages, or their decoded payloads.
        self.items: list[Any] = []
        self.holds: list[Hold] = []
        self.size = 0
        #: How often the handler has failed, and when it is called again.
        self.failures = 0
        self.due_at = 0.0
        #: For how long no message had come before it was handled, in seconds; 0 where the broker
        #: was not to send more, and None where there was another reason.
        self.silence: float | None = None

    def end(self, *, is_handled: bool) -> None:
        """Have the messages acknowledged, or not."""
        for hold in self.holds:
            if is_handled:
                hold.release()
            else:
                hold.drop()


class Collector:
    """Collects the messages of a route, and calls its handler for many of them at once.

    That happens in the thread that brings the last message of a batch, or the time's step: these
    have the application context, and keep the order. Each message is held until the handler has
    returned. Only one thread calls the handler at a time; others wait where a batch is full.
    """

    def __init__(
        self,
        call: Callable[[Any, list[Any], str], Any],
        handler: Any,
        batching: Batching,
        retry: Retry | None,
        dispatcher: Dispatcher,
        counts: Counts,
        give_up: GiveUp,
    ) -> None:
        """Start with an empty batch.

        Args:
            call: Calls the handler with the client and a list; it gets a topic too, for reports.
            handler: The handler, for its name.
            batching: When a batch is complete.
            retry: How often and when the handler is called again for a batch, or None.
            dispatcher: What calls at a time, and acknowledges.
            counts: What is counted.
            give_up: Called with each message of a batch that the handler has failed for.
        """
        self._call = call
        self._name = name_of(handler)
        self._batching = batching
        self._retry = retry
        self._dispatcher = dispatcher
        self._counts = counts
        self._give_up = give_up
        self._made: threading.Condition | None = None
        self._forget()
        dispatcher.held.keepers.append(self)

    def _forget(self) -> None:
        #: What comes next, and what the handler has failed for.
        self._open, self._failed = _Unit(), None
        #: When the first and the last message of the open batch came.
        self._first_at = self._last_at = 0.0
        #: Whether the open batch waits for no more messages, and whether that is for the window.
        self._is_closed = self._is_for_window = False
        #: Whether the handler is being called.
        self._is_running = False
        #: How many threads are about to call the handler until nothing is due, or do so.
        self._runners = 0
        #: When a timer will come, if one will.
        self._armed_at: float | None = None

    _failed: _Unit | None

    @property
    def _changed(self) -> threading.Condition:
        # Made when it is first needed, by a thread that handles messages: green threads have
        # another one, and an application may patch after it has registered its routes.
        if self._made is None:
            self._made = threading.Condition(threading.Lock())
        return self._made

    def add(self, message: MQTTMessage, item: Any) -> None:
        """Take in a message whose handlers run, and call the handler if the batch is complete.

        Args:
            message: The message.
            item: What the handler gets for it.

        Raises:
            Exception: What the handler raises for a batch that is given up.
        """
        hold = self._dispatcher.hold(message)
        now = time.monotonic()
        held = self._dispatcher.held
        is_last = (
            bool(message.qos)
            and held.window.arrived(held.unacknowledged, now)
            and not self._dispatcher.has_more()
        )
        with self._changed:
            while self._is_full() and self._runners:
                self._changed.wait(_LOOK_SECONDS)
            unit = self._open
            if not unit.messages:
                self._first_at = now
            self._last_at = now
            unit.messages.append(message)
            unit.items.append(item)
            unit.holds.append(hold)
            unit.size += len(message.payload)
            if is_last and not self._is_closed:
                self._is_closed = self._is_for_window = True
            is_due = self._is_closed or self._is_full()
            self._runners += is_due
        if is_due:
            self._run()
        elif self._armed_at is None:
            self._arm()

    def _is_full(self) -> bool:
        unit = self._open
        return len(unit.messages) >= self._batching.most or unit.size >= _MOST_BYTES

    def _call_at(self, at: float) -> None:
        def step() -> None:
            self._armed_at = None
            with self._changed:
                self._runners += 1
            self._run()

        step.__module__, step.__qualname__ = "", self._name
        self._armed_at = at
        self._dispatcher.call_at(at, step, f"{self._name}/{id(self)}")

    def _run(self) -> None:
        """Call the handler for all that is due, unless another thread does so.

        The caller has counted itself among the runners.

        Raises:
            Exception: What the handler has raised for the last batch that was given up.
        """
        failure: BaseException | None = None
        topic = ""
        try:
            while True:
                with self._changed:
                    unit = self._take()
                if unit is None:
                    break
                try:
                    self._handle(unit)
                except BaseException as error:
                    if goes_on(error):
                        raise
                    if failure is not None:
                        log_failure(self._dispatcher.core, self._name, topic, failure)
                        self._dispatcher.count_failure()
                    failure, topic = error, unit.messages[0].topic
        finally:
            with self._changed:
                self._runners -= 1
                self._changed.notify_all()
            self._arm()
        if failure is not None:
            raise failure

    def _take(self) -> _Unit | None:
        """Return what is due, if the handler is not being called. The caller has the lock."""
        if self._is_running:
            return None
        now = time.monotonic()
        if self._failed is not None:
            # Where the next batch is full, nothing waits longer.
            if not self._is_full() and self._failed.due_at > now:
                return None
            self._is_running = True
            return self._failed
        is_over = self._first_at + self._batching.wait <= now
        if not self._open.messages or not (self._is_closed or self._is_full() or is_over):
            return None
        if self._is_for_window:
            self._open.silence = 0.0
        elif not (self._is_closed or self._is_full()):
            self._open.silence = now - self._last_at
        unit, self._open = self._open, _Unit()
        self._is_closed = self._is_for_window = False
        self._is_running = True
        return unit

    def _handle(self, unit: _Unit) -> None:
        failure: BaseException | None = None
        count = self._dispatcher.held.unacknowledged
        is_kept = is_over = False
        try:
            try:
                self._call(self._dispatcher.client, unit.items, unit.messages[0].topic)
            except BaseException as error:
                if goes_on(error):
                    raise
                failure = error
                is_kept = self._keep(unit, failure)
                if not is_kept:
                    self._give_up_all(unit, failure)
            is_over = True
        finally:
            # Ctrl-C, where the application's thread calls handlers: nothing is acknowledged.
            if not is_kept:
                unit.end(is_handled=is_over)
            self._end_call(None if is_kept else unit)
        if is_kept:
            return
        self._counts.add("batches")
        self._learn(count, unit.silence)
        if failure is not None:
            raise failure

    def _keep(self, unit: _Unit, failure: BaseException) -> bool:
        """Keep a batch for another time, if there is one. Returns whether there is."""
        unit.failures += 1
        if self._retry is None or unit.failures > self._retry.times:
            return False
        seconds = self._retry.delay(unit.failures)
        unit.due_at = time.monotonic() + seconds
        self._counts.add("retries")
        topic = unit.messages[0].topic
        log_retry(self._dispatcher, self._name, topic, failure, unit.failures, seconds)
        with self._changed:
            self._failed = unit
        return True

    def _give_up_all(self, unit: _Unit, failure: BaseException) -> None:
        if self._retry is not None:
            self._counts.add("given_up")
            topic = unit.messages[0].topic
            log_given_up(self._dispatcher, self._name, topic, unit.failures)
        for message in unit.messages:
            self._give_up(message, failure)

    def _end_call(self, unit: _Unit | None) -> None:
        with self._changed:
            self._is_running = False
            if unit is not None and self._failed is unit:
                self._failed = None
            self._changed.notify_all()

    def _learn(self, count: int, silence: float | None) -> None:
        window, wait = self._dispatcher.held.window, self._batching.wait
        if silence is None:
            window.forget_question()
        else:
            window.acknowledged(count, silence, wait, time.monotonic())

    def _arm(self) -> None:
        """Have a timer come for what is left, if none will."""
        with self._changed:
            if self._is_running:
                return
            if self._failed is not None:
                at = self._failed.due_at
            elif self._open.messages:
                at = (
                    0.0
                    if self._is_closed or self._is_full()
                    else self._first_at + self._batching.wait
                )
            else:
                return
            if self._armed_at is not None and self._armed_at <= at:
                return
        self._call_at(at)

    def end(self) -> None:
        """Forget everything for good."""
        self._dispatcher.held.keepers.remove(self)
        self.drop()

    # -- Keeper -----------------------------------------------------------------------------------

    def flush(self) -> None:
        """Have the open batch handled next, though it is not complete."""
        with self._changed:
            if not self._open.messages:
                return
            self._is_closed, self._is_for_window = True, False
        self._call_at(0.0)

    def wait(self, until: float) -> bool:
        """Wait until what was there at `flush` is handled, or has failed."""
        with self._changed:
            while self._is_running or (self._is_closed and self._failed is None):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(min(left, _LOOK_SECONDS))
        return True

    def drop(self) -> None:
        """Forget all messages: with a session, the broker sends those of QoS 1 and 2 again."""
        with self._changed:
            dropped = [unit for unit in (self._failed, self._open) if unit is not None]
            if self._is_running and self._failed is not None:
                # The handler has it.
                dropped.remove(self._failed)
            self._open, self._failed = _Unit(), None
            self._is_closed = self._is_for_window = False
            self._changed.notify_all()
        for unit in dropped:
            unit.end(is_handled=False)
        messages = [message for unit in dropped for message in unit.messages]
        log_dropped(self._dispatcher, self._name, messages)

    def forked(self) -> None:
        """Forget everything, in a forked child."""
        # A thread of the parent's may have had the lock.
        self._made = None
        self._forget()
