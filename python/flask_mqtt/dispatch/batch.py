"""Handles fetched events one by one, and loses none if it is interrupted."""

from __future__ import annotations

import operator
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core import EVENT_PUBLISHED, MQTTMessage
from ..discretion import came_up_here
from ..guards import pause
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED
from ..records import trouble
from ..waiting import ends_thread
from .acknowledging import Acknowledging
from .backlog import Backlog
from .pool import HandlerPool, TimerJob
from .rows import A_ROW, Rows
from .tap import Acknowledged, MessageIn
from .timers import Timers

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .._core import CallsInARow
    from .._core import Client as CoreClient
    from ..handlers.caller import Caller, Handler
    from .callers import Callers
    from .pool import Job
    from .routes import MessageHandlers
    from .tap import Tap
    from .timers import Timer

_MOST_EVENTS = 512

#: After so many messages that calls in a row have left to this module, it handles the rest of a
#: batch too, because each of them costs more than without these calls: 2.9 instead of 2.0 µs
#: (`./scripts/bench handlers/handlers-10000` with fewer remembered topics in `routes`).
_MOST_GIVEN_OUT = 8

#: The kind of an event that is a message of an earlier pool's.
JOB = -1

#: That of a timer that is due.
TIMER = -2

#: How long a thread of the package's rests after a failure, in seconds, before it goes on.
PAUSE_SECONDS = 0.1


