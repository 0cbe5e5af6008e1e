"""Other dispatchers, whose messages the handlers of one are called for too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..handlers.caller import Caller

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from ..handlers.caller import Handler
    from .callers import Callers
    from .held import Hold
    from .routes import MessageHandlers


class OtherDispatcher(Protocol):
    """A dispatcher of another client, with one thread."""

    @property
    def core(self) -> CoreClient:
        """Where its events come from."""

    @property
    def is_current_thread(self) -> bool:
        """Whether the caller is a handler that it has called."""

    def hold(self, message: MQTTMessage) -> Hold:
        """Have a message acknowledged later."""

    def has_more(self) -> bool:
        """Whether there is more to handle already."""


class AttachedDispatchers:
    """Dispatchers of other clients. They acknowledge their messages themselves."""

    def __init__(self, handlers: MessageHandlers, callers: Callers) -> None:
        """Start without any.

        Args:
            handlers: Those that are called for the others' messages too.
            callers: Has the application in whose contexts they run.
        """
        self._handlers = handlers
        self._callers = callers
        #: Replaced, never changed: other threads look at it.
        self._all: tuple[OtherDispatcher, ...] = ()

    def add(self, other: OtherDispatcher) -> Handler:
        """Have a handler for all messages of another dispatcher, until `remove`.

        Args:
            other: The other dispatcher.

        Returns:
            The handler. It calls the handlers of this dispatcher, which get its client.
        """
        caller = Caller(other.core, self._callers.app)

        def handle(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
            caller.begin()
            try:
                self._handlers.handle(message, caller, _leave_to_other)
            finally:
                caller.rest()

        self._all = (*self._all, other)
        return handle

    def remove(self, other: OtherDispatcher) -> None:
        """Undo `add`: the other's client has ended."""
        self._all = tuple(one for one in self._all if one is not other)

    def calling(self) -> OtherDispatcher | None:
        """Return the one in whose thread the caller runs; None if that is no thread of theirs."""
        for other in self._all:
            if other.is_current_thread:
                return other
        return None

    def forked(self) -> None:
        """Be without others, in a forked child."""
        self._all = ()


def _leave_to_other(_message: MQTTMessage) -> None:
    """Acknowledge nothing: the other one does, when the handler has returned."""
