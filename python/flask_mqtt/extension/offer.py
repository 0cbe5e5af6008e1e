"""What a process offers that has connected, and is not the one that serves the application."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from flask import Flask
from werkzeug.serving import is_running_from_reloader

from ..process import handover, uwsgi_workers
from . import requests

if TYPE_CHECKING:
    from collections.abc import Callable


class Offer:
    """Offers the connection to a child of this process, until this one serves a request.

    The child that Werkzeug's reloader starts asks for it, and the first worker of gunicorn's with
    ``--preload`` that serves a request.
    """

    def __init__(self, let_go: Callable[[], bool]) -> None:
        """Offer nothing.

        Args:
            let_go: A method that ends the connection and returns whether it has.
        """
        self._let_go = let_go
        self._app: Flask | None = None
        self._is_child = False

    def begin(self, app: Any, identity: str) -> None:
        """Offer the connection, if this may be such a parent.

        Args:
            app: The application. One that is none of Flask's is served by nobody.
            identity: What the connections of the application's processes have in common.
        """
        self.end()
        if not isinstance(app, Flask) or self._is_child or is_running_from_reloader():
            return
        if uwsgi_workers.is_server():
            # Its first process does not connect, and its workers have no children.
            return
        self._app = app
        handover.offer(identity, self._let_go, once_forked="gunicorn.arbiter" in sys.modules)
        requests.call_with_requests(app, self._serves)

    def end(self) -> None:
        """Offer nothing any more."""
        if self._app is not None:
            requests.forget(self._serves)
            handover.withdraw(self._let_go)
            self._app = None

    def forked(self) -> None:
        """Offer nothing in a forked child."""
        self._is_child = True
        self.end()

    def _serves(self) -> None:
        # Whoever asks from now on is another worker.
        self.end()
