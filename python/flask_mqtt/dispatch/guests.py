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


class Guest(Protocol):
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


class Guests:
    """The guests of a dispatcher. They acknowledge their messages themselves."""

    def __init__(self, handlers: MessageHandlers, callers: Callers) -> None:
        """Start without any.

        Args:
            handlers: Those that are called for the guests' messages too.
            callers: Has the application in whose contexts they run.
        """
        self._handlers = handlers
        self._callers = callers
        #: Replaced, never changed: other threads look at it.
        self._all: tuple[Guest, ...] = ()

    def take_in(self, guest: Guest) -> Handler:
        """Have a handler for all messages of a guest, until `let_go`.

        Args:
            guest: The guest.

        Returns:
            The handler. It calls the handlers of this dispatcher, which get its client.
        """
        caller = Caller(guest.core, self._callers.app)

        def handle(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
            caller.begin()
            try:
                self._handlers.handle(message, caller, _leave_to_guest)
            finally:
                caller.rest()

        self._all = (*self._all, guest)
        return handle

    def let_go(self, guest: Guest) -> None:
        """Undo `take_in`: the guest's client has ended."""
        self._all = tuple(one for one in self._all if one is not guest)

    def calling(self) -> Guest | None:
        """Return the guest in whose thread a handler runs that asks; None for the host's own."""
        for guest in self._all:
            if guest.is_current_thread:
                return guest
        return None

    def forked(self) -> None:
        """Be without guests, in a forked child."""
        self._all = ()


def _leave_to_guest(_message: MQTTMessage) -> None:
    """Acknowledge nothing: the guest does, when the handler has returned."""
