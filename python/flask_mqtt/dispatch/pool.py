"""Several threads that handle messages at the same time, for handlers that wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage
    from ..handlers.caller import Caller
    from .receipts import Entry, Receipts
    from .routes import MessageHandlers
    from .timers import Timer


#: How much waits for a thread before nothing more is taken in. What is handled does not count.
_MOST_MESSAGES = 1_000
_MOST_BYTES = 4 * 1024 * 1024

#: How many messages may not be acknowledged, most of them handled, because one before them is not:
#: as many as a connection has identifiers. Of each that is handled some 100 bytes are left.
_MOST_UNACKNOWLEDGED = 65_535

#: After how many messages a thread yields: green threads are never preempted.
_TURN = 64


class Job:
    """A message on its way through the pool, with what a handler may change about it."""

    __slots__ = ("entry", "message", "number", "size", "topic")

    def __init__(self, message: MQTTMessage) -> None:
        """Remember a message."""
        self.message = message
        #: Its turn to be acknowledged, with QoS 1: a PUBCOMP may come in any order.
        self.entry: Entry | None = None
        self.topic = message.topic
        self.size = len(message.payload)
        #: How many came before it, in this pool.
        self.number = 0


class TimerJob:
    """A timer's step in place of a message, and its key in place of a topic."""

    __slots__ = ("number", "size", "step", "topic")

    def __init__(self, timer: Timer) -> None:
        """Remember it."""
        self.step = timer.step
        # No topic has this character.
        self.topic = f"\0{timer.key}"
        self.size = 0
        self.number = 0


