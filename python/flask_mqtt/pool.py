"""Threads that handle messages beside each other, where one is not enough."""

from __future__ import annotations

import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import MQTTMessage
    from .calls import Caller

    Acknowledge = Callable[[MQTTMessage], None]

#: How much waits for a thread before nothing more is taken in. What is handled does not count.
_MOST_MESSAGES = 1_000
_MOST_BYTES = 4 * 1024 * 1024

#: After how many messages a thread lets others have their turn: a green one has to.
_TURN = 64


class Job:
    """A message on its way through the pool, with what a handler may change about it."""

    __slots__ = ("is_handled", "is_in_order", "message", "number", "size", "topic")

    def __init__(self, message: MQTTMessage, number: int) -> None:
        """Remember a message, the `number`-th that came."""
        self.message = message
        self.number = number
        self.topic = message.topic
        self.size = len(message.payload)
        #: Whether it is acknowledged after those before it: a PUBCOMP need not be.
        self.is_in_order = message.qos == 1
        self.is_handled = False


class HandlerPool:
    """Gives messages to threads: those on one topic one after the other, in their order.

    Each topic with messages has a queue. A thread that is free takes the next message of the topic
    whose turn it is, and nobody else takes one of that topic until it is handled: so a handler that
    takes long holds up its topic and no other, as long as there is a free thread.

    A QoS 1 message is acknowledged when it and all of those before it are handled (MQTT 3.1.1,
    4.6). It is made, fed and closed by the dispatcher's thread, whose kind of threads and locks it
    has, green ones under eventlet and gevent.
    """

    def __init__(
        self,
        handle: Callable[[MQTTMessage, Caller, Acknowledge], None],
        acknowledge: Acknowledge,
        wait: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        """Make a pool without threads; each calls `work`.

        Args:
            handle: Calls the handlers of a message, and the last argument where it is not QoS 0.
            acknowledge: Tells the broker that a message is handled.
            wait: Waits for `wake`; returns whether there is a reason to go on waiting.
            wake: Ends a wait, from any thread.
        """
        self._handle = handle
        self._acknowledge = acknowledge
        self._wait = wait
        self._wake = wake
        self._changed = threading.Condition(threading.Lock())
        self._is_closed = False
        #: The messages that wait. A topic is there too while its last one is handled.
        self._queues: dict[str, deque[Job]] = {}
        #: The topics with messages that wait, and none that is handled.
        self._ready: deque[str] = deque()
        #: The messages with QoS 1 from the first on that is not handled, in their order.
        self._unacknowledged: deque[Job] = deque()
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

    def put(self, message: MQTTMessage) -> None:
        """Take a message in, and wait where too many wait already."""
        with self._changed:
            self._count += 1
            job = Job(message, self._count)
            self._waiting += 1
            self._waiting_bytes += job.size
            if job.is_in_order:
                self._unacknowledged.append(job)
            queue = self._queues.get(job.topic)
            if queue is None:
                self._queues[job.topic] = deque((job,))
                self._ready.append(job.topic)
                self._changed.notify()
            else:
                queue.append(job)
            self._is_full = self._waiting > _MOST_MESSAGES or self._waiting_bytes > _MOST_BYTES
        while self._is_full and self._wait():
            pass

    def work(self, caller: Caller) -> None:
        """Handle messages in this thread until the pool is closed."""
        count = 0
        while not self._is_closed:
            job = self._take()
            if job is None:
                # What teardown functions do takes its time, and nobody shall wait for it.
                caller.rest()
                self._wait_for_work()
                continue
            caller.begin()
            self._handle(job.message, caller, partial(self._handled, job))
            self._release(job.topic)
            count += 1
            if count % _TURN == 0:
                time.sleep(0)

    def close(self) -> list[MQTTMessage]:
        """Have each thread end after the message that it handles, and return those that wait.

        Returns:
            The messages that no thread has taken, in the order in which they came.
        """
        with self._changed:
            self._is_closed = True
            left = [job for queue in self._queues.values() for job in queue]
            self._ready.clear()
            self._queues.clear()
            waiting = {job.number for job in left}
            self._unacknowledged = deque(
                job for job in self._unacknowledged if job.number not in waiting
            )
            self._changed.notify_all()
        return [job.message for job in sorted(left, key=lambda job: job.number)]

    def abandon(self) -> None:
        """Leave everything to the parent, in a forked child."""
        # A thread that is not here may have held the lock.
        self._changed = threading.Condition(threading.Lock())
        self.close()
        self._unacknowledged.clear()

    def _take(self) -> Job | None:
        with self._changed:
            if not self._ready:
                return None
            job = self._queues[self._ready.popleft()].popleft()
            self._waiting -= 1
            self._waiting_bytes -= job.size
            has_room = (
                self._is_full
                and self._waiting <= _MOST_MESSAGES // 2
                and self._waiting_bytes <= _MOST_BYTES // 2
            )
            if has_room:
                self._is_full = False
        if has_room:
            self._wake()
        return job

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
        if not job.is_in_order:
            self._acknowledge(message)
            return
        job.is_handled = True
        # Under the lock, so that two threads keep the order; it is a call of the core's.
        with self._changed:
            while self._unacknowledged and self._unacknowledged[0].is_handled:
                self._acknowledge(self._unacknowledged.popleft().message)
