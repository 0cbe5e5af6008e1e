"""Messages that are acknowledged later than their handlers return."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Protocol

from ..records import fields, write
from .receipts import Entry
from .window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from .._core import MQTTMessage, Receipt
    from .receipts import Receipts

logger = logging.getLogger("flask_mqtt")

#: How many messages with QoS 1 can wait for the acknowledgement of an earlier one: as many as a
#: connection has identifiers.
_MOST_UNACKNOWLEDGED = 65_535


class Keeper(Protocol):
    """Something that keeps messages after their handlers have returned, such as a batch."""

    def flush(self) -> None:
        """Have what can be handled now handled next. Any thread may call it; it does not wait."""

    def wait(self, until: float) -> bool:
        """Wait until nothing is left that `flush` has meant. A handler does not call it.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """

    def drop(self) -> None:
        """Forget the rest, which is not acknowledged: the connection ends."""

    def forked(self) -> None:
        """Forget everything, in a forked child."""


class _Holding:
    """The holds of one message."""

    __slots__ = ("count", "entry", "has_returned", "is_dropped", "message", "over", "receipt")

    def __init__(self, message: MQTTMessage) -> None:
        #: Kept while its handlers run, so that no other message has its `id`.
        self.message: MQTTMessage | None = message
        self.count = 0
        self.has_returned = self.is_dropped = False
        #: Set when its handlers have returned and it is acknowledged, for a thread that waits.
        self.over: threading.Event | None = None
        #: Of a message that has returned: its turn with QoS 1, its receipt with QoS 2.
        self.entry: Entry | None = None
        self.receipt: Receipt | None = None


class Hold:
    """Keeps one message from being acknowledged, until `release`, which any thread may call."""

    __slots__ = ("_held", "_holding")

    def __init__(self, held: Held | None = None, holding: _Holding | None = None) -> None:
        """Make one; without arguments there is nothing to hold."""
        self._held = held
        self._holding = holding

    def release(self) -> None:
        """Have the message acknowledged, unless something else holds it too."""
        self._end(is_dropped=False)

    def drop(self) -> None:
        """Have the message not acknowledged: a broker with a session sends it again."""
        self._end(is_dropped=True)

    def _end(self, *, is_dropped: bool) -> None:
        holding, self._holding = self._holding, None
        if holding is not None and self._held is not None:
            self._held.end(holding, is_dropped=is_dropped)


class Held:
    """The only owner of what is held: acknowledges a message after its last hold.

    Of a message whose handlers have returned it keeps the receipt alone. One of QoS 1 waits for
    its turn in `Receipts`, one of QoS 2 for none. What is not released is never acknowledged.
    """

    def __init__(
        self,
        core: CoreClient,
        receipts: Receipts,
        acknowledge: Callable[[MQTTMessage], None],
        settle: Callable[[Receipt], None],
        acknowledged: Callable[[], None],
    ) -> None:
        """Start without any.

        Args:
            core: The client's.
            receipts: The turns of messages with QoS 1.
            acknowledge: Tells the broker that a message is handled which nothing holds.
            settle: Does so with the receipt of another one.
            acknowledged: Called after one was released, without a lock.
        """
        self._core = core
        self._receipts = receipts
        self._acknowledge = acknowledge
        self._settle = settle
        self._acknowledged = acknowledged
        self._lock = threading.Lock()
        #: The messages whose handlers run, by their `id`.
        self._running: dict[int, _Holding] = {}
        #: Those of them that nothing holds any more: they are acknowledged when those return.
        self._released: set[_Holding] = set()
        #: How many of QoS 2 are held whose handlers have returned.
        self._exactly_once = 0
        self._is_over_the_bound = False
        #: What keeps messages. It is never replaced.
        self.keepers: list[Keeper] = []
        #: How many messages the broker sends before it waits.
        self.window = Window()

    @property
    def unacknowledged(self) -> int:
        """How many messages of QoS 1 and 2 are handled or held, and not acknowledged."""
        return self._receipts.returned + self._exactly_once + len(self._running)

    def hold(self, message: MQTTMessage) -> Hold:
        """Hold a message whose handlers run: one of them calls this. QoS 0 needs none."""
        if message._receipt() is None:  # noqa: SLF001 - the package's own
            return Hold()
        with self._lock:
            holding = self._running.get(id(message))
            if holding is None:
                holding = self._running[id(message)] = _Holding(message)
            holding.count += 1
            self._released.discard(holding)
        return Hold(self, holding)

    def returned(self, message: MQTTMessage, entry: Entry | None) -> None:
        """Acknowledge a message whose handlers have returned, if nothing holds it.

        Args:
            message: The message, of QoS 1 or 2.
            entry: Its turn, if it has one already.
        """
        with self._lock:
            holding = self._running.get(id(message))
        is_in_order = entry is not None or message.qos == 1
        if is_in_order and entry is None and self._has_no_room():
            self.forget(message)
        elif holding is not None:
            self._keep(holding, message, entry, is_in_order=is_in_order)
        elif entry is not None:
            self._receipts.handled(entry)
        elif is_in_order and len(self._receipts):
            self._receipts.add_handled(message)
        else:
            self._acknowledge(message)

    def _keep(
        self, holding: _Holding, message: MQTTMessage, entry: Entry | None, *, is_in_order: bool
    ) -> None:
        receipt = message._receipt()  # noqa: SLF001 - the package's own
        if is_in_order:
            if holding.entry is None:
                holding.entry = entry or Entry(receipt)
            self._receipts.hold(holding.entry)
        else:
            holding.receipt = receipt
        with self._lock:
            self._running.pop(id(message), None)
            self._exactly_once += not is_in_order
            holding.message = None
            holding.has_returned = True
            is_over = holding.count == 0
        if is_over:
            self._finish(holding)
            self._is_over(holding)

    def end(self, holding: _Holding, *, is_dropped: bool) -> None:
        """End one hold: see `Hold`."""
        with self._lock:
            holding.count -= 1
            holding.is_dropped |= is_dropped
            is_released = holding.count == 0
            is_over = holding.has_returned and is_released
            if is_released and holding.message is not None:
                self._released.add(holding)
        if is_over:
            self._finish(holding)

    def wait(self, until: float) -> None:
        """Wait for the handlers of messages that are released already. A handler does not call it.

        A batch can be handled before the handler that put a message into it has returned.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """
        with self._lock:
            released = list(self._released)
            for holding in released:
                holding.over = holding.over or threading.Event()
        for holding in released:
            if holding.over is not None:
                holding.over.wait(max(0.0, until - time.monotonic()))

    def _is_over(self, holding: _Holding) -> None:
        with self._lock:
            self._released.discard(holding)
        if holding.over is not None:
            holding.over.set()

    def _finish(self, holding: _Holding) -> None:
        if holding.entry is not None:
            finish = self._receipts.leave_out if holding.is_dropped else self._receipts.handled
            finish(holding.entry)
        elif holding.receipt is not None:
            with self._lock:
                self._exactly_once -= 1
            if not holding.is_dropped:
                self._settle(holding.receipt)
        self._acknowledged()

    def _has_no_room(self) -> bool:
        """Whether a broker sends more without an acknowledgement than there are identifiers."""
        if len(self._receipts) < _MOST_UNACKNOWLEDGED:
            self._is_over_the_bound = False
            return False
        if not self._is_over_the_bound:
            self._is_over_the_bound = True
            write(
                logger.warning,
                "%s messages with QoS 1 wait for an acknowledgement: further ones are handled and "
                "never acknowledged",
                _MOST_UNACKNOWLEDGED,
                extra=fields(self._core, "not_acknowledged", count=_MOST_UNACKNOWLEDGED),
            )
        return True

    def forget(self, message: MQTTMessage) -> None:
        """Never acknowledge a message whose handlers were interrupted."""
        with self._lock:
            holding = self._running.pop(id(message), None)
            if holding is not None:
                holding.message = None
        if holding is not None:
            self._is_over(holding)

    def flush(self) -> None:
        """Have everything handled next that is kept and can be."""
        for keeper in list(self.keepers):
            keeper.flush()

    def connection_ended(self) -> None:
        """Acknowledge nothing more of QoS 1, since the connection is over that it came with."""
        self.window = Window()
        self._receipts.clear()
        self.flush()

    def forked(self, core: CoreClient) -> None:
        """Leave everything to the parent, in a forked child.

        Args:
            core: The client's in this process.
        """
        self._core = core
        # A thread of the parent's may have had it.
        self._lock = threading.Lock()
        self._running = {}
        self._released = set()
        self._exactly_once = 0
        self.window = Window()
        for keeper in list(self.keepers):
            keeper.forked()
