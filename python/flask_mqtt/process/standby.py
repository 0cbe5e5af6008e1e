"""What stands for a client's connection in a forked child, where it is the parent's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

from ..discretion import forget
from ..paho.constants import MQTT_ERR_NO_CONN
from ..publishing.info import MQTTMessageInfo
from ..records import fields, write

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from ..paho.enums import MQTTErrorCode

logger = logging.getLogger("flask_mqtt")


class Inherited:
    """The core of a client whose connection is the parent's, until the child connects itself.

    Messages are refused: they would wait for a connection that nobody makes. Subscriptions are
    kept for it, as they always are. Everything else is the core's own.
    """

    def __init__(self, core: CoreClient) -> None:
        """Make one of a core that no other process has."""
        self.core = core
        self._has_told = False

    def __getattr__(self, name: str) -> Any:
        """Do as the core does."""
        return getattr(self.core, name)

    def publish(self, *_: Any) -> MQTTMessageInfo:
        """Refuse."""
        self._tell()
        return MQTTMessageInfo((MQTT_ERR_NO_CONN, 0))

    def subscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Keep a subscription for the connection."""
        self._tell()
        return self.core.subscribe(*request)

    def unsubscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Keep it for the connection too."""
        self._tell()
        return self.core.unsubscribe(*request)

    def _tell(self) -> None:
        if self._has_told:
            return
        self._has_told = True
        write(
            logger.warning,
            "This process was forked after the MQTT connection was made, which its parent has: "
            "nothing is published here before this process connects too, with init_app() or "
            "client.reconnect() and client.loop_start()",
            extra=fields(self.core, "forked"),
        )


class Unprepared(Inherited):
    """The same of a client that could not be prepared for the child: it refuses to connect too."""

    def __init__(self, core: CoreClient, was_connected: bool) -> None:
        """Make one for the time until it is prepared.

        Args:
            core: One that no other process has.
            was_connected: Whether the parent had a connection.
        """
        super().__init__(core)
        self.was_connected = was_connected
        #: What was in the way. A signal's handler may have left it unknown.
        self.error: BaseException = InterruptedError("interrupted")

    def connect(self, *_: Any) -> NoReturn:
        """Refuse."""
        raise OSError(self._text()) from self.error

    def _tell(self) -> None:
        if not self._has_told:
            self._has_told = True
            forget(self.error)
            extra = fields(self.core, "fork_failed", error=str(self.error))
            write(logger.error, "%s", self._text(), exc_info=self.error, extra=extra)

    def _text(self) -> str:
        return (
            "This process was forked, and its MQTT client could not be prepared for that: nothing "
            "is published here before it connects, which it can try again "
            f"({type(self.error).__name__}: {self.error})"
        )