class HandlerPool:
    """Gives messages to threads: those on one topic one after the other, in their order.

    Each topic with messages has a queue. A thread that is free takes the next message of the topic
    whose turn it is, and nobody else takes one of that topic until it is handled: so a handler that
    takes long holds up its topic and no other, as long as there is a free thread.

    A QoS 1 message is acknowledged when it and all of those before it are handled; until then only
    its receipt is kept. The pool is made, fed and closed by the dispatcher's thread, whose kind of
    threads and locks it has, green ones under eventlet and gevent.
    """

    def __init__(
        self,
        handlers: MessageHandlers,
        acknowledge: Callable[[MQTTMessage, Entry | None], None],
        receipts: Receipts,
        wait: Callable[[], bool],
        wake: Callable[[], None],
        ends: Callable[[BaseException], bool],
    ) -> None:
        """Make a pool without threads; each calls `work`.

        Args:
            handlers: Those of messages.
            acknowledge: Has a handled message acknowledged: with QoS 1, when its turn comes.
            receipts: Has these turns.
            wait: Waits for `wake`; returns whether there is a reason to go on waiting.
            wake: Ends a wait, from any thread.
            ends: Tells of a failure outside of handlers; returns whether the thread is to end.
        """
        self._handlers = handlers
        self._acknowledge = acknowledge
        self._receipts = receipts
        self._wait = wait
        self._wake = wake
        self._ends = ends
        self._changed = threading.Condition(threading.Lock())
        self._is_closed = False
        #: The messages that wait. A topic is there too while its last one is handled.
        self._queues: dict[str, deque[Job | TimerJob]] = {}
        #: The topics with messages that wait, and none that is handled.
        self._ready: deque[str] = deque()
        self._count = 0
        self._waiting = 0
        self._waiting_bytes = 0
        self._is_full = False
        #: Whether `wake` is to be called when nothing is left.
        self._tells = False

    def is_idle(self) -> bool:
        """Whether no message waits or is handled. Where one is, `wake` is called after the last."""
        with self._changed:
            self._tells = bool(self._queues)
            return not self._tells

    def is_empty(self) -> bool:
        """Whether no message waits for a thread."""
        return not self._waiting

    def put(self, message: MQTTMessage) -> None:
        """Take a message in."""
        job = Job(message)
        with self._changed:
            self._add(job)
            if message.qos == 1:
                job.entry = self._receipts.add(message)
            self._is_full = self._has_no_room()

    def put_again(self, job: Job | TimerJob) -> None:
        """Take in what an earlier pool has given back, or what a timer has begun."""
        with self._changed:
            self._add(job)
            self._is_full = self._has_no_room()

    def _add(self, job: Job | TimerJob) -> None:
        self._count += 1
        job.number = self._count
        self._waiting += 1
        self._waiting_bytes += job.size
        queue = self._queues.get(job.topic)
        if queue is None:
            self._queues[job.topic] = deque((job,))
            self._ready.append(job.topic)
            self._changed.notify()
        else:
            queue.append(job)

    def _has_no_room(self) -> bool:
        return (
            self._waiting > _MOST_MESSAGES
            or self._waiting_bytes > _MOST_BYTES
            or len(self._receipts) > _MOST_UNACKNOWLEDGED
        )

    def wait_for_room(self) -> None:
        """Wait where too many wait already."""
        while self._is_full and self._wait():
            pass

    def work(self, caller: Caller) -> None:
        """Handle messages in this thread until the pool is closed."""
        count = 0
        while not self._is_closed:
            try:
                if not self._handle_next(caller):
                    # Pop the context now, so that its teardown functions do not run as late as
                    # the next message.
                    caller.rest()
                    self._wait_for_work()
                    continue
                count += 1
                if count % _TURN == 0:
                    time.sleep(0)
            except BaseException as error:
                if self._ends(error):
                    raise

    def _handle_next(self, caller: Caller) -> bool:
        """Handle the next message, if there is one."""
        taken: list[Job | TimerJob] = []
        try:
            self._take(taken)
            for job in taken:
                if isinstance(job, TimerJob):
                    caller.call_with(job.step)
                    continue
                caller.begin()
                self._handlers.handle(job.message, caller, partial(self._handled, job))
        except BaseException:
            # As after a handler that fails.
            for job in taken:
                if isinstance(job, Job):
                    self._handled(job, job.message)
            raise
        finally:
            # Even after an exception: otherwise the topic would never be ready again.
            for job in taken:
                self._release(job.topic)
        return bool(taken)

    def _take(self, taken: list[Job | TimerJob]) -> None:
        """Put the next message into a list that is its owner from then on."""
        with self._changed:
            if not self._ready:
                return
            queue = self._queues[self._ready[0]]
            # Not `popleft`: an interruption at a call could lose the job.
            taken += (queue[0],)
            del queue[0], self._ready[0]
            self._waiting -= 1
            self._waiting_bytes -= taken[0].size
            has_room = self._has_room_again()
        if has_room:
            self._wake()

    def _has_room_again(self) -> bool:
        """Whether so little waits that the dispatcher is to go on, for which it waits."""
        has_room = (
            self._is_full
            and self._waiting <= _MOST_MESSAGES // 2
            and self._waiting_bytes <= _MOST_BYTES // 2
            and len(self._receipts) <= _MOST_UNACKNOWLEDGED // 2
        )
        if has_room:
            self._is_full = False
        return has_room

    def close(self) -> list[Job | TimerJob]:
        """Have each thread end after the message that it handles, and return those that wait.

        Returns:
            The messages and steps that no thread has taken, in the order in which they came.
        """
        with self._changed:
            self._is_closed = True
            left = [job for queue in self._queues.values() for job in queue]
            self._ready.clear()
            self._queues.clear()
            self._changed.notify_all()
        return sorted(left, key=lambda job: job.number)

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        # A thread that is not here may have held the lock.
        self._changed = threading.Condition(threading.Lock())
        self.close()

    def _wait_for_work(self) -> None:
        with self._changed:
            while not self._ready and not self._is_closed:
                self._changed.wait()

    def _release(self, topic: str) -> None:
        with self._changed:
            queue = self._queues.get(topic)
            if queue:
                self._ready.append(topic)
            elif queue is not None:
                del self._queues[topic]
            tells = self._tells and not self._queues
        if tells:
            self._wake()

    def _handled(self, job: Job, message: MQTTMessage) -> None:
        self._acknowledge(message, job.entry)
        if job.entry is not None:
            self.look_for_room()

    def look_for_room(self) -> None:
        """Have the dispatcher go on that waits for room, after an acknowledgement."""
        with self._changed:
            has_room = self._has_room_again()
        if has_room:
            self._wake()
