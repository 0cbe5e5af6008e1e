"""Acknowledges messages when their handlers have returned, or later if something holds them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from ..waiting import wait_until_settled
from .held import Held, Hold
from .receipts import Receipts

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from .._core import Delivery, MQTTMessage, Receipt
    from .callers import Callers
    from .receipts import Entry

#: How long the end of a QoS 2 message may take to get into the file, in seconds.
_STORING_TIMEOUT = 1.0


class Acknowledging:
    """Tells the core which messages are handled, unless the application does so itself."""

    def __init__(self, core: CoreClient, callers: Callers, released: Callable[[], None]) -> None:
        """Start with nothing held.

        Args:
            core: The client's.
            callers: What calls handlers, and notes changes.
            released: Called after a message was acknowledged that was held, without a lock.
        """
        self._core = core
        self._callers = callers
        self._is_copy = self._manual_ack = self._holds = False
        #: Whether a message is acknowledged at once when it is handled: if none of the three is so.
        self.is_simple = True
        #: What came before the last message of a pool that is not acknowledged.
        self.receipts = Receipts(self._settle)
        #: The messages that are acknowledged later than their handlers return.
        self.held = Held(core, self.receipts, self._acknowledge_now, self._settle, released)

    @property
    def is_copy(self) -> bool:
        """Whether this is a forked child's, and the messages are the parent's."""
        return self._is_copy

    @is_copy.setter
    def is_copy(self, on: bool) -> None:
        self._is_copy = on
        self._look_whether_simple()

    @property
    def manual_ack(self) -> bool:
        """Whether the application says itself which messages are handled."""
        return self._manual_ack

    @manual_ack.setter
    def manual_ack(self, on: bool) -> None:
        self._manual_ack = on
        self._look_whether_simple()

    def _look_whether_simple(self) -> None:
        self.is_simple = not (self._is_copy or self._manual_ack or self._holds)
        self._callers.changes.note()

    def hold(self, message: MQTTMessage) -> Hold:
        """Hold a message whose handlers run: see `Held.hold`."""
        if self._manual_ack or self._is_copy:
            return Hold()
        if not self._holds:
            self._holds = True
            self._look_whether_simple()
        return self.held.hold(message)

    def acknowledge(self, message: MQTTMessage, entry: Entry | None = None) -> None:
        """Acknowledge a message whose handlers have returned, now or when nothing holds it.

        Args:
            message: The message.
            entry: Its turn, if a pool has handled it.
        """
        if self.is_simple and entry is None:
            storing = self._core.handled(message)
            if storing is not None:
                self.wait_for_file(storing)
        else:
            self.held.returned(message, entry)

    def _acknowledge_now(self, message: MQTTMessage) -> None:
        if self._manual_ack or self._is_copy:
            return
        storing = self._core.handled(message)
        if storing is not None:
            self.wait_for_file(storing)

    def _settle(self, receipt: Receipt) -> None:
        if not (self._manual_ack or self._is_copy):
            self._core.settle(receipt)

    def wait_for_file(self, storing: Delivery) -> None:
        """Wait, so that the end of the process brings back one message at most.

        Where there are no descriptors left to wait with, it may be more.

        Args:
            storing: Tells whether the file has it that a message is handled.
        """
        caller = self._callers.present() or self._callers.fetching
        # It is no handler that takes this time.
        caller.measure()
        with contextlib.suppress(OSError):
            wait_until_settled(storing, _STORING_TIMEOUT)
        caller.begin()

    def forked(self, core: CoreClient) -> None:
        """Leave everything to the parent, in a forked child.

        Args:
            core: The client's in this process.
        """
        self._core = core
        self.is_copy = True
        self.receipts.forked()
        self.held.forked(core)
