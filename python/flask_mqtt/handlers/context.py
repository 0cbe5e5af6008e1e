"""An application context for every handler, made only where somebody could tell the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, globals, signals  # noqa: A004 - Flask's module
from flask.ctx import AppContext, _AppCtxGlobals

if TYPE_CHECKING:
    from collections.abc import Callable, Sized

    #: What is empty as long as no handler has left traces, and something else with its length.
    Traces = tuple[tuple[Sized, ...], Sized, int]

#: What is called for each context. Where that is an application's own, or was replaced since this
#: module was imported, each handler has a context of its own.
_HOOKS = {
    owner: {name: getattr(owner, name) for name in names}
    for owner, names in {
        Flask: ("app_context", "create_url_adapter", "do_teardown_appcontext"),
        AppContext: ("push", "pop"),
    }.items()
}

#: For `HandlerContext` to look into: it never is empty.
_UNKNOWN = ("unknown",)

#: How many contexts that a handler has left pushed are popped at most: the loop needs a bound.
_MOST_LEFT = 1_000


class HandlerContext:
    """Gives each handler an application context of its own (Flask: The Application Context).

    Pushing and popping one costs several times what handing over a message does. So a context that
    a handler left untouched serves the next one too. It is untouched if nothing is on ``g``,
    nothing was attached to the context itself, and neither a teardown function, a receiver of a
    context signal nor a hook of the application could have noticed it.

    What a handler pushes and does not pop is popped after it. To look for that after each handler
    would take a tenth of the time that a message takes. So it is looked for now and then, at
    `is_left_behind`, and after each handler once it was found.

    Each thread that calls handlers has one of its own.
    """

    def __init__(self, app: Flask) -> None:
        """Give out contexts of this application."""
        self._app = app
        #: Whether a context is there, so that `enter` is not needed.
        self.kept = False
        self._context: AppContext | None = None
        #: The contexts that the application had pushed, if it calls handlers in its own thread.
        self._outer: tuple[Any, Any] = (None, None)
        #: Whether a handler has ever pushed something and left it.
        self._is_careful = False
        #: What `leave` puts something into.
        self._ended: list[None] = []
        self._stored: Sized = ()
        self._attributes: Sized = ()
        self._attribute_count = 0
        self._teardowns: Sized = ()
        # Flask before 2.3 has signals without blinker, and those have no receivers.
        self._pushed: Sized = getattr(signals.appcontext_pushed, "receivers", ())
        self._popped: Sized = getattr(signals.appcontext_popped, "receivers", ())
        self._tearing_down: Sized = getattr(signals.appcontext_tearing_down, "receivers", ())

    def enter(self) -> None:
        """Push a context for a handler, as none was kept."""
        self._outer = _pushed()
        self._context = context = self._app.app_context()
        context.push()
        self.kept = True
        self._ended = []
        self._attributes = vars(context)
        self._attribute_count = len(self._attributes)
        self._teardowns = self._app.teardown_appcontext_funcs
        if self._is_careful or _has_hooks(self._app, context):
            self._stored = _UNKNOWN
        else:
            self._stored = vars(context.g)

    def is_traced(self) -> bool:
        """Whether the handler, or who watches contexts, could tell it from a new one."""
        # Asked after each call of a handler, so without a call of bool().
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

    def traces(self) -> Traces:
        """Return where `is_traced` looks, for callers that look there themselves."""
        watched = (
            self._stored,
            self._teardowns,
            self._pushed,
            self._popped,
            self._tearing_down,
            self._ended,
        )
        return watched, self._attributes, self._attribute_count

    def is_left_behind(self) -> bool:
        """Whether handlers have left other contexts than the one that they were given."""
        return self.kept and (
            _current_app_context(None) is not self._context
            or _current_request_context(None) is not self._outer[1]
        )

    def leave(self, error: BaseException | None = None) -> None:
        """End a context: after a handler that left traces or raised, or before a wait.

        What handlers have pushed on it and left there ends first.

        Raises:
            BaseException: What a teardown function has raised, the first one of several.
        """
        context, outer, self.kept = self._context, self._outer, False
        self._ended.append(None)
        if context is None:
            return
        failures: list[BaseException] = []
        self._pop_what_was_left(context, error, failures)
        for _ in range(_MOST_LEFT):
            # More than once, where the handler has pushed it again.
            if _pushed()[0] is not context:
                break
            if not _pop(context, error, failures):
                # Pushing it was interrupted: Flask has no way back to what was before.
                globals._cv_app.set(outer[0])  # noqa: SLF001 - as below
        # Not before: where this was interrupted, the next call of it does the rest.
        self._context = None
        if failures:
            raise failures[0]

    def _pop_what_was_left(
        self, context: AppContext, error: BaseException | None, failures: list[BaseException]
    ) -> None:
        _, outer_request = self._outer
        for _ in range(_MOST_LEFT):
            app_context, request_context = _pushed()
            if (app_context, request_context) == (context, outer_request):
                return
            self._is_careful = True
            if (app_context, request_context) == self._outer:
                # The handler has popped its context too.
                return
            if request_context is outer_request:
                request_context = None
            if not _pop(_topmost(app_context, request_context), error, failures):
                # A coroutine has pushed it, in a context of its own (PEP 567).
                globals._cv_app.set(context)  # noqa: SLF001 - as below
                if _request_variable is not None:
                    _request_variable.set(outer_request)


def _pushed() -> tuple[Any, Any]:
    """Return the current application context and request context, or None for each."""
    return _current_app_context(None), _current_request_context(None)


def _no_request_context(default: Any) -> Any:
    return default


_current_app_context: Callable[[Any], Any] = globals._cv_app.get  # noqa: SLF001 - `app_ctx` is a proxy
#: Later versions of Flask have one kind of context for both.
_request_variable = getattr(globals, "_cv_request", None)
_current_request_context: Callable[[Any], Any] = getattr(
    _request_variable, "get", _no_request_context
)


def _topmost(app_context: Any, request_context: Any) -> Any:
    """Return which of the two is to be popped first."""
    if request_context is None:
        return app_context
    # One that had no application context has pushed one itself, and pops it.
    _, own = request_context._cv_tokens[-1]  # noqa: SLF001 - there is no other way to see that
    return request_context if own is None or own is app_context else app_context


def _pop(context: Any, error: BaseException | None, failures: list[BaseException]) -> bool:
    """Pop a context, note what its teardown functions raise, and return whether it is gone."""
    before = _pushed()
    try:
        context.pop(error)
    except BaseException as failure:  # noqa: BLE001 - the application's
        if _pushed() == before:
            if failure.__context__ is not None:
                failures.append(failure.__context__)
            return False
        failures.append(failure)
    return True


def _has_hooks(app: Flask, context: AppContext) -> bool:
    """Whether something of the application's own is called for each context."""
    if type(context) is not AppContext or type(context.g) is not _AppCtxGlobals:
        return True
    kinds = {Flask: type(app), AppContext: AppContext}
    return any(
        getattr(kinds[owner], name) is not usual or name in vars(app)
        for owner, hooks in _HOOKS.items()
        for name, usual in hooks.items()
    )


class NoContext:
    """Stands in for contexts without an application."""

    #: As if there always were one, so that none is made.
    kept = True

    def enter(self) -> None:
        """Do nothing."""

    def is_traced(self) -> bool:
        """Say that there is nothing to end."""
        return False

    def traces(self) -> Traces:
        """Return nowhere."""
        return (), (), 0

    def is_left_behind(self) -> bool:
        """Say that there is nothing to end."""
        return False

    def leave(self, error: BaseException | None = None) -> None:
        """Do nothing."""
