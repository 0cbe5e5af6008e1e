"""What stands for a client's connection in a forked child, where it is the parent's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .constants import MQTT_ERR_NO_CONN
from .messageinfo import MQTTMessageInfo
from .records import fields

if TYPE_CHECKING:
    from ._core import Client as CoreClient
    from .enums import MQTTErrorCode

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
        logger.warning(
            "This process was forked after the MQTT connection was made, which its parent has: "
            "nothing is published here before this process connects too, with init_app() or "
            "client.reconnect() and client.loop_start()",
            extra=fields(self.core, "forked"),
        )
