"""uWSGI, which loads the application before it forks its workers, and does so in C.

The process that loads it must have no thread of Python's. While uWSGI forks, it lets other threads
have the GIL, and a worker that is forked meanwhile waits for it for ever.
"""

from __future__ import annotations

import sys
import weakref
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is called in each worker.
_calls: list[weakref.WeakMethod[Callable[[], object]]] = []


def is_server() -> bool:
    """Whether uWSGI serves the application: only it has the module ``uwsgi``."""
    return _uwsgi() is not None


def is_parent() -> bool:
    """Whether this process is uWSGI's, and no worker: it forks them, or is a mule or a spooler."""
    uwsgi = _uwsgi()
    return uwsgi is not None and uwsgi.worker_id() == 0


def runs_threads() -> bool:
    """Whether threads of Python's run in the workers between two requests; True without uWSGI."""
    uwsgi = _uwsgi()
    # Newer versions have threads without an option that says so.
    return uwsgi is None or bool(uwsgi.has_threads)


def call_in_workers(call: Callable[[], object]) -> None:
    """Call something in each worker when it begins.

    Args:
        call: A method, which is referred to weakly.
    """
    if not _calls:
        _hook(_uwsgi())
    reference = weakref.WeakMethod(call)
    if reference not in _calls:
        _calls.append(reference)


def _hook(uwsgi: Any) -> None:
    before = getattr(uwsgi, "post_fork_hook", None)
    if before is None and not hasattr(uwsgi, "spooler"):
        # It sets both: imported by the application later, it would replace a hook of ours.
        decorators = _decorators()
        if decorators is not None:
            decorators.postfork(_begin)
            return

    def begin() -> None:
        if before is not None:
            before()
        _begin()

    uwsgi.post_fork_hook = begin


def _decorators() -> Any:
    try:
        return import_module("uwsgidecorators")
    except Exception:  # noqa: BLE001 - it may be missing, and without a master it raises one of these
        return None


def _begin() -> None:
    if is_parent():
        # A mule or a spooler handles no messages, and may publish.
        return
    for reference in _calls:
        call = reference()
        if call is not None:
            call()


def _uwsgi() -> Any:
    """Return the module that uWSGI has in its processes."""
    return sys.modules.get("uwsgi")
