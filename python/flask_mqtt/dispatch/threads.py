"""The threads that call the handlers: a client's own, or the caller's."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING

from ..guards import pause
from ..handlers.scope import handling
from ..records import fields, write
from ..waiting import WakeUps
from .batch import PAUSE_SECONDS
from .own_threads import OwnThreads, Turn
from .resting import Rests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from .batch import Batch
    from .callers import Callers

logger = logging.getLogger("flask_mqtt")

_NAME = "mqtt-dispatch"

#: A thread that waits for others looks again after this many seconds: a thread that was interrupted
#: as it ended may not have woken it.
_LOOK_SECONDS = 1.0

#: Events that follow the last ones within this time are a stream, in seconds.
_SOON_SECONDS = 0.002


class Threads:
    """Has one thread at a time fetch events and call handlers: one of its own, or the caller's.

    Its own is a ``threading.Thread``. Under eventlet or gevent that is the patched one, looked
    up when it is used, and the same code runs as a green thread; see `WakeUps`. Where there is to
    be more than one thread, the others handle messages in its place, and it does the rest. Without
    `start`, somebody's own thread can do the same in `run_here`.
    """

    def __init__(self, core: CoreClient, batch: Batch, callers: Callers) -> None:
        """Start without a thread.

        Args:
            core: Where events come from.
            batch: What is done with these.
            callers: What each thread calls handlers with.
        """
        self._core = core
        self._batch = batch
        self._callers = callers
        self._own = OwnThreads(core, callers)
        #: Whether the thread stops when it has told of the connection's end.
        self._ends = False
        self._rests = Rests()
        #: Whether no thread calls handlers any more, until the next `start`: the process ends.
        self.is_halted = False
        #: Whether the last wait was a short one.
        self._is_stream = False
        #: Whether the thread has ended though nobody has told it to, and none has followed.
        self.has_failed = False
        #: Whether the last one of its own is green, with those that handle messages in its place.
        self.is_green = False

    @property
    def running(self) -> bool:
        """Whether a thread calls handlers, or will for the next connection: none said stop."""
        return self._batch.token is not None and not self._ends

    @property
    def working(self) -> bool:
        """Whether a thread calls handlers and was not told to stop."""
        return self.running and not self._rests.tokens

    @property
    def started(self) -> bool:
        """Whether that is a thread of the dispatcher's own."""
        return self.running and self._callers.borrower is None

    @property
    def handler_threads(self) -> int:
        """How many threads handle messages, where the dispatcher has started them."""
        return self._rests.threads

    @property
    def thread(self) -> threading.Thread | None:
        """That thread, or None."""
        if not (self.started and self.working):
            return None
        return self._own.named(_NAME)

    def start(self, threads: int = 1) -> bool:
        """Start the thread. What was registered before needs no time to settle.

        Args:
            threads: How many are to handle messages: with more than one, so many besides.

        Returns:
            Whether it was started: another thread may call handlers since somebody looked.

        Raises:
            OSError: The process has no descriptors left.
            RuntimeError: The system starts no other thread.
        """
        wake_ups = WakeUps(self._core)
        token = object()
        resting = self._rests.tokens
        before = self._begin(token, None)
        if before is None:
            wake_ups.close()
            return False
        self.is_green = wake_ups.is_green
        self._rests.threads = threads
        self.is_halted = self.has_failed = False
        try:
            self._wake_all()
            self._batch.backlog.settle()
            self._own.forget_ended()
            self._own.start(_NAME, self._callers.fetching, self._run, token, wake_ups, threads)
        except BaseException:
            wake_ups.close()
            self._batch.token, self._ends = before
            self._rests.tokens = resting
            # It may run for all that, where only the wait for its start was interrupted.
            self._wake_all()
            raise
        return True

    def _begin(
        self, token: object, borrower: threading.Thread | None
    ) -> tuple[object | None, bool] | None:
        """Make a thread the one that calls handlers, unless another one is.

        Args:
            token: What that thread knows itself by.
            borrower: The thread where it is the application's.

        Returns:
            What was before, or None where there is one.
        """
        with self._rests.beginning:
            if self.working:
                return None
            if not self._callers.by_thread:
                # Made anew, so that it is the patched one where the application patched before.
                self._own.turn = Turn()
            before = self._batch.token, self._ends
            self._rests.tokens = []
            self._batch.token, self._callers.borrower = token, borrower
            self._ends = self._batch.acknowledging.is_copy = False
        return before

    def stop(self, timeout: float, is_ending: Callable[[], bool]) -> bool:
        """Tell the threads to stop after the handlers that are running, and wait for that.

        Args:
            timeout: Seconds to wait. A handler that calls this is not waited for.
            is_ending: Whether the connection is being ended; the thread stops after that then.

        Returns:
            Whether the threads have ended.
        """
        deadline = time.monotonic() + timeout
        token = self._batch.token
        # Said first: should the connection end in between, one of the two notices.
        self._ends = True
        if not is_ending():
            self._stop_now()
        if self._callers.present() is not None:
            return False
        ended = self._own.have_ended(deadline)
        # A handler may have started another one.
        if self._batch.token is token:
            self._stop_now()
        return ended

    @contextlib.contextmanager
    def connecting(self) -> Iterator[None]:
        """Have the thread be there for a connection that is made meanwhile.

        Raises:
            OSError: As `start`, where the thread has ended with the last connection.
            RuntimeError: As `start`.
        """
        holds = self._rests.holds
        holds.append(None)
        try:
            self.resume()
            yield
            self._rests.had_connection = True
        finally:
            holds.pop()
            if self._batch.token is not None:
                # It may have looked in between.
                self._core.wake()

    def resume(self) -> None:
        """Start the thread that rests, if there is one.

        Raises:
            OSError: As `start`.
            RuntimeError: As `start`.
        """
        if self.running and self._rests.tokens:
            self.start(self._rests.threads)

    def _may_rest(self) -> bool:
        """Whether there is nothing to do before the next connection is made."""
        return (
            self._rests.had_connection
            and not self._rests.holds
            and not self._core.is_running()
            and (self._batch.pool is None or self._batch.pool.is_idle())
            and not self._batch.backlog.is_due
            and self._batch.timers.left() != 0
        )

    def _rest(self, token: object) -> bool:
        """End the thread until the next connection. Returns False if there is a connection."""
        self._rests.tokens.append(token)
        if self._batch.token is token and self._may_rest():
            return True
        try:
            self._rests.tokens.remove(token)
        except ValueError:
            # There is another thread already.
            return True
        return False

    def have_ended(self, until: float) -> bool:
        """Wait until no thread but the caller's calls handlers, after `halt`.

        Args:
            until: Until when, in seconds of the monotonic clock; 0.0 for not at all.

        Returns:
            Whether there is none.
        """
        return self._own.have_ended(until) and self._own.have_passed(until)

    def wait_for_rest(self) -> None:
        """Wait until no other thread calls handlers, as after the end of the connection."""
        while self.working and self._rests.had_connection:
            turn = self._own.turn
            with turn.lock:
                turn.told.wait(_LOOK_SECONDS)

    def connection_ended(self) -> None:
        """Stop where `stop` has waited for this. The thread calls it."""
        if self._ends:
            self._stop_now()

    def forked(self, core: CoreClient) -> None:
        """Forget the threads, in a forked child: the parent has them.

        Args:
            core: Where events come from in this process.
        """
        self._core = core
        self._own.forked(core)
        self._rests = Rests(self._rests.threads)
        self._ends = self.is_halted = self.has_failed = False

    def halt(self) -> None:
        """Have every thread stop after the handler that is running. It does not wait."""
        self.is_halted = True
        self._stop_now()

    def _stop_now(self) -> None:
        self._batch.token = None
        self._rests.tokens.clear()
        self._wake_all()

    def _wake_all(self) -> None:
        """Have every thread look whether it goes on: the one that fetches, and those before it."""
        self._callers.changes.note()
        self._core.wake()
        self._own.notify()

    def run_here(self, timeout: float, goes_on: Callable[[], bool] | None = None) -> bool | None:
        """Wait for events, and call their handlers, in the caller's thread.

        Args:
            timeout: Seconds to wait where there is nothing yet.
            goes_on: Whether to do so again, asked after each time; by default it is once.

        Returns:
            Whether there was something, the last time; None where another thread calls handlers.

        Raises:
            BaseException: What interrupts the thread, as ``KeyboardInterrupt`` of Ctrl-C, or an
                exception of a signal's handler. What was fetched waits for the next call. A message
                whose handler was called does not, and where that has not returned, it is not
                acknowledged. So it is with `KeyboardInterrupt` and `SystemExit` of a handler.
        """
        if not self._own.have_ended(time.monotonic() + timeout):
            return False
        if self.is_halted:
            time.sleep(timeout)
            return False
        token, thread, begun = object(), threading.current_thread(), False
        if self._callers.borrower is thread:
            return None
        try:
            if self._begin(token, thread) is None:
                return None
            begun = True
            self._batch.backlog.settle()
            self._callers.fetching.passes_on = True
            with handling(thread, self._core), WakeUps(self._core) as wake_ups:
                found = self._round(token, wake_ups, timeout)
                while goes_on is not None and goes_on() and not self.is_halted:
                    found = self._round(token, wake_ups, timeout)
                return found
        finally:
            # No call comes before these, at which another interruption could come. In a forked
            # child there is no borrower any more.
            if self._callers.borrower is thread:
                self._batch.token = self._callers.borrower = None
            if begun:
                self._callers.fetching.passes_on = False
                self._callers.fetching.rest()
                self._own.notify()

    def _round(self, token: object, wake_ups: WakeUps, timeout: float) -> bool:
        """Call the handlers of what there is, or comes within a time. Returns whether any did.

        A wake-up without an event, as after a handler was assigned, does not end the wait.
        """
        deadline = time.monotonic() + timeout
        left: float | None = timeout
        while not self._batch.work(token):
            self._callers.fetching.rest()
            # Without a connection's thread nothing can come that is worth waiting for.
            goes_on = self._batch.token is token and self._core.is_running()
            if left is None or not goes_on or not self._wait_at_most(left, wake_ups):
                return False
            left = max(0.0, deadline - time.monotonic()) or None
        wake_ups.give_turn()
        return True

    def _run(self, token: object, wake_ups: WakeUps, threads: int) -> None:
        with wake_ups:

            def wait() -> bool:
                return self._batch.token is token and wake_ups.wait(self._batch.timers.left())

            try:
                self._wait_for_turn(token)
                if self._batch.token is not token:
                    return
                with self._pooled(threads, wait):
                    self._work_until_told(token, wake_ups)
                if self._batch.token is None:
                    self._batch.finish()
            finally:
                # However it ends, nobody takes it for a thread that goes on.
                if self._batch.token is token and token not in self._rests.tokens:
                    self._batch.token = None
                    self.has_failed = True

    def _work_until_told(self, token: object, wake_ups: WakeUps) -> None:
        while True:
            # Looked for before the last events are fetched. A predecessor may have taken the
            # wake-up for what is there.
            may_rest = self._may_rest()
            try:
                self._work_on(token, wake_ups)
                if may_rest and self._rest(token):
                    return
                if self._batch.token is token:
                    self._wait(wake_ups)
            except BaseException as error:
                if self._batch.breaks_off(None, error):
                    raise
                # The wake-up of what is there may be taken, and whatever failed may do so again.
                pause(PAUSE_SECONDS)
            if self._batch.token is not token:
                return

    def _wait_for_turn(self, token: object) -> None:
        """Wait for threads that were stopped in the middle of a handler.

        Their messages come before ours, and the wake-ups that come until then are for them.
        """
        turn = self._own.turn
        with turn.lock:
            while self._batch.token is token and len(self._callers.by_thread) > 1:
                turn.told.wait(_LOOK_SECONDS)

    @contextlib.contextmanager
    def _pooled(self, threads: int, wait: Callable[[], bool]) -> Iterator[None]:
        """Have other threads handle the messages meanwhile, if there is to be more than one."""
        if threads == 1:
            yield
            return
        pool = self._batch.make_pool(wait)
        try:
            for number in range(1, threads + 1):
                caller = self._callers.numbered(number)
                self._own.start(f"mqtt-handler-{number}", caller, pool.work, caller)
                self._batch.pool = pool
        except Exception as error:  # noqa: BLE001 - green threads have others than RuntimeError
            # The system limits threads. Those that started do all the work, or else this one does.
            write(
                logger.warning,
                "Only %s of %s handler threads: %s",
                number - 1,
                threads,
                error,
                extra=fields(self._core, "too_few_threads", threads=number - 1, error=str(error)),
            )
        try:
            yield
        finally:
            self._batch.take_back(pool)

    def _work_on(self, token: object, wake_ups: WakeUps) -> None:
        batch, in_a_row = self._batch, not wake_ups.is_green
        while batch.token is token and batch.work(token, in_a_row=in_a_row):
            if not (wake_ups.give_turn() or batch.backlog.is_due):
                break

    def _wait(self, wake_ups: WakeUps) -> None:
        """Wait for events, as long as it takes.

        Where they come one soon after the other, the context that was kept for the next handler
        is kept a moment longer.
        """
        if self._is_stream and self._wait_at_most(_SOON_SECONDS, wake_ups):
            return
        self._callers.fetching.rest()
        since = time.monotonic()
        wake_ups.wait(self._batch.timers.left())
        self._is_stream = time.monotonic() - since < _SOON_SECONDS

    def _wait_at_most(self, seconds: float, wake_ups: WakeUps) -> bool:
        """Wait for a time. Returns whether there may be something, as a timer that is due."""
        left = self._batch.timers.left()
        if left is None or left >= seconds:
            return wake_ups.wait(seconds)
        wake_ups.wait(left)
        return True
