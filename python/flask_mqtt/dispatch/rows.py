"""Handlers that the core calls in a row: what it needs for that, and what their exceptions mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._core import CallsInARow
from ..handlers.caller import CALLED, NOT_CALLED, RETURNED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from .._core import Delivery, MQTTMessage
    from ..handlers.caller import Handler
    from .callers import Callers
    from .routes import MessageHandlers

#: For fewer messages, `CallsInARow` takes longer to prepare than it saves.
A_ROW = 8


class Rows:
    """Makes what calls handlers as long as nothing else is to be done."""

    def __init__(
        self,
        callers: Callers,
        handlers: MessageHandlers,
        on_publish: Callable[[], Handler | None],
        acknowledge: Callable[[MQTTMessage], None],
        wait: Callable[[Delivery], None],
    ) -> None:
        """Take what calls depend on.

        Args:
            callers: What calls handlers, and notes changes.
            handlers: Those of messages.
            on_publish: As that of the dispatcher.
            acknowledge: Called with a message of QoS 1 or 2 that is handled.
            wait: Waits until the file has that, where there is a file.
        """
        self._changes = callers.changes
        self._caller = callers.fetching
        self._handlers = handlers
        self._on_publish = on_publish
        self._acknowledge = acknowledge
        self._wait = wait

    def begin(
        self, batch: Iterator[Any], number: int, core: CoreClient | None, *, takes_messages: bool
    ) -> CallsInARow:
        """Return an iterator over a batch that calls handlers itself, until something changes.

        Args:
            batch: The events.
            number: The number of changes, as it was before the other arguments were looked at.
            core: What messages are acknowledged to, without a call of `acknowledge`; None where
                there is more to do for that.
            takes_messages: Whether messages are among those whose handlers it calls.
        """
        handlers = self._handlers
        topics, on_message = handlers.known() if takes_messages else (None, None)
        return CallsInARow(
            batch,
            self._changes,
            number,
            topics,
            on_message,
            self._on_publish(),
            handlers.client,
            handlers.userdata,
            self._caller,
            self._acknowledge,
            self._wait,
            core,
        )

    def failed(self, calls: CallsInARow, error: BaseException) -> BaseException | None:
        """Deal with an exception that came up while something was handled in a row.

        Args:
            calls: What handles it, which has a `subject`.
            error: The exception. That of a handler is logged, and its message acknowledged.

        Returns:
            What is left to deal with, with the caller's `progress`; None for nothing.
        """
        caller = self._caller
        caller.progress = calls.progress
        if calls.progress != CALLED or calls.handler is None:
            return error
        try:
            caller.failed(calls.handler, error, calls.subject, calls.count)
            if calls.is_due:
                caller.progress = RETURNED
                self._acknowledge(calls.subject)
                caller.progress = NOT_CALLED
        except BaseException as another:  # noqa: BLE001 - as every other
            return another
        return None
