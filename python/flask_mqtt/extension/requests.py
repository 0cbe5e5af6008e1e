"""The requests that this process serves, for those who wait for the next one."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any

from flask import Flask, request_started

if TYPE_CHECKING:
    from collections.abc import Callable

    _Method = weakref.WeakMethod[Callable[[], object]]


class _Requests:
    """What the next request of an application calls.

    Flask's signal gets one receiver for all, and only while anybody waits. With a weak receiver for
    each, the signal would change its tables whenever the garbage collector drops one, also while
    another thread goes through them.
    """

    def __init__(self) -> None:
        #: Guards the list. A finalizer of the application may wait for requests, too.
        self._lock = threading.RLock()
        self._waiting: list[
            tuple[weakref.ref[Flask], weakref.WeakMethod[Callable[[], object]]]
        ] = []
        #: The signal finds it again by its identity.
        self._receiver = self._requested

    def call(self, app: Flask, method: Callable[[], object]) -> None:
        with self._lock:
            self._drop(method)
            self._waiting.append((weakref.ref(app), weakref.WeakMethod(method)))
            request_started.connect(self._receiver, weak=False)

    def forget(self, method: Callable[[], object]) -> None:
        with self._lock:
            self._drop(method)

    def forked(self) -> None:
        # Another thread of the parent's may have it.
        self._lock = threading.RLock()

    def _drop(self, method: Callable[[], object] | None) -> None:
        """Drop a method, and those that nobody refers to any more."""
        self._waiting = [one for one in self._waiting if one[1]() not in (None, method)]
        if not self._waiting:
            request_started.disconnect(self._receiver)

    def _requested(self, sender: Any, **_: Any) -> None:
        with self._lock:
            self._drop(None)
            found = [method() for app, method in self._waiting if app() is sender]
        # Not under the lock: it connects, or ends a connection.
        for method in found:
            if method is not None:
                method()


_requests = _Requests()
os.register_at_fork(after_in_child=_requests.forked)


def call_with_requests(app: Flask, method: Callable[[], object]) -> None:
    """Call a method with each request that an application serves, until it is forgotten.

    Args:
        app: The application.
        method: Of an object that is referred to weakly.
    """
    _requests.call(app, method)


def forget(method: Callable[[], object]) -> None:
    """Undo `call_with_requests`.

    Args:
        method: What it was given.
    """
    _requests.forget(method)
