"""The first use of an extension, in a process where it waits for that before it connects."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Flask, request

from ..discretion import forget
from ..process import command, handover, uwsgi_workers
from ..process.ends import close_with_child
from ..process.forks import notice
from ..process.standby import Need
from ..records import fields, write
from . import requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config

logger = logging.getLogger("flask_mqtt")

#: Seconds between two attempts that could not even begin, as where a certificate cannot be read.
_PAUSE = 1.0


def waits_for_first_use(values: Config, *, is_use: bool) -> bool:
    """Whether this process does not connect when the extension is set up, but with its first use.

    So does the child that multiprocessing starts anew, while it imports the main module once more,
    the process that forks uWSGI's workers, and a command of ``flask`` that does not serve the
    application.

    Args:
        values: The extension's.
        is_use: Whether the extension waits already: another call of `init_app` is a use. But the
            process that forks uWSGI's workers waits in any case, as it must have no threads.
    """
    if uwsgi_workers.is_parent():
        return True
    serves = values.connect_in_cli or command.serves()
    return not is_use and (_imports_main_again() or not serves)


def tell_of_threads() -> None:
    """Log an error where the server runs no threads of Python's, so that no handler is called."""
    if not uwsgi_workers.runs_threads():
        text = (
            "uWSGI runs no threads of Python's between requests, so no MQTT handler is called then "
            "(publishing works): set enable-threads = true"
        )
        write(logger.error, text, extra=fields(None, "no_threads"))


def _imports_main_again() -> bool:
    frame = sys._getframe()  # noqa: SLF001 - `inspect` takes it from there too
    while frame.f_back is not None:
        frame = frame.f_back
        name = frame.f_globals.get("__name__")
        if name == "__mp_main__" and frame.f_code.co_name == "<module>":
            return True
    return False


class FirstUse:
    """Connects when the application uses the extension for the first time in a process.

    That is so in a forked child, and where connecting was put off. Publishing connects for that
    alone, everything else fully.
    """

    def __init__(self, connect: Callable[[Need], None], identity: Callable[[], str]) -> None:
        """Wait for nothing.

        Args:
            connect: Connects, with subscriptions or without.
            identity: Returns what the connections of the application's processes have in common.
        """
        self._locks: dict[str, Any] = {}
        self._connect = connect
        self._identity = identity
        self._app: Any = None
        #: Whether the extension has not connected in this process, and does so when it is used.
        self.waits = False
        #: Whether it is connected for publishing only.
        self.publishes = False
        #: Whether the process was forked. It may take the connection of its parent's place then.
        self._is_forked = False
        self._is_busy = False
        self._not_before = 0.0

    @property
    def setting_up(self) -> Any:
        """Held while the extension is set up or connects: of two threads, one waits for the other.

        It is made when it is first asked for, by one of those who do so at once: a server may have
        patched the standard library only then (gunicorn with --preload, in its worker).
        """
        return self._locks.get("") or self._locks.setdefault("", threading.RLock())

    def wait(self, app: Any) -> None:
        """Wait for the first use, as the connection was put off, or has gone to another process.

        Args:
            app: The application.
        """
        self._app, self.waits, self.publishes = app, True, False
        self._watch()
        if uwsgi_workers.is_parent():
            uwsgi_workers.call_in_workers(self._begin_worker)

    def _begin_worker(self) -> None:
        notice()
        self.use(Need.SERVING)

    def forked(self, app: Any, *, was_connected: bool) -> None:
        """Be in a forked child.

        Args:
            app: The application.
            was_connected: Whether the parent had a connection, and this process waits for its own.
        """
        # Another thread of the parent's may have it.
        self._locks = {}
        self._is_busy, self._not_before, self._is_forked = False, 0.0, True
        self.over()
        if was_connected:
            self.wait(app)

    def over(self, *, publishes: bool = False) -> None:
        """Wait no more, as the extension connects.

        Args:
            publishes: Whether it does so for publishing only.
        """
        self.waits, self.publishes = False, publishes
        if not publishes and isinstance(self._app, Flask):
            requests.forget(self._requested)

    def use(self, need: Need) -> bool:
        """Connect, if that is needed. Returns whether there is something to go on with now.

        Args:
            need: What for.
        """
        with self.setting_up:
            if not self.waits and not (self.publishes and need is not Need.PUBLISHING):
                # Another thread was first.
                return True
            # A subscription that is made while the application is imported waits for the rest.
            is_early = need is Need.SUBSCRIBING and self.waits and not self._is_child()
            if self._is_busy or is_early or time.monotonic() < self._not_before:
                return False
            self._is_busy, before = True, (self.waits, self.publishes)
            try:
                self._connect(need)
            except Exception as error:  # noqa: BLE001 - it is no request's, and no message's
                self.waits, self.publishes = before
                self._watch()
                self._not_before = time.monotonic() + _PAUSE
                if not isinstance(error, OSError):
                    forget(error)
                    extra = fields(None, "connect_failed", error=str(error))
                    write(logger.error, "MQTT: %s", error, extra=extra)
                return False
            finally:
                self._is_busy = False
            close_with_child()
            return True

    def _is_child(self) -> bool:
        """Whether this process was forked or spawned, and has imported what it is to import."""
        process = sys.modules.get("multiprocessing.process")
        is_spawned = process is not None and process.parent_process() is not None
        return self._is_forked or (is_spawned and not _imports_main_again())

    def _watch(self) -> None:
        if isinstance(self._app, Flask):
            requests.call_with_requests(self._app, self._requested)

    def _requested(self) -> None:
        """Connect for the requests to come: this process serves the application."""
        environment = request.environ
        server = str(environment.get("SERVER_SOFTWARE", ""))
        if environment.get("wsgi.multiprocess") and server.startswith("Werkzeug"):
            # It forks for each request, and the child ends with that.
            return
        agent = str(environment.get("HTTP_USER_AGENT", ""))
        if not (server or command.serves()) and agent.startswith("Werkzeug"):
            # A command asks with Flask's test client, and serves nobody.
            return
        # A server may fork in C.
        notice()
        with self.setting_up:
            if self.waits and self._is_forked and not self._is_busy:
                # The parent has a connection too, and serves nobody: gunicorn with --preload.
                handover.ask(os.getppid(), self._identity())
            self.use(Need.SERVING)