class Batch:
    """Calls the handlers of fetched events, in the thread that fetches or in a pool.

    An exception that no handler has raised is logged in a thread of the package's, which goes on
    with the next event. In a thread of the application's it is raised, and no event is lost.

    Each message needs attributes of this one, so an instance has at most 30: CPython 3.11 looks up
    those of one with more in a dict.
    """

    def __init__(
        self,
        core: CoreClient,
        events: Mapping[int, Callable[..., None]],
        catch_up: Callable[[], bool],
        on_publish: Callable[[], Handler | None],
        handlers: MessageHandlers,
        callers: Callers,
        tap: Tap,
    ) -> None:
        """Start with nothing.

        Args:
            core: Where events come from.
            events: As those of the dispatcher.
            catch_up: As that of the dispatcher.
            on_publish: As that of the dispatcher.
            handlers: Those of messages.
            callers: What calls them, in each thread.
            tap: Who is told what happens.
        """
        self._core = core
        self._events: Mapping[int, Callable[..., None]] = {
            **events,
            JOB: self._handle_job,
            TIMER: self._handle_timer,
        }
        self._catch_up = catch_up
        #: Acknowledges what is handled.
        self.acknowledging = Acknowledging(core, callers, self._look_for_room)
        self._acknowledge = self.acknowledging.acknowledge
        wait = self.acknowledging.wait_for_file
        self._rows = Rows(callers, handlers, on_publish, self._acknowledge, wait)
        self._handlers = handlers
        self._callers = callers
        self._caller = callers.fetching
        self._tap = tap
        #: Messages that came before there was a handler.
        self.backlog = Backlog(core, self._put_back, tap)
        #: What was fetched and is not handled.
        self._fetched: Iterator[Any] = iter(())
        #: What the thread that fetches events knows itself by, until it is to stop. Who takes it
        #: away notes that in `Callers.changes`.
        self.token: object | None = None
        #: Handles messages instead of the thread that fetches them, if there are several threads.
        self.pool: HandlerPool | None = None
        #: What is called at a time, in place of a message.
        self.timers = Timers(core.wake)

    def has_more(self) -> bool:
        """Whether there is more to handle already."""
        pool = self.pool
        if pool is not None and not pool.is_empty():
            return True
        return operator.length_hint(self._fetched) > 0 or self._core.has_events()

    def work(self, token: object, *, in_a_row: bool = False) -> bool:
        """Fetch events, and call the handlers of these. Returns whether there were any.

        Args:
            token: What the thread that calls this knows itself by. With another one in its place,
                it stops after the event that is handled.
            in_a_row: Whether the core may call handlers that need nothing else. It needs a thread
                that nothing but a handler or another thread interrupts: no green one, and none of
                the application's.
        """
        self._caller.begin()
        found = self._attempt(self._catch_up)
        found = self._attempt(self.backlog.catch_up) or found
        if self.timers.pending:
            self._attempt(self._take_timers)
        # The thread that fetched before may have left some events, which come first.
        found = self._handle(token) or found
        if self.token is not token:
            return found
        # This object owns the list before it is filled, so that no interruption loses an event.
        events: list[Any] = []
        self._fetched = iter(events)
        count = self._core.take(events, _MOST_EVENTS)
        if not count:
            return found
        self._caller.begin()
        self._handle(token, in_a_row=in_a_row and count >= A_ROW)
        return True

    # In one piece: each further call would be one for each message.
    def _handle(  # noqa: C901, PLR0912, PLR0915
        self, token: object, *, in_a_row: bool = False
    ) -> bool:
        caller, pool, backlog = self._caller, self.pool, self.backlog
        tap, acknowledge = self._tap, self._acknowledge
        # Chosen once for the batch, so that messages cost no more without observers.
        handle = self._observed if tap.observers else self._handlers.handle
        in_a_row = in_a_row and pool is None and not tap.observers
        found, again, given_out = False, True, 0
        while again:
            # What is in this one may have been done with before, and put back.
            batch, event, done, again = self._fetched, None, None, False
            calls = None
            if in_a_row:
                # It comes first, so that no change after it is missed.
                number = self._callers.changes.number
                core = self._core if self.acknowledging.is_simple else None
                takes = not backlog.is_open
                calls = self._rows.begin(batch, number, core, takes_messages=takes)
            try:
                for event in batch if calls is None else calls:
                    if type(event) is MQTTMessage:
                        if backlog.is_open:
                            # Not `append`: an interruption at a call could lose the message.
                            backlog.kept += (event,)
                            done, found = event, True
                            backlog.look(event)
                        elif pool is None:
                            handle(event, caller, acknowledge)
                            if calls is not None:
                                given_out += 1
                                if given_out == _MOST_GIVEN_OUT:
                                    done, found, in_a_row = event, True, False
                                    again = self.token is token
                                    break
                        else:
                            if tap.observers:
                                tap.tell(MessageIn(event))
                            pool.put(event)
                            done = event
                            pool.wait_for_room()
                    elif event is None:
                        # The rest needs other calls in a row.
                        again = True
                        break
                    elif event[0] == EVENT_PUBLISHED:
                        self._report(token, event[1], event[2], event[3])
                    else:
                        if tap.observers:
                            tap.tell_event(*event)
                        self._events[event[0]](*event[1:])
                    done = event
                    found = True
                    if self.token is not token:
                        break
                else:
                    # It may have been put into another one, with what comes before it.
                    again = self._fetched is not batch
                if calls is not None:
                    self._leave_rest(calls)
                    found = found or calls.has_called
                    again = again and self.token is token
            except BaseException as error:
                if self._breaks_off_in(calls, None if event is done else event, error):
                    raise
                found, again = True, self.token is token
        caller.measure()
        return found

    def _leave_rest(self, calls: CallsInARow) -> None:
        """Have the rest of a report handled next."""
        if calls.mids is not None:
            self._leave_report(calls.mids, calls.code, None)

    def _breaks_off_in(self, calls: CallsInARow | None, event: Any, error: BaseException) -> bool:
        """Do as `breaks_off`, also with what was raised while handlers were called in a row."""
        if calls is not None:
            self._leave_rest(calls)
            if calls.subject is not None:
                left = self._rows.failed(calls, error)
                if left is None:
                    return False
                event, error = calls.subject, left
        return self.breaks_off(event, error)

    def _observed(
        self, message: MQTTMessage, caller: Caller, acknowledge: Callable[[MQTTMessage], None]
    ) -> None:
        self._tap.tell(MessageIn(message))
        # The observers' time must not count as the handler's.
        caller.begin()
        self._handlers.handle(message, caller, acknowledge)

    def _attempt(self, step: Callable[[], bool]) -> bool:
        """Do a step that has no event. If it fails, the thread goes on."""
        try:
            return step()
        except BaseException as error:
            if self.breaks_off(None, error):
                raise
            return False

    def breaks_off(self, event: Any, error: BaseException) -> bool:
        """Deal with an exception that no handler has raised, or that is meant to end the program.

        Args:
            event: What was being handled.
            error: The exception.

        Returns:
            Whether it ends more than that: it is the caller's of `loop`, or kills a green thread.
        """
        caller = self._caller
        progress, caller.progress = caller.progress, NOT_CALLED
        is_message = type(event) is MQTTMessage
        if not caller.passes_on and not ends_thread(error):
            trouble(self._core, error)
            progress = RETURNED if self.pool is None else CALLED
        elif (
            event is not None
            and progress == NOT_CALLED
            # Between two events the one before is done.
            and (is_message or not came_up_here(error))
        ):
            self._put_back([event])
        if is_message and progress == RETURNED:
            # As after a handler that fails.
            self._acknowledge(event)
        elif is_message and self.pool is None:
            self.acknowledging.held.forget(event)
        return caller.passes_on or ends_thread(error)

    def _thread_ends(self, error: BaseException) -> bool:
        """Tell of a failure in another thread. Returns whether that is to end."""
        if ends_thread(error):
            return True
        trouble(self._core, error)
        pause(PAUSE_SECONDS)
        return False

    def _put_back(self, events: list[Any] | deque[Any]) -> None:
        """Move events to the front of those that are handled next.

        They have an owner all the time: Python interrupts a thread at calls and at the ends of
        loops, and none of these is between the moment when they are the new owner's only and that
        when this is in its place.
        """
        together = [*events]
        batch = iter(together)
        together += self._fetched
        self._fetched = batch
        events.clear()

    def make_pool(self, wait: Callable[[], bool]) -> HandlerPool:
        """Return a pool for this one's messages, which gets none before it is `pool`.

        Args:
            wait: Waits until a wake-up comes; returns whether there is a reason to go on waiting.
        """
        return HandlerPool(
            self._handlers,
            self._acknowledge,
            self.acknowledging.receipts,
            wait,
            self._core.wake,
            self._thread_ends,
        )

    def take_back(self, pool: HandlerPool) -> None:
        """End a pool. What none of its threads has taken is handled next."""
        self.pool = None
        self._put_back([(JOB, job) for job in pool.close()])

    def take_fetched(self) -> list[Any]:
        """Take the events that were fetched and are not handled, where no thread goes on."""
        left, self._fetched = self._fetched, iter(())
        return [*left]

    def forked(self, core: CoreClient) -> None:
        """Leave everything to the parent, in a forked child.

        Args:
            core: Where events come from in this process.
        """
        self._core = core
        self.token = None
        self.acknowledging.forked(core)
        if self.pool is not None:
            self.pool.abandon()
            self.pool = None
        self.timers.forked(core.wake)
        self._fetched = iter(())
        self.backlog.forked(core)

    def _handle_job(self, job: Job | TimerJob) -> None:
        """Go on with a message that a pool has given back, or with what a timer has begun."""
        if self.pool is not None:
            self.pool.put_again(job)
            self.pool.wait_for_room()
            return
        if isinstance(job, TimerJob):
            self._caller.call_with(job.step)
            return
        try:
            self._handlers.handle(job.message, self._caller, partial(self._job_handled, job))
        except BaseException:
            progress = self._caller.progress if self._caller.passes_on else RETURNED
            if progress == RETURNED:
                self._job_handled(job, job.message)
            else:
                self.acknowledging.held.forget(job.message)
                if progress == CALLED and job.entry is not None:
                    self.acknowledging.receipts.leave_out(job.entry)
            raise

    def _job_handled(self, job: Job, message: MQTTMessage) -> None:
        self._acknowledge(message, job.entry)

    def _take_timers(self) -> bool:
        due = self.timers.due()
        if due:
            # First there, then no longer here: a step that comes twice does no harm.
            self._put_back([(TIMER, timer) for timer in due])
            self.timers.remove(due)
        return bool(due)

    def _handle_timer(self, timer: Timer) -> None:
        self._handle_job(TimerJob(timer))

    def finish(self) -> None:
        """Handle what handlers have left for later, in the thread that fetched, at its end."""
        self.acknowledging.held.flush()
        self._attempt(self._finish_timers)

    def _finish_timers(self) -> bool:
        due = self.timers.due()
        self.timers.remove(due)
        for timer in due:
            self._caller.call_with(timer.step)
        return bool(due)

    def _report(self, token: object, mids: Iterable[int], code: int, properties: Any) -> None:
        """Tell what became of messages. What a handler leaves that stops this comes later."""
        published = self._acknowledged if self._tap.observers else self._events[EVENT_PUBLISHED]
        left = iter(mids)
        mid = done = None
        try:
            for mid in left:
                published(mid, code, properties)
                done = mid
                if self.token is not token:
                    break
        except BaseException:
            is_due = mid is not done and self._caller.progress == NOT_CALLED
            if mid is not None and is_due and self._caller.passes_on:
                left = iter([mid, *left])
            self._leave_report(left, code, properties)
            # That is all of it which is due.
            self._caller.progress = CALLED
            raise
        if self.token is not token:
            self._leave_report(left, code, properties)

    def _acknowledged(self, mid: int, code: int, properties: Any) -> None:
        self._tap.tell(Acknowledged(mid, code))
        self._events[EVENT_PUBLISHED](mid, code, properties)

    def _leave_report(self, left: Iterator[int], code: int, properties: Any) -> None:
        # A handler may have forked, and this be the child.
        if operator.length_hint(left) and not self.acknowledging.is_copy:
            self._put_back([(EVENT_PUBLISHED, left, code, properties)])

    def _look_for_room(self) -> None:
        # Read once: the thread that fetches may take it back.
        pool = self.pool
        if pool is not None:
            pool.look_for_room()
