"""Adoption: a worker finishes what another one has left behind that has ended for good."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..client.base import Parts, parts_of
from ..process import slots
from ..process.ends import DISCONNECT_TIMEOUT
from ..records import fields, write
from .periodic import PeriodicThread
from .worker import LEADER, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config

logger = logging.getLogger("flask_mqtt")

#: Seconds between two looks for slots that nobody has.
_LOOK_SECONDS = 1.0

#: For how long nobody has had a slot that is adopted, in seconds: a worker that is started again in
#: this time takes it first. In mode "all" it would miss what comes between the end of its session
#: and its next one, and no other worker waits for anything.
_REST_SECONDS = {"all": 30.0, "shared": 2.0, "leader": 2.0}

#: The broker has sent all that it has when nothing came for so long, in seconds.
_QUIET_SECONDS = 1.0

#: After this many seconds the session is ended although more is coming.
_LONGEST = 300.0

#: It connects although others do, too, after this many seconds.
_LONGEST_TURN = 30.0

#: Seconds until a slot is tried again which could not be finished: twice as many each time, up to
#: the limit. It may be that of a damaged file.
_FAILURE_SECONDS = 10.0
_LONGEST_FAILURE_SECONDS = 600.0

#: How long connecting, and the answer to a request, may take, in seconds.
_CONNECTING_SECONDS = 30.0

#: Seconds between two looks at how far it is.
_STEP_SECONDS = 0.02

#: How many filters are in one UNSUBSCRIBE.
_MOST_FILTERS = 100


@dataclass(frozen=True)
class Adopter:
    """What adopts: the client of this worker."""

    parts: Parts
    #: The configuration of the application.
    values: Config

    def is_ready(self) -> bool:
        """Whether its handlers can be called for what others have left behind."""
        dispatcher = self.parts.dispatcher
        has_handlers = self.values.clean_session or bool(dispatcher.message_handlers)
        is_connected = self.parts.holder.core.is_connected()
        return is_connected and dispatcher.working and has_handlers


class Adoption:
    """Looks for slots that no process has, and under which something has stayed behind."""

    def __init__(self, worker: Worker, adopter: Callable[[], Adopter | None]) -> None:
        """Start without a thread.

        Args:
            worker: Has the slot of this process.
            adopter: Called before each look: returns what adopts, or None.
        """
        self._worker = worker
        self._adopter = adopter
        self._thread = PeriodicThread("mqtt-adoption", _LOOK_SECONDS, self._look)
        #: When each was free for the first time, by its number.
        self._free: dict[int, float] = {}
        #: For how long each waits that could not be finished, and until when.
        self._failures: dict[int, tuple[float, float]] = {}
        #: What is being finished.
        self._finishing: LeftBehind | None = None
        self._has_told = False

    def start(self) -> None:
        """Look from now on, if the configuration lets something stay behind.

        Raises:
            RuntimeError: The system starts no other thread.
        """
        if self._worker.slot is not None and self._worker.leaves_something:
            self._thread.start()

    def stop(self) -> None:
        """Look no more. What is being finished is left to others."""
        self._thread.stop()

    def wait(self) -> None:
        """Wait for the end of what was stopped. A handler that it has called does not wait."""
        finishing = self._finishing
        if finishing is None or not finishing.is_calling():
            self._thread.wait(DISCONNECT_TIMEOUT)

    def forked(self) -> None:
        """Be without a thread, in a forked child."""
        self._thread.forked()
        self._free, self._failures = {}, {}
        self._finishing = None

    def _look(self) -> bool:
        adopter, worker = self._adopter(), self._worker
        if adopter is None or worker.is_standby or worker.slot is None or not adopter.is_ready():
            self._free = {}
            return True
        if adopter.parts.dispatcher.manual_ack:
            self._tell_of_manual_ack(adopter)
            return False
        identity, now = worker.identity, time.monotonic()
        # A forked child cannot open the files that its parent had open.
        barred = slots.inherited(identity) if adopter.values.persistence else frozenset[int]()
        numbers = [number for number in slots.free_dirty(identity) if number not in barred]
        self._free = {number: self._free.get(number, now) for number in numbers}
        rest = _REST_SECONDS[worker.mode]
        for number, since in self._free.items():
            if now - since < rest or now < self._failures.get(number, (0.0, now))[1]:
                continue
            slot = slots.try_take(identity, number)
            if slot is not None:
                self._finish(adopter, slot)
                # Others may have been taken meanwhile.
                break
        return True

    def _finish(self, adopter: Adopter, slot: slots.Slot) -> None:
        values = self._worker.values_of(adopter.values, slot.number)
        identity = self._worker.identity
        self._finishing = LeftBehind(adopter, identity, slot, values, self._thread.pause)
        # Whatever goes wrong, it is not tried again at once.
        before, _ = self._failures.get(slot.number, (0.0, 0.0))
        delay = min(max(2 * before, _FAILURE_SECONDS), _LONGEST_FAILURE_SECONDS)
        self._failures[slot.number] = (delay, time.monotonic() + delay)
        try:
            if self._finishing.finish():
                del self._free[slot.number], self._failures[slot.number]
        finally:
            self._finishing = None
            slot.release()

    def _tell_of_manual_ack(self, adopter: Adopter) -> None:
        if not self._has_told:
            self._has_told = True
            text = (
                "With manual_ack, workers do not finish what others have left behind: their "
                "messages could not be acknowledged"
            )
            write(logger.warning, text, extra=fields(adopter.parts.holder.core, "adoption_off"))


class LeftBehind:
    """What was left behind under one slot: a session at the broker, a file of messages, or both.

    A client of its own connects as the process that has ended did. The handlers of the adopter are
    called for what it receives, and it sends what the file has. Then the session is ended.
    """

    def __init__(
        self,
        adopter: Adopter,
        identity: str,
        slot: slots.Slot,
        values: Config,
        pause: Callable[[float], bool],
    ) -> None:
        """Take it.

        Args:
            adopter: What finishes it.
            identity: What the processes of the application have in common.
            slot: The slot, which nobody else has.
            values: The configuration of the process that has ended.
            pause: Waits for so many seconds; returns whether the process ends.
        """
        self._adopter = adopter
        self._identity = identity
        self._slot = slot
        self._pause = pause
        self._settings = replace(
            adopter.parts.settings.config,
            client_id=values.client_id,
            persistence=values.persistence,
            clean_session=values.clean_session,
            connect_properties=values.connect_properties,
            last_will_topic=None,
            handler_threads=1,
            incoming_overflow="block",
        )
        self._client = Client()
        self._parts = parts_of(self._client)
        #: The packet identifiers of requests that the broker has acknowledged.
        self._acknowledged: set[int] = set()
        self._client.on_unsubscribe = self._unsubscribed
        self._handle = adopter.parts.dispatcher.attached.add(self._parts.dispatcher)
        self._client.on_message = self._handle_counted
        #: How many messages the handlers were called for, how many of these have returned, and when
        #: there was something to do.
        self._begun = self._ended = 0
        self._busy_at = time.monotonic()
        self._is_stopped = False

    def is_calling(self) -> bool:
        """Whether the caller is a handler that was called for what was left behind."""
        return self._parts.dispatcher.is_current_thread

    def finish(self) -> bool:
        """Finish it. Returns whether nothing is left."""
        number, core = self._slot.number, self._adopter.parts.holder.core
        text = "Finishing what worker %s has left behind"
        write(logger.info, text, number, extra=fields(core, "adopting", worker=number))
        try:
            if not (self._empty() and self._erase()):
                return self._fail("it takes too long")
        except (OSError, ValueError) as error:
            # The latter for a file that is none of this package's.
            return self._fail(f"{type(error).__name__}: {error}")
        text = "Finished what worker %s has left behind; its handlers got %s messages"
        extra = fields(core, "adopted", worker=number)
        write(logger.info, text, number, self._begun, extra=extra)
        return True

    def _empty(self) -> bool:
        """Handle and send what is there. Returns whether that is all."""
        try:
            self._parts.settings.adopt(self._settings)
            self._client.loop_start()
            is_done = self._connect() and self._unsubscribe() and self._wait_for_quiet()
            self._client.disconnect()
        finally:
            self._client.loop_stop()
            self._client.close()
            self._adopter.parts.dispatcher.attached.remove(self._parts.dispatcher)
        return is_done and not self._is_stopped and not self._has_work()

    def _erase(self) -> bool:
        """End the session, and remove the file."""
        if not self._settings.clean_session:
            clean = {"clean_session": True, "persistence": None, "connect_properties": None}
            self._parts.settings.change(**clean)
            try:
                if not self._connect():
                    return False
            finally:
                self._client.disconnect()
                self._client.close()
        if self._settings.persistence is not None and self._slot.number != LEADER:
            Path(self._settings.persistence).unlink(missing_ok=True)
        self._slot.mark(dirty=False)
        return True

    def _connect(self) -> bool:
        """Connect when it is this worker's turn. Returns whether there is a connection.

        After a rolling restart much has been left behind at once, and the broker has others to
        serve.
        """
        deadline = time.monotonic() + _LONGEST
        while (turn := slots.try_turn(self._identity)) is None:
            self._is_stopped = self._pause(_STEP_SECONDS)
            if self._is_stopped or time.monotonic() > deadline:
                return False
        try:
            self._until(partial(slots.is_quiet, self._identity), _LONGEST_TURN)
            if self._is_stopped:
                return False
            self._slot.note_connection()
            self._parts.connection.open()
        finally:
            turn.release()
        return self._until(self._client.is_connected, _CONNECTING_SECONDS)

    def _unsubscribe(self) -> bool:
        """Have the broker send no more of what the application is subscribed to elsewhere."""
        filters = self._adopter.parts.holder.core.wanted()
        for begin in range(0, len(filters), _MOST_FILTERS):
            _, mid = self._client.unsubscribe(filters[begin : begin + _MOST_FILTERS])
            if not self._until(partial(self._acknowledged.__contains__, mid), _CONNECTING_SECONDS):
                return False
        return True

    def _wait_for_quiet(self) -> bool:
        """Wait until the broker has sent all that it has. Returns whether that is handled."""
        self._busy_at = time.monotonic()
        # What still comes after so long is for what the application is not subscribed to any more.
        # Where handlers are slow, more waits, which would be lost with the session.
        return self._until(self._is_quiet, _LONGEST) or self._until(self._is_idle, _QUIET_SECONDS)

    def _is_quiet(self) -> bool:
        """Whether nothing has come for a while, and nothing is left to do."""
        now = time.monotonic()
        if not self._is_idle():
            self._busy_at = now
        return now - self._busy_at >= _QUIET_SECONDS

    def _is_idle(self) -> bool:
        """Whether nothing is left to do now."""
        stats = self._client.stats()
        is_waiting = stats["waiting_incoming"]["messages"] > 0
        return stats["connected"] and not is_waiting and not self._has_work()

    def _has_work(self) -> bool:
        """Whether messages are not sent, or their handlers have not finished with them."""
        stats = self._client.stats()
        is_sent = not (stats["queued"] or stats["in_flight"] or stats["set_aside"])
        is_handled = self._begun == self._ended and not self._parts.dispatcher.held.unacknowledged
        return not (is_sent and is_handled)

    def _handle_counted(self, *arguments: Any) -> None:
        self._begun += 1
        try:
            self._handle(*arguments)
        finally:
            self._busy_at = time.monotonic()
            self._ended += 1

    def _unsubscribed(self, _client: Client, _userdata: Any, mid: int) -> None:
        self._acknowledged.add(mid)

    def _until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait for something. Returns whether it has come."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._is_stopped = self._pause(_STEP_SECONDS)
            if self._is_stopped or time.monotonic() > deadline:
                return False
        return True

    def _fail(self, reason: str) -> bool:
        if not self._is_stopped:
            text = "What worker %s has left behind is not finished, and tried again: %s"
            number, core = self._slot.number, self._adopter.parts.holder.core
            extra = fields(core, "adoption_failed", worker=number)
            write(logger.warning, text, number, reason, extra=extra)
        return False
