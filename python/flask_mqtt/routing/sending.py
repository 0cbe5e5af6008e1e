"""Publishing on behalf of a route, in the course of a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ..client import Client
from ..client.base import parts_of
from ..guards import text_of
from ..paho.constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from ..paho.enums import MQTTErrorCode

if TYPE_CHECKING:
    from .._core import Client as CoreClient


class Publishing(Protocol):
    """What publishes: the extension."""

    def publish(
        self,
        topic: str,
        payload: Any = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
        *,
        no_prefix: bool = False,
    ) -> Any:
        """Publish a message: `Mqtt.publish`."""


def core_of(client: Any) -> CoreClient | None:
    """Return the core of a client, for records; None for a stand-in of a test's."""
    return parts_of(client).holder.core if issubclass(type(client), Client) else None


def send(
    host: Publishing,
    topic: str,
    payload: Any,
    qos: int,
    properties: Any,
    *,
    no_prefix: bool = False,
) -> str | None:
    """Publish a message. A failure is the message's, and not the handler's.

    Args:
        host: What publishes.
        topic: As that of `Mqtt.publish`, and so on.
        payload: See there.
        qos: See there.
        properties: See there.
        no_prefix: See there.

    Returns:
        Why the message is not sent, and will not be; None if it is.
    """
    try:
        rc = host.publish(topic, payload, qos, False, properties, no_prefix=no_prefix)[0]
    except (TypeError, ValueError) as error:
        return text_of(error)
    except Exception as error:  # noqa: BLE001 - the extension may be a class of the application's
        return f"{type(error).__name__}: {text_of(error)}"
    if rc == MQTT_ERR_SUCCESS or (rc == MQTT_ERR_NO_CONN and qos):
        # The latter is sent after the next connect.
        return None
    return MQTTErrorCode(rc).name
