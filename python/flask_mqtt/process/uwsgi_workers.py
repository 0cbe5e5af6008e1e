"""uWSGI, which loads the application before it forks its workers, and does so in C."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def is_parent() -> bool:
    """Whether this process is uWSGI's, and one that forks the workers.

    A thread of Python's that it has makes them hang.
    """
    uwsgi = _uwsgi()
    return uwsgi is not None and uwsgi.worker_id() == 0


def runs_threads() -> bool:
    """Whether threads of Python's run in the workers between two requests; True without uWSGI."""
    uwsgi = _uwsgi()
    if uwsgi is None:
        return True
    return any(uwsgi.opt.get(option) for option in ("enable-threads", "threads"))


def call_in_workers(call: Callable[[], object]) -> None:
    """Call something in each worker when it begins, where uWSGI has such a hook: with a master.

    Args:
        call: The function.
    """
    try:
        decorators: Any = import_module("uwsgidecorators")
    except Exception:  # noqa: BLE001 - it raises that without a master
        return
    decorators.postfork(call)


def _uwsgi() -> Any:
    """Return the module that uWSGI has in its processes."""
    return sys.modules.get("uwsgi")
