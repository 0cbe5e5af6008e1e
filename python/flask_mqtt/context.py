"""An application context for every handler, made only where somebody could tell the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import signals

if TYPE_CHECKING:
    from collections.abc import Sized

    from flask import Flask
    from flask.ctx import AppContext


class HandlerContext:
    """Gives each handler an application context of its own (Flask: The Application Context).

    Pushing and popping one costs several times what handing over a message does. So a context that
    a handler left untouched serves the next one too. It is untouched if nothing is on ``g``,
    nothing was attached to the context itself, and neither a teardown function nor a receiver of a
    context signal could have noticed it.

    Each thread that calls handlers has one of its own.
    """

    def __init__(self, app: Flask) -> None:
        """Give out contexts of this application."""
        self._app = app
        #: Whether a context is there, so that `enter` is not needed.
        self.kept = False
        self._context: AppContext | None = None
        self._stored: Sized = ()
        self._attributes: Sized = ()
        self._attribute_count = 0
        self._teardowns: Sized = app.teardown_appcontext_funcs
        # Flask before 2.3 has signals without blinker, and those have no receivers.
        self._pushed: Sized = getattr(signals.appcontext_pushed, "receivers", ())
        self._popped: Sized = getattr(signals.appcontext_popped, "receivers", ())
        self._tearing_down: Sized = getattr(signals.appcontext_tearing_down, "receivers", ())

    def enter(self) -> None:
        """Begin a handler where no context was kept."""
        self._context = context = self._app.app_context()
        context.push()
        self.kept = True
        self._attributes = vars(context)
        self._attribute_count = len(self._attributes)
        # A custom class for `g` without a `__dict__` cannot be looked into: never keep the context.
        self._stored = getattr(context.g, "__dict__", ("unknown",))

    def is_traced(self) -> bool:
        """Whether the handler, or who watches contexts, could tell it from a new one."""
        # Asked after each call: an `if` takes less time than bool().
        if (  # noqa: SIM103
            self._stored
            or self._teardowns
            or self._pushed
            or self._popped
            or self._tearing_down
            or len(self._attributes) != self._attribute_count
        ):
            return True
        return False

    def leave(self, error: BaseException | None = None) -> None:
        """End a context: after a handler that left traces or raised, or before a wait."""
        context, self._context, self.kept = self._context, None, False
        if context is not None:
            context.pop(error)


class NoContext:
    """In place of contexts where there is no application."""

    #: As if there always were one, so that none is made.
    kept = True

    def enter(self) -> None:
        """Do nothing."""

    def is_traced(self) -> bool:
        """Say that there is nothing to end."""
        return False

    def leave(self, error: BaseException | None = None) -> None:
        """Do nothing."""
