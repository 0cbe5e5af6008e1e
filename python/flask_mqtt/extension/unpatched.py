"""Notices that handlers run in a thread which cannot wake the server of Flask-SocketIO."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from ..dispatch.tap import MessageIn
from ..records import fields, write
from ..waiting import are_threads_green

if TYPE_CHECKING:
    from flask import Flask

    from ..dispatch.dispatcher import Dispatcher
    from ..dispatch.tap import Occurrence

logger = logging.getLogger("flask_mqtt")

#: How each of those servers has the standard library patched. Their queues know no other thread.
_PATCHES = {
    "eventlet": "eventlet.monkey_patch()",
    "gevent": "gevent.monkey.patch_all()",
    "gevent_uwsgi": "gevent.monkey.patch_all()",
}


class _Watch:
    """Looks at the server with each message until there is one, and then no more.

    An application may make it after the extension, and names its mode only there.
    """

    def __init__(self, dispatcher: Dispatcher, app: Flask) -> None:
        self._dispatcher = dispatcher
        self._app = app

    def __call__(self, what: Occurrence) -> None:
        server = self._app.extensions.get("socketio")
        mode = getattr(server, "async_mode", None)
        if mode is None or not isinstance(what, MessageIn):
            return
        self._dispatcher.tap.remove(self)
        patch = _PATCHES.get(mode)
        # A worker that gunicorn has forked may have patched before its own threads began.
        if patch is None or self._dispatcher.is_green:
            return
        text = (
            "What handlers emit with Flask-SocketIO reaches the browser late or never: its server "
            "runs under %s (async_mode=%r), which only its own green threads can wake, and "
            "handlers run in a thread. Call %s before all other imports, or make SocketIO with "
            "async_mode='threading'"
        )
        extra = fields(self._dispatcher.core, "not_patched")
        write(logger.warning, text, mode.partition("_")[0], mode, patch, extra=extra)


def watch(dispatcher: Dispatcher, app: Flask) -> None:
    """Log one warning where the handlers' thread cannot wake the server of Flask-SocketIO.

    Args:
        dispatcher: Has that thread, which is about to start.
        app: The application.
    """
    is_watched = any(isinstance(observer, _Watch) for observer in dispatcher.tap.observers)
    if "flask_socketio" in sys.modules and not are_threads_green() and not is_watched:
        dispatcher.tap.add(_Watch(dispatcher, app))
