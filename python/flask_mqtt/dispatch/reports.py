"""What a connection reports for the log, also where no thread calls handlers."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _core
from ..paho.constants import LOGGING_LEVEL
from ..paho.enums import LogLevel
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._core import Properties
    from ..core_holder import CoreHolder

logger = logging.getLogger("flask_mqtt")

#: So many events are fetched at once where no thread calls handlers.
_MOST = 512


class Reports:
    """Logs what the connection reports, and keeps what the broker has chosen for it."""

    def __init__(self, holder: CoreHolder) -> None:
        """Start without a connection.

        Args:
            holder: Has the client's core.
        """
        self._holder = holder
        #: The keep alive that the broker chose with the last CONNACK, if it did.
        self.server_keepalive: int | None = None

    def forget_keepalive(self) -> None:
        """Forget the keep alive that the broker chose: there is a new one, or a new connection."""
        self.server_keepalive = None

    def notice(self, level: int, text: str, values: dict[str, Any]) -> None:
        """Log a line of the core's.

        Args:
            level: A `LogLevel`.
            text: The line.
            values: The fields of the record.
        """
        log = partial(logger.log, LOGGING_LEVEL[LogLevel(level)])
        write(log, text, extra=fields(self._holder.core, **values))

    def accepted(self, session_present: int, properties: Properties | None) -> None:
        """Log that the broker has accepted the connection.

        Args:
            session_present: Whether it has a session of this client.
            properties: Those of the CONNACK.
        """
        self.server_keepalive = getattr(properties, "ServerKeepAlive", None)
        self.log_change("connected", "Connected to", session_present=bool(session_present))

    def log_change(self, event: str, text: str, **values: Any) -> None:
        """Log that the client has connected or disconnected.

        Args:
            event: Its name in the record.
            text: What comes before the broker's name.
            values: Further fields of the record.
        """
        extra = fields(self._holder.core, event, **values)
        client_id = extra["mqtt_client_id"]
        name = f" as {client_id!r:.100}" if client_id else ""
        write(logger.info, "%s %s%s", text, extra["mqtt_broker"], name, extra=extra)

    def take(self, refresh_settings: Callable[[], None], fetched: Iterable[Any] = ()) -> bool:
        """Log what there is where no thread calls handlers, and drop the events for these.

        Args:
            refresh_settings: Called where the connection's thread asks for the settings of its next
                attempt.
            fetched: Events that come before those.

        Returns:
            Whether a connection or an attempt has ended.
        """
        events = [*fetched]
        while self._holder.core.take(events, _MOST):
            pass
        has_ended = False
        for event in events:
            # Others are messages.
            kind, values = (event[0], event[1:]) if type(event) is tuple else (None, ())
            if kind == _core.EVENT_NOTICE:
                self.notice(*values)
            elif kind == _core.EVENT_ATTEMPT:
                refresh_settings()
            elif kind == _core.EVENT_CONNACK and values[1] == 0:
                self.accepted(values[0], values[2])
            elif kind in (_core.EVENT_DISCONNECTED, _core.EVENT_CONNECT_FAILED):
                has_ended = True
        return has_ended
