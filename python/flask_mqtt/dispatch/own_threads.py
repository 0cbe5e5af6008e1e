"""The threads of the package's that were started, and who waits for their beginning or end."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

from ..guards import own
from ..handlers.scope import handling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._core import Client as CoreClient
    from ..handlers.caller import Caller
    from .callers import Callers


#: A thread that waits for the application's looks again after this many seconds.
_LOOK_SECONDS = 0.1


class Turn:
    """Wakes threads that wait for another thread to begin or end."""

    __slots__ = ("lock", "told")

    def __init__(self) -> None:
        """Make one."""
        #: Held for a look, and never by way of the condition: that is entered by a function of
        #: Python's, and where Ctrl-C interrupts its last moment, the lock is held for ever.
        self.lock = threading.Lock()
        self.told = threading.Condition(self.lock)

    def tell(self) -> None:
        """Have all look who wait."""
        with self.lock:
            self.told.notify_all()


class OwnThreads:
    """Starts threads that call handlers, and knows those that may run still."""

    def __init__(self, core: CoreClient, callers: Callers) -> None:
        """Start without any.

        Args:
            core: The client whose handlers they call.
            callers: Where each is there with what it calls them with, to its end.
        """
        self._core = core
        self._callers = callers
        self._threads: list[threading.Thread] = []
        #: Tells a thread that waits for its turn when another has ended, and when it is to stop.
        self.turn = Turn()

    def named(self, name: str) -> threading.Thread | None:
        """Return the last one that was started under a name."""
        return {thread.name: thread for thread in self._threads}.get(name)

    def start(self, name: str, caller: Caller, work: Callable[..., None], *arguments: Any) -> None:
        """Start one.

        Args:
            name: Its name.
            caller: What it calls handlers with.
            work: What it does.
            *arguments: What that is called with.

        Raises:
            RuntimeError: The system starts no other thread.
        """

        def run() -> None:
            if thread not in self._threads:
                # Who has started it may be interrupted before it is there.
                self._threads.append(thread)
            with self._calling(caller):
                work(*arguments)

        thread = threading.Thread(target=run, name=name, daemon=True)
        own(thread)
        self._callers.by_thread[thread] = caller
        try:
            thread.start()
        except BaseException:
            self._callers.by_thread.pop(thread, None)
            raise
        if thread not in self._threads:
            self._threads.append(thread)

    @contextlib.contextmanager
    def _calling(self, caller: Caller) -> Iterator[None]:
        """Take this thread for one that calls handlers, to its end."""
        thread = threading.current_thread()
        own(thread)
        self._callers.by_thread[thread] = caller
        try:
            with handling(thread, self._core):
                yield
        finally:
            try:
                caller.rest()
            finally:
                # In a forked child it is gone already.
                self._callers.by_thread.pop(thread, None)
                self.notify()

    def notify(self) -> None:
        """Wake the threads that wait for another one to begin or end."""
        # Read once: the next start may make another one.
        self.turn.tell()

    def forget_ended(self) -> None:
        """Forget those that have ended."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]

    def have_ended(self, deadline: float) -> bool:
        """Wait for those that were started, which stop in the middle of a handler.

        Args:
            deadline: Until when, in seconds of the monotonic clock.
        """
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def have_passed(self, deadline: float) -> bool:
        """Wait for all others that call handlers, as those of the application's that do.

        Args:
            deadline: As that of `have_ended`.
        """
        while self._others() and (left := deadline - time.monotonic()) > 0:
            # Read each time: a thread that begins makes another one.
            turn = self.turn
            with turn.lock:
                turn.told.wait(min(left, _LOOK_SECONDS))
        return not self._others()

    def _others(self) -> set[threading.Thread]:
        calling = {*self._callers.by_thread, self._callers.borrower}
        return {thread for thread in calling if thread not in (None, threading.current_thread())}

    def forked(self, core: CoreClient) -> None:
        """Forget them, in a forked child: the parent has them.

        Args:
            core: The client in this process.
        """
        self._core = core
        # A thread of the parent's may have had it.
        self.turn = Turn()
        self._threads = []
