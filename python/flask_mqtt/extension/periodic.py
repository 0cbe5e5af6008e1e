"""A thread that calls a function again and again."""

from __future__ import annotations

import atexit
import threading
import weakref
from typing import TYPE_CHECKING

from ..guards import own
from ..process.ends import DISCONNECT_TIMEOUT
from ..records import trouble

if TYPE_CHECKING:
    from collections.abc import Callable


class PeriodicThread:
    """Calls a function every so often, in a thread of its own, until that says that it is done.

    Under eventlet or gevent that is the patched thread, looked up when it is started. It ends
    before the process ends, and is not there in a forked child.
    """

    def __init__(self, name: str, seconds: float, call: Callable[[], bool]) -> None:
        """Make one whose thread does not run.

        Args:
            name: Of the thread.
            seconds: The time between two calls.
            call: Returns whether it is to be called again. What it raises is logged, and then it
                is.
        """
        self._name = name
        self._seconds = seconds
        self._call = call
        #: Of the thread that runs: each has its own, so that none goes on which was told to end.
        self._end: threading.Event | None = None
        self._thread: threading.Thread | None = None
        _all.add(self)

    def start(self) -> None:
        """Start the thread, unless it runs. Two threads do not call this at once.

        Raises:
            RuntimeError: The system starts no other thread.
        """
        if self._end is not None and not self._end.is_set():
            return
        end = threading.Event()
        thread = threading.Thread(target=self._run, args=(end,), name=self._name, daemon=True)
        own(thread)
        thread.start()
        self._end, self._thread = end, thread

    def stop(self) -> None:
        """Have the thread end after the call that it is in."""
        if self._end is not None:
            self._end.set()

    def wait(self, timeout: float) -> None:
        """Wait for the end of a thread that was stopped; the thread itself does not wait.

        Args:
            timeout: Seconds to wait.
        """
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def pause(self, seconds: float) -> bool:
        """Wait, in the call. Returns whether that is to end now.

        Args:
            seconds: How long to wait at most.
        """
        end = self._end
        return end is None or end.wait(seconds)

    def forked(self) -> None:
        """Be without the thread, in a forked child: the parent has it."""
        self._end = self._thread = None

    def _run(self, end: threading.Event) -> None:
        own(threading.current_thread())
        while not end.wait(self._seconds):
            try:
                goes_on = self._call()
            except Exception as error:  # noqa: BLE001, PERF203 - it may be over by then
                trouble(None, error)
            else:
                if not goes_on:
                    end.set()


_all: weakref.WeakSet[PeriodicThread] = weakref.WeakSet()


# Registered after what ends the clients, and so called before it: nothing connects after that.
@atexit.register
def _stop_all() -> None:
    threads = list(_all)
    for thread in threads:
        thread.stop()
    for thread in threads:
        thread.wait(DISCONNECT_TIMEOUT)
