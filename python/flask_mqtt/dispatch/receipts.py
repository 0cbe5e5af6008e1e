"""Acknowledgements in the order of arrival, of messages that are handled in another one."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage, Receipt


class Entry:
    """What is kept of a QoS 1 message until all earlier ones are acknowledged."""

    __slots__ = ("has_returned", "is_over", "is_placed", "receipt")

    def __init__(self, receipt: Receipt | None) -> None:
        """Remember what acknowledges it."""
        self.receipt = receipt
        #: Whether it is in its place.
        self.is_placed = False
        #: Whether its handlers have returned.
        self.has_returned = False
        #: Whether it need not be waited for any more.
        self.is_over = False


class Receipts:
    """Acknowledges QoS 1 messages in the order of arrival (MQTT 3.1.1, section 4.6).

    It outlives the threads that handle them. Any thread may use it: its lock is held for a look or
    a change, and while a PUBACK goes to the session.
    """

    def __init__(self, settle: Callable[[Receipt], None]) -> None:
        """Start without any.

        Args:
            settle: Tells the broker that a message is handled.
        """
        self._settle = settle
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque()
        #: How many have handlers that have returned, and are not acknowledged.
        self.returned = 0

    def __len__(self) -> int:
        """Return how many messages are not acknowledged, handled or not."""
        return len(self._entries)

    def add(self, message: MQTTMessage) -> Entry:
        """Take in the message that came last."""
        entry = Entry(message._receipt())  # noqa: SLF001 - the package's own
        with self._lock:
            self._place(entry)
        return entry

    def _place(self, entry: Entry) -> None:
        if not entry.is_placed:
            # Without a call, at which an interruption could come: the caller may come again.
            self._entries += (entry,)
            entry.is_placed = True

    def hold(self, entry: Entry) -> None:
        """Go on waiting for a message whose handlers have returned.

        Args:
            entry: That of the message which came last, if it has no place yet.
        """
        with self._lock:
            self._place(entry)
            self._return(entry)

    def add_handled(self, message: MQTTMessage) -> None:
        """Have the message acknowledged that came last, after those that wait."""
        entry = Entry(message._receipt())  # noqa: SLF001 - the package's own
        # Before it has its place: nothing may wait for one of which an interruption keeps it.
        entry.is_over = True
        with self._lock:
            self.returned += 1
            self._place(entry)
        self.handled(entry)

    def handled(self, entry: Entry) -> None:
        """Have a message acknowledged, at once or when its turn comes."""
        with self._lock:
            self._return(entry)
            entry.is_over = True
            while self._entries and self._entries[0].is_over:
                self.returned -= 1
                receipt = self._entries.popleft().receipt
                if receipt is not None:
                    self._settle(receipt)

    def _return(self, entry: Entry) -> None:
        if not (entry.has_returned or entry.is_over):
            entry.has_returned = True
            self.returned += 1

    def leave_out(self, entry: Entry) -> None:
        """Never acknowledge a message, and not wait for it."""
        entry.receipt = None
        self.handled(entry)

    def clear(self) -> None:
        """Leave out all: their connection is over."""
        with self._lock:
            for entry in self._entries:
                entry.is_over = True
            self._entries.clear()
            self.returned = 0

    def forked(self) -> None:
        """Leave out all, in a forked child."""
        # A thread of the parent's may have had it.
        self._lock = threading.Lock()
        self.clear()
