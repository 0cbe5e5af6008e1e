"""The threads that call the handlers: a client's own, or the caller's."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from ..guards import own, pause
from ..handlers.caller import Caller, call_elsewhere
from ..handlers.scope import handling
from ..records import fields, write
from ..waiting import WakeUps
from .batch import JOB, PAUSE_SECONDS, Batch
from .pool import HandlerPool
from .resting import Rests, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flask import Flask

    from .._core import Client as CoreClient
    from ..handlers.caller import Handler
    from ..stats import HandlerTimes

logger = logging.getLogger("flask_mqtt")

_NAME = "mqtt-dispatch"

#: After how long who waits for other threads looks again, in seconds: who ended one may have been
#: interrupted before it could say so.
_LOOK_SECONDS = 1.0

_BATCH = 512


class Dispatcher(Batch):
    """Fetches events from the core and calls handlers, one at a time, in the order of arrival.

    The thread is a ``threading.Thread``. Under eventlet or gevent that is the patched one, looked
    up when it is used, and the same code runs as a green thread; see `WakeUps`. Where there is to
    be more than one thread, the others handle messages in its place, and it does the rest. Without
    `start`, somebody's own thread can do the same in `run_here`.

    An instance has at most 30 attributes: CPython looks up those of one with more by a hash, which
    costs each message some 4 % of its instructions (callgrind, with 31).
    """

    def __init__(
        self,
        core: CoreClient,
        events: Mapping[int, Callable[..., None]],
        catch_up: Callable[[], bool],
    ) -> None:
        """Make a dispatcher.

        Args:
            core: Where events come from.
            events: What is called for events other than messages, by their kind; for each message
                of a report of `EVENT_PUBLISHED`.
            catch_up: Called on every wake-up, for what a handler registered late has missed;
                returns whether there was anything.
        """
        super().__init__(core, events)
        self._client_catch_up = catch_up
        #: The threads that were started, and may run still.
        self._threads: list[threading.Thread] = []
        #: What calls handlers, and one for each of the other threads, whichever these are.
        self._all_callers = [self.caller]
        #: Tells a thread that waits for its turn when another has ended, and when it is to stop.
        self._turn = Turn()
        #: Whether the thread stops when it has told of the connection's end.
        self._ends = False
        self._rests = Rests()
        self.app: Flask | None = None

    def bind(self, app: Flask) -> None:
        """Run every handler in a context of this application, and log to its logger."""
        self.app = app
        for caller in list(self._all_callers):
            caller.bind(app)

    def look_closely(self) -> None:
        """Look at the next calls one by one, since a handler may be another one."""
        for caller in list(self._all_callers):
            caller.look_closely()

    def call(self, handler: Handler, *arguments: Any) -> None:
        """Call a handler in the thread that this is. What it raises is logged.

        Raises:
            KeyboardInterrupt: In a thread of the application's. So with ``SystemExit``.
        """
        caller = self._present_caller()
        if caller is None:
            call_elsewhere(self._core, self.app, handler, *arguments)
        else:
            caller.call_with(handler, *arguments)

    def call_elsewhere(self, handler: Handler, *arguments: Any) -> None:
        """Do as `call`, in a context that no other handler has."""
        call_elsewhere(self._core, self.app, handler, *arguments)

    def handler_times(self) -> HandlerTimes:
        """Return what the calls of handlers have taken since the client was made.

        What `connect` and `disconnect` call in the application's own thread is not among them.

        Returns:
            ``calls``: how many have ended. ``failures``: how many of those have raised.
            ``seconds``: what they took in sum, waiting included, and with what the dispatcher does
            between two. ``longest``: the seconds of the longest. Quick ones are measured up to 16
            together: where several of those become slow at once, they count as one.
        """
        callers = list(self._all_callers)
        return {
            "calls": sum(caller.calls for caller in callers),
            "seconds": sum(caller.seconds for caller in callers),
            "longest": max(caller.longest for caller in callers),
            "failures": sum(caller.failures for caller in callers),
        }

    # -- the thread -------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether a thread calls handlers, or will for the next connection: none said stop."""
        return self._token is not None and not self._ends

    @property
    def working(self) -> bool:
        """Whether a thread calls handlers and was not told to stop."""
        return self.running and not self._rests.tokens

    @property
    def started(self) -> bool:
        """Whether that is a thread of the dispatcher's own."""
        return self.running and self._borrower is None

    @property
    def handler_threads(self) -> int:
        """How many threads handle messages, where the dispatcher has started them."""
        return self._rests.threads

    @property
    def thread(self) -> threading.Thread | None:
        """That thread, or None."""
        if not (self.started and self.working):
            return None
        names = {thread.name: thread for thread in self._threads}
        return names.get(_NAME)

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is a handler."""
        return self._present_caller() is not None

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
        self._rests.threads = threads
        try:
            self._wake_all()
            self._settle()
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._start_thread(_NAME, self.caller, self._run, token, wake_ups, threads)
        except BaseException:
            wake_ups.close()
            self._token, self._ends = before
            self._rests.tokens = resting
            # It may run for all that, where only the wait for its start was interrupted.
            self._wake_all()
            raise
        return True

    def _begin(
        self, token: object, borrower: threading.Thread | None
    ) -> tuple[object | None, bool] | None:
        """Have a thread be the one that calls handlers, unless there is one.

        Args:
            token: What that thread knows itself by.
            borrower: The thread where it is the application's.

        Returns:
            What was before, or None where there is one.
        """
        with self._rests.beginning:
            if self.working:
                return None
            if not self._callers:
                # Made anew, so that it is the patched one where the application patched before.
                self._turn = Turn()
            before = self._token, self._ends
            self._rests.tokens = []
            self._token, self._borrower = token, borrower
            self._ends = self._is_copy = False
        return before

    def _start_thread(
        self, name: str, caller: Caller, work: Callable[..., None], *arguments: Any
    ) -> None:
        def run() -> None:
            if thread not in self._threads:
                # Who has started it may be interrupted before it is there.
                self._threads.append(thread)
            with self._calling(caller):
                work(*arguments)

        thread = threading.Thread(target=run, name=name, daemon=True)
        own(thread)
        self._callers[thread] = caller
        try:
            thread.start()
        except BaseException:
            self._callers.pop(thread, None)
            raise
        if thread not in self._threads:
            self._threads.append(thread)

    @contextlib.contextmanager
    def _calling(self, caller: Caller) -> Iterator[None]:
        """Take this thread for one that calls handlers, to its end."""
        thread = threading.current_thread()
        own(thread)
        self._callers[thread] = caller
        try:
            with handling(thread, self._core):
                yield
        finally:
            try:
                caller.rest()
            finally:
                # In a forked child it is gone already.
                self._callers.pop(thread, None)
                self._notify()

    def _notify(self) -> None:
        """Have those look who wait for the end of a thread, or for its beginning."""
        # Read once: the next start may make another one.
        self._turn.tell()

    def stop(self, timeout: float, is_ending: Callable[[], bool]) -> bool:
        """Tell the threads to stop after the handlers that are running, and wait for that.

        Args:
            timeout: Seconds to wait. A handler that calls this is not waited for.
            is_ending: Whether the connection is being ended; the thread stops after that then.

        Returns:
            Whether the threads have ended.
        """
        deadline = time.monotonic() + timeout
        token = self._token
        # Said first: should the connection end in between, one of the two notices.
        self._ends = True
        if not is_ending():
            self._stop_now()
        if self.is_current_thread:
            return False
        ended = self._have_ended(deadline)
        # A handler may have started another one.
        if self._token is token:
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
            self._resume()
            yield
            self._rests.had_connection = True
        finally:
            holds.pop()
            if self._token is not None:
                # It may have looked in between.
                self._core.wake()

    def _resume(self) -> None:
        if self.running and self._rests.tokens:
            self.start(self._rests.threads)

    def _may_rest(self) -> bool:
        """Whether there is nothing to do before the next connection is made."""
        return (
            self._rests.had_connection
            and not self._rests.holds
            and not self._core.is_running()
            and (self._pool is None or self._pool.is_idle())
            and not (self._kept and self._settled_at is not None)
        )

    def _rest(self, token: object) -> bool:
        """End the thread until there is another connection; return False where there is one."""
        self._rests.tokens.append(token)
        if self._token is token and self._may_rest():
            return True
        try:
            self._rests.tokens.remove(token)
        except ValueError:
            # There is another thread already.
            return True
        return False

    def wait_for_rest(self) -> None:
        """Wait until no other thread calls handlers, as after the end of the connection."""
        while self.working and self._rests.had_connection:
            turn = self._turn
            with turn.lock:
                turn.told.wait(_LOOK_SECONDS)

    def connection_ended(self) -> None:
        """Stop where `stop` has waited for this. The thread calls it."""
        if self._ends:
            self._stop_now()

    def forked(self, core: CoreClient) -> None:
        """Leave everything to the parent, in a forked child: it has the threads and the connection.

        A handler that forked is the last one here, and says nothing to the broker.

        Args:
            core: Where events come from in this process.
        """
        self._core = core
        # A thread of the parent's may have had it.
        self._turn = Turn()
        self._token = None
        self._rests = Rests(self._rests.threads)
        self._is_copy = True
        self._borrower, self._ends = None, False
        self._threads = []
        self._callers = {}
        for caller in self._all_callers:
            caller.use(core)
        if self._pool is not None:
            self._pool.abandon()
            self._pool = None
        self._receipts.clear()
        self._batch = iter(())
        self._forget_kept()

    def _stop_now(self) -> None:
        self._token = None
        self._rests.tokens.clear()
        self._wake_all()

    def _wake_all(self) -> None:
        """Have every thread look whether it goes on: the one that fetches, and those before it."""
        self._core.wake()
        self._notify()

    def _have_ended(self, deadline: float) -> bool:
        """Wait for the threads that were started, those that stop in the middle of a handler."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

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
        if not self._have_ended(time.monotonic() + timeout):
            return False
        token, thread, begun = object(), threading.current_thread(), False
        if self._borrower is thread:
            return None
        try:
            if self._begin(token, thread) is None:
                return None
            begun = True
            self._settle()
            self.caller.passes_on = True
            with handling(thread, self._core), WakeUps(self._core) as wake_ups:
                found = self._round(token, wake_ups, timeout)
                while goes_on is not None and goes_on():
                    found = self._round(token, wake_ups, timeout)
                return found
        finally:
            # No call comes before these, at which another interruption could come. In a forked
            # child there is no borrower any more.
            if self._borrower is thread:
                self._token = self._borrower = None
            if begun:
                self.caller.passes_on = False
                self.caller.rest()
                self._notify()

    def _round(self, token: object, wake_ups: WakeUps, timeout: float) -> bool:
        """Call the handlers of what there is, or comes within a time. Returns whether any did.

        A wake-up without an event, as after a handler was assigned, does not end the wait.
        """
        deadline = time.monotonic() + timeout
        left: float | None = timeout
        while not self._work(token):
            self.caller.rest()
            # Without a connection's thread nothing can come that is worth waiting for.
            goes_on = self._token is token and self._core.is_running()
            if left is None or not goes_on or not wake_ups.wait(left):
                return False
            left = max(0.0, deadline - time.monotonic()) or None
        return True

    def _run(self, token: object, wake_ups: WakeUps, threads: int) -> None:
        with wake_ups:

            def wait() -> bool:
                return self._token is token and wake_ups.wait(None)

            try:
                self._wait_for_turn(token)
                if self._token is not token:
                    return
                with self._pooled(threads, wait):
                    self._work_until_told(token, wake_ups)
            finally:
                # However it ends, nobody takes it for a thread that goes on.
                if self._token is token and token not in self._rests.tokens:
                    self._token = None

    def _work_until_told(self, token: object, wake_ups: WakeUps) -> None:
        while True:
            # Looked for before the last events are fetched. A predecessor may have taken the
            # wake-up for what is there.
            may_rest = self._may_rest()
            try:
                self._work_on(token)
                if may_rest and self._rest(token):
                    return
                if self._token is token:
                    wake_ups.wait(None)
            except BaseException as error:
                if self._breaks_off(None, error):
                    raise
                # The wake-up of what is there may be taken, and whatever failed may do so again.
                pause(PAUSE_SECONDS)
            if self._token is not token:
                return

    def _wait_for_turn(self, token: object) -> None:
        """Wait for threads that were stopped in the middle of a handler.

        Their messages come before ours, and the wake-ups that come until then are for them.
        """
        turn = self._turn
        with turn.lock:
            while self._token is token and len(self._callers) > 1:
                turn.told.wait(_LOOK_SECONDS)

    @contextlib.contextmanager
    def _pooled(self, threads: int, wait: Callable[[], bool]) -> Iterator[None]:
        """Have other threads handle the messages meanwhile, if there is to be more than one."""
        if threads == 1:
            yield
            return
        pool = HandlerPool(
            self.handle,
            self._acknowledge,
            self._receipts,
            wait,
            self._core.wake,
            self._thread_ends,
        )
        try:
            for number in range(1, threads + 1):
                if len(self._all_callers) <= number:
                    self._all_callers.append(Caller(self._core, self.app))
                caller = self._all_callers[number]
                self._start_thread(f"mqtt-handler-{number}", caller, pool.work, caller)
                self._pool = pool
        except Exception as error:  # noqa: BLE001 - green threads have others than RuntimeError
            # There is a limit on threads. Those that there are do it all, if need be this one.
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
            self._pool = None
            self._put_back([(JOB, job) for job in pool.close()])

    def _work_on(self, token: object) -> None:
        while self._token is token and self._work(token):
            pass
        self.caller.rest()

    def _work(self, token: object) -> bool:
        """Call the handlers of a batch of events. Returns whether there were any."""
        self.caller.begin()
        found = self._attempt(self._client_catch_up)
        found = self._attempt(self._catch_up) or found
        # What was left behind by who stopped comes first.
        found = self._dispatch(token) or found
        if self._token is not token:
            return found
        # What is fetched belongs to this object before it is there: no interruption can lose it.
        events: list[Any] = []
        self._batch = iter(events)
        if not self._core.take(events, _BATCH):
            return found
        self.caller.begin()
        self._dispatch(token)
        # The other green threads of a hub get their turn, or who waits for the GIL. It is a context
        # switch: some 10 µs for each batch.
        time.sleep(0)
        return True

    def _routes_changed(self) -> None:
        super()._routes_changed()
        self.look_closely()
        if self._kept:
            self._resume()
