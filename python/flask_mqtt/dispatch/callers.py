"""The threads that are calling handlers, and what each of them calls them with."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .._core import Changes
from ..handlers.caller import Caller, call_elsewhere

if TYPE_CHECKING:
    from flask import Flask

    from .._core import Client as CoreClient
    from ..handlers.caller import Handler, Tell
    from ..stats import HandlerTimes

#: So many calls of quick handlers are measured at once, with one look at the clock.
_TOGETHER = 16


class Callers:
    """Knows which thread calls handlers with what, and how long handlers have taken."""

    def __init__(self, core: CoreClient) -> None:
        """Start with that of the thread that fetches events, whichever that is.

        Args:
            core: The client whose handlers they are.
        """
        self._core = core
        #: Noted wherever calls in a row have to look again.
        self.changes = Changes()
        self.app: Flask | None = None
        #: What calls the handlers of the thread that fetches events.
        self.fetching = Caller(core, None, together=_TOGETHER)
        #: `fetching`, and one for each thread of a pool.
        self._all = [self.fetching]
        #: The callers of running threads, including those that were told to stop.
        self.by_thread: dict[threading.Thread, Caller] = {}
        #: The thread of the application's that fetches events.
        self.borrower: threading.Thread | None = None
        self._tell: Tell | None = None

    def bind(self, app: Flask) -> None:
        """Run every handler in a context of this application, and log to its logger."""
        self.app = app
        for caller in list(self._all):
            caller.bind(app)
        self.changes.note()

    def look_closely(self) -> None:
        """Look at the next calls one by one, since a handler may be another one."""
        for caller in list(self._all):
            caller.look_closely()
        self.changes.note()

    def observe(self, tell: Tell | None) -> None:
        """Tell of each call, with its time.

        Args:
            tell: What is called after each: see `Caller.observe`. None for nothing.
        """
        self._tell = tell
        for caller in list(self._all):
            caller.observe(tell)

    def present(self) -> Caller | None:
        """Return what this thread calls handlers with, if it does that."""
        thread = threading.current_thread()
        return self.fetching if thread is self.borrower else self.by_thread.get(thread)

    def numbered(self, number: int) -> Caller:
        """Return that of a thread which handles messages besides.

        Args:
            number: Which one, from 1 on. It is the last one that there was, or the next.
        """
        if len(self._all) <= number:
            caller = Caller(self._core, self.app)
            caller.observe(self._tell)
            self._all.append(caller)
        return self._all[number]

    def call(self, handler: Handler, *arguments: Any) -> None:
        """Call a handler in the thread that this is. What it raises is logged.

        Raises:
            KeyboardInterrupt: In a thread of the application's. So with ``SystemExit``.
        """
        caller = self.present()
        if caller is None:
            self.call_elsewhere(handler, *arguments)
        else:
            caller.call_with(handler, *arguments)

    def call_elsewhere(self, handler: Handler, *arguments: Any) -> None:
        """Do as `call`, in a context that no other handler has."""
        call_elsewhere(self._core, self.app, self._tell, handler, *arguments)

    def times(self) -> HandlerTimes:
        """Return what the calls of handlers have taken: `Dispatcher.handler_times`."""
        callers = list(self._all)
        return {
            "calls": sum(caller.calls for caller in callers),
            "seconds": sum(caller.seconds for caller in callers),
            "longest": max(caller.longest for caller in callers),
            "failures": sum(caller.failures for caller in callers),
        }

    def forked(self, core: CoreClient) -> None:
        """Forget the threads, in a forked child: the parent has them.

        Args:
            core: The client in this process.
        """
        self._core = core
        self.borrower = None
        self.by_thread = {}
        for caller in self._all:
            caller.use(core)
