"""What is done with each event, and what becomes of it where that is interrupted."""

from __future__ import annotations

import contextlib
import operator
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core import EVENT_PUBLISHED, MQTTMessage
from ..discretion import came_up_here
from ..guards import pause
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED, Caller
from ..records import trouble
from ..waiting import ends_thread, wait_until_settled
from .receipts import Receipts
from .routes import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .._core import Client as CoreClient
    from .._core import Delivery, Receipt
    from .pool import HandlerPool, Job

#: So many calls of quick handlers are measured at once: it costs nothing to speak of then.
_TOGETHER = 16

#: How long the end of a QoS 2 message may take to get into the file, in seconds.
_STORING_TIMEOUT = 1.0

#: The kind of an event that is a message of an earlier pool's.
JOB = -1

#: How long a thread of the package's rests after a failure, in seconds, before it goes on.
PAUSE_SECONDS = 0.1


class Batch(Messages):
    """Calls the handlers of what was fetched, in the thread that fetches or with those of a pool.

    In a thread of the package's, whatever comes that no handler has raised is told, and the next
    event has its turn. One of the application's gets it, and what was fetched keeps its owner.
    """

    def __init__(self, core: CoreClient, events: Mapping[int, Callable[..., None]]) -> None:
        """Start with none.

        Args:
            core: Where events come from.
            events: As those of the dispatcher.
        """
        super().__init__(core)
        self._events: Mapping[int, Callable[..., None]] = {**events, JOB: self._handle_job}
        #: What calls the handlers of the thread that fetches events.
        self.caller = Caller(core, None, together=_TOGETHER)
        #: Those of the threads that there are, also of one that is to stop and has not yet.
        self._callers: dict[threading.Thread, Caller] = {}
        #: The thread of the application's that fetches events.
        self._borrower: threading.Thread | None = None
        #: What the thread that fetches events knows itself by, until it is to stop.
        self._token: object | None = None
        #: Whether this is a forked child's, and its events are the parent's.
        self._is_copy = False
        self._pool: HandlerPool | None = None
        #: What came before the last message of a pool that is not acknowledged.
        self._receipts = Receipts(self._settle_receipt)
        #: Whether the application says itself which messages are handled.
        self.manual_ack = False

    def _present_caller(self) -> Caller | None:
        thread = threading.current_thread()
        return self.caller if thread is self._borrower else self._callers.get(thread)

    def _dispatch(self, token: object) -> bool:  # noqa: C901, PLR0912 - each call costs each message
        caller, pool, acknowledge = self.caller, self._pool, self._acknowledge
        found = False
        event = None
        while True:
            # What is in this one may have been done with before, and put back.
            batch, done = self._batch, None
            try:
                for event in batch:
                    if type(event) is MQTTMessage:
                        if self._gated:
                            # From one owner to the other without a call in between.
                            self._kept += (event,)
                            done, found = event, True
                            self._look_at_kept(event)
                        elif pool is None:
                            self.handle(event, caller, acknowledge)
                        else:
                            pool.put(event)
                            done = event
                            pool.wait_for_room()
                    elif event[0] == EVENT_PUBLISHED:
                        self._report(token, event[1], event[2], event[3])
                    else:
                        self._events[event[0]](*event[1:])
                    done = event
                    if self._token is not token:
                        break
                else:
                    # It may have been put into another one, with what comes before it.
                    if self._batch is not batch:
                        continue
                break
            except BaseException as error:
                if self._breaks_off(None if event is done else event, error):
                    raise
                found = True
        caller.measure()
        return found or event is not None

    def _attempt(self, step: Callable[[], bool]) -> bool:
        """Do what is not done with an event, and keeps nothing from being done where it fails."""
        try:
            return step()
        except BaseException as error:
            if self._breaks_off(None, error):
                raise
            return False

    def _breaks_off(self, event: Any, error: BaseException) -> bool:
        """Deal with an exception that no handler has raised, or that is meant to end the program.

        Args:
            event: What was being handled.
            error: The exception.

        Returns:
            Whether it ends more than that: it is the caller's of `loop`, or kills a green thread.
        """
        caller = self.caller
        progress, caller.progress = caller.progress, NOT_CALLED
        is_message = type(event) is MQTTMessage
        if not caller.passes_on and not ends_thread(error):
            trouble(self._core, error)
            progress = RETURNED if self._pool is None else CALLED
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
        return caller.passes_on or ends_thread(error)

    def _thread_ends(self, error: BaseException) -> bool:
        """Tell of a failure in another thread. Returns whether that is to end."""
        if ends_thread(error):
            return True
        trouble(self._core, error)
        pause(PAUSE_SECONDS)
        return False

    def _handle_job(self, job: Job) -> None:
        """Go on with a message that a pool has given back."""
        if self._pool is not None:
            self._pool.put_again(job)
            self._pool.wait_for_room()
            return
        try:
            self.handle(job.message, self.caller, partial(self._job_handled, job))
        except BaseException:
            progress = self.caller.progress if self.caller.passes_on else RETURNED
            if progress == RETURNED:
                self._job_handled(job, job.message)
            elif progress == CALLED and job.entry is not None:
                self._receipts.leave_out(job.entry)
            raise

    def _job_handled(self, job: Job, message: MQTTMessage) -> None:
        if job.entry is not None:
            self._receipts.handled(job.entry)
        else:
            self._acknowledge(message)

    def _report(self, token: object, mids: Iterable[int], code: int, properties: Any) -> None:
        """Tell what became of messages. What a handler leaves that stops this comes later."""
        published = self._events[EVENT_PUBLISHED]
        left = iter(mids)
        mid = done = None
        try:
            for mid in left:
                published(mid, code, properties)
                done = mid
                if self._token is not token:
                    break
        except BaseException:
            is_due = mid is not done and self.caller.progress == NOT_CALLED
            if mid is not None and is_due and self.caller.passes_on:
                left = iter([mid, *left])
            self._leave_report(left, code, properties)
            # That is all of it which is due.
            self.caller.progress = CALLED
            raise
        if self._token is not token:
            self._leave_report(left, code, properties)

    def _leave_report(self, left: Iterator[int], code: int, properties: Any) -> None:
        # A handler may have forked, and this be the child.
        if operator.length_hint(left) and not self._is_copy:
            self._put_back([(EVENT_PUBLISHED, left, code, properties)])

    def _acknowledge(self, message: MQTTMessage) -> None:
        if self.manual_ack or self._is_copy:
            return
        storing = self._core.handled(message)
        if storing is not None:
            self._wait_for_file(storing)

    def _settle_receipt(self, receipt: Receipt) -> None:
        if not (self.manual_ack or self._is_copy):
            self._core.settle(receipt)

    def _wait_for_file(self, storing: Delivery) -> None:
        """Wait, so that the end of the process brings back one message at most.

        Where there are no descriptors left to wait with, it may be more.
        """
        caller = self._present_caller() or self.caller
        # It is no handler that takes this time.
        caller.measure()
        with contextlib.suppress(OSError):
            wait_until_settled(storing, _STORING_TIMEOUT)
        caller.begin()
