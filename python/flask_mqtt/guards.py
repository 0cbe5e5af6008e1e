"""What keeps the package's own threads alive, whatever code of the application's raises in them."""

from __future__ import annotations

import sys
import threading
import time
import traceback
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

#: For how long the same failure is only counted after it was told, in seconds.
QUIET = 60.0

#: So many kinds of failures are told apart.
_MOST_KINDS = 100

_own_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def own(thread: threading.Thread) -> None:
    """Take a thread for one of the package's: nobody is there who could catch what it raises."""
    _own_threads.add(thread)


def goes_on(error: BaseException) -> bool:
    """Whether an exception belongs to whoever called the package, as Ctrl-C does.

    In a thread of the package's none does.
    """
    return not issubclass(type(error), Exception) and threading.current_thread() not in _own_threads


def is_kill(error: BaseException) -> bool:
    """Whether a green thread is told to end: who tells it so waits for that."""
    greenlet = sys.modules.get("greenlet")
    return greenlet is not None and issubclass(type(error), greenlet.GreenletExit)


def text_of(error: BaseException) -> str:
    """Return the text of an exception, which may be one of the application's that has none."""
    try:
        return str(error)
    except BaseException as failure:
        if goes_on(failure):
            raise
        return "it has no text"


def show(*errors: BaseException | None) -> None:
    """Print exceptions to stderr, where the log takes none. There may be no stderr."""
    stream = getattr(sys, "stderr", None)
    if stream is None:
        return
    for error in errors:
        if error is None:
            continue
        try:
            traceback.print_exception(type(error), error, error.__traceback__, file=stream)
        except BaseException as failure:
            if goes_on(failure):
                raise


def pause(seconds: float) -> None:
    """Wait, where what usually waits has failed: `time.sleep` may be patched, and fail too."""
    for wait in (time.sleep, threading.Event().wait):
        try:
            wait(seconds)
        except BaseException as error:  # noqa: PERF203 - two of them
            if goes_on(error) or is_kill(error):
                raise
        else:
            return


class Troubles:
    """Failures of a kind that nobody foresaw: told once, then once in a while."""

    def __init__(self) -> None:
        """Start with none."""
        #: When each was told, and how often it was not since.
        self._told: dict[tuple[Any, ...], tuple[float, int]] = {}

    def count(self, error: BaseException) -> int | None:
        """Count a failure. Returns how often it came without a word before, None for no word."""
        kind = (type(error), *_place(error.__traceback__))
        now = time.monotonic()
        at, untold = self._told.get(kind, (None, 0))
        if at is not None and now - at < QUIET:
            self._told[kind] = (at, untold + 1)
            return None
        if len(self._told) >= _MOST_KINDS:
            self._told.clear()
        self._told[kind] = (now, 0)
        return untold


def _place(trace: TracebackType | None) -> tuple[Any, ...]:
    """Return where an exception was raised."""
    if trace is None:
        return ()
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code, trace.tb_lineno
