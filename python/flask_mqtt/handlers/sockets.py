"""The socket of a connection, for the handlers `on_socket_open` and `on_socket_close`."""

from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING, Any

from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient

logger = logging.getLogger("flask_mqtt")


class Sockets:
    """Has the socket object that the handlers get: a second descriptor, for options."""

    def __init__(self) -> None:
        """Start without a socket."""
        self._socket: socket.socket | None = None
        self._number = 0

    def opened(self, core: CoreClient, call: Callable[[socket.socket], Any]) -> None:
        """Take the socket of a connection, and have a handler called with it.

        Args:
            core: What has the connection.
            call: Calls the handler.
        """
        try:
            given = core.socket()
        except OSError as error:
            text = "on_socket_open is not called: %s"
            extra = fields(core, "no_socket", error=str(error))
            write(logger.error, text, error, extra=extra)
            return
        if given is None:
            # The connection has ended in the meantime.
            return
        descriptor, self._number = given
        self._socket = sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        try:
            call(sock)
        finally:
            # This flag is the connection's as well.
            if sock.fileno() >= 0:
                sock.setblocking(False)

    def closed(self, core: CoreClient, call: Callable[[socket.socket], Any]) -> None:
        """Have a handler called with the socket of a connection that is over, and close it.

        Args:
            core: What had the connection. Nothing happens where it is not over.
            call: Calls the handler.
        """
        sock, number = self._socket, self._number
        if sock is None or number == core.socket_number():
            return
        self._socket, self._number = None, 0
        try:
            call(sock)
        finally:
            sock.close()

    def forked(self) -> None:
        """Close the descriptor in a forked child: the connection is the parent's."""
        sock, self._socket, self._number = self._socket, None, 0
        if sock is not None:
            sock.close()
