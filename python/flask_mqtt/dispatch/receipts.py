"""Acknowledgements in the order of arrival, of messages that are handled in another one."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage, Receipt


class Entry:
    """What is kept of a QoS 1 message until all earlier ones are acknowledged."""

    __slots__ = ("is_over", "receipt")

    def __init__(self, receipt: Receipt | None) -> None:
        """Remember what acknowledges it."""
        self.receipt = receipt
        #: Whether it need not be waited for any more.
        self.is_over = False


class Receipts:
    """Acknowledges QoS 1 messages in the order of arrival (MQTT 3.1.1, section 4.6).

    It outlives the threads that handle them. No two may use it at once.
    """

    def __init__(self, settle: Callable[[Receipt], None]) -> None:
        """Start without any.

        Args:
            settle: Tells the broker that a message is handled.
        """
        self._settle = settle
        self._entries: deque[Entry] = deque()

    def __len__(self) -> int:
        """Return how many messages are not acknowledged, handled or not."""
        return len(self._entries)

    def add(self, message: MQTTMessage) -> Entry:
        """Take in the message that came last."""
        entry = Entry(message._receipt())  # noqa: SLF001 - the package's own
        self._entries.append(entry)
        return entry

    def handled(self, entry: Entry) -> None:
        """Have a message acknowledged, at once or when its turn comes."""
        entry.is_over = True
        while self._entries and self._entries[0].is_over:
            receipt = self._entries.popleft().receipt
            if receipt is not None:
                self._settle(receipt)

    def leave_out(self, entry: Entry) -> None:
        """Never acknowledge a message, and not wait for it."""
        entry.receipt = None
        self.handled(entry)

    def clear(self) -> None:
        """Leave out all."""
        self._entries.clear()
