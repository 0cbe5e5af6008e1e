"""Reports handlers that take longer than they should. Nothing ends them."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from ..guards import own
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from .counts import Counts

logger = logging.getLogger("flask_mqtt")

#: For how long the thread waits for another call before it ends, in seconds.
_IDLE_SECONDS = 10.0


class _Call:
    """A call of a handler."""

    __slots__ = ("due_at", "is_reported", "name", "seconds", "topic")

    def __init__(self, name: str, topic: str, seconds: float) -> None:
        self.name = name
        self.topic = topic
        self.seconds = seconds
        self.due_at = time.monotonic() + seconds
        self.is_reported = False


class Overdue:
    """Has a thread look at the calls that run, as long as there are some: a handler may hang.

    The thread does not hold up the end of the process.
    """

    def __init__(self, core: Callable[[], CoreClient | None], counts: Counts) -> None:
        """Start without a thread.

        Args:
            core: Returns the client's, for log records.
            counts: What is counted.
        """
        self._core = core
        self._counts = counts
        self._made: threading.Condition | None = None
        self._calls: dict[_Call, None] = {}
        self._has_thread = False
        #: When the thread looks again.
        self._looks_at = 0.0

    @property
    def _changed(self) -> threading.Condition:
        # Made when it is first needed, by a thread that handles messages: green threads have
        # another one, and an application may patch after it has registered its routes.
        if self._made is None:
            self._made = threading.Condition(threading.Lock())
        return self._made

    @contextlib.contextmanager
    def watch(self, name: str, topic: str, seconds: float) -> Iterator[None]:
        """Report a call once that takes longer.

        Args:
            name: That of the handler.
            topic: What it is called for.
            seconds: How long it may take.
        """
        call = _Call(name, topic, seconds)
        self._begin(call)
        try:
            yield
        finally:
            self._end(call)

    def _begin(self, call: _Call) -> None:
        with self._changed:
            self._calls[call] = None
            starts = not self._has_thread
            self._has_thread = True
            if call.due_at < self._looks_at:
                self._changed.notify_all()
        if starts:
            self._start()

    def _start(self) -> None:
        thread = threading.Thread(target=self._look_on, name="mqtt-overdue", daemon=True)
        own(thread)
        try:
            thread.start()
        except Exception:  # noqa: BLE001 - green threads have others than RuntimeError
            # The system starts no other thread: calls are reported when they have returned.
            self._has_thread = False

    def _end(self, call: _Call) -> None:
        with self._changed:
            self._calls.pop(call, None)
            is_due = not call.is_reported and call.due_at <= time.monotonic()
            call.is_reported = True
        if is_due:
            self._report(call)

    def _look_on(self) -> None:
        own(threading.current_thread())
        # A forked child has another one.
        changed = self._changed
        while True:
            with changed:
                due = self._wait(changed)
                if due is None:
                    self._has_thread = False
                    return
            for call in due:
                self._report(call)

    def _wait(self, changed: threading.Condition) -> list[_Call] | None:
        """Wait for a call that takes too long; None where there are none. It has the lock."""
        now = time.monotonic()
        until = now + _IDLE_SECONDS
        while self._calls or now < until:
            waiting = [call for call in self._calls if not call.is_reported]
            due = [call for call in waiting if call.due_at <= now]
            if due:
                for call in due:
                    call.is_reported = True
                return due
            self._looks_at = min((call.due_at for call in waiting), default=now + _IDLE_SECONDS)
            changed.wait(self._looks_at - now)
            now = time.monotonic()
        return None

    def _report(self, call: _Call) -> None:
        self._counts.add("overdue")
        name, topic, seconds = call.name, call.topic, call.seconds
        core = self._core()
        extra = fields(core, "handler_overdue", handler=name, topic=topic, seconds=seconds)
        text = "MQTT handler %s takes more than %s s for a message on %.100r"
        write(logger.warning, text, name, seconds, topic, extra=extra)

    def forked(self) -> None:
        """Be without calls and a thread, in a forked child."""
        # A thread of the parent's may have had the lock.
        self._made = None
        self._calls = {}
        self._has_thread = False


def check_timeout(value: Any) -> None:
    """Look at a ``timeout``.

    Args:
        value: What it is.

    Raises:
        TypeError: It is no number.
        ValueError: It is not above 0.
    """
    wanted = "it must be a number of seconds above 0"
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError(f"timeout {value!r}: {wanted}")
    if not 0 < value <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout {value!r}: {wanted}")
