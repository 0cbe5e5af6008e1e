"""What goes through the hands of an application: messages, topics with their QoS, flags."""

from typing import NamedTuple

from .._core import MQTTMessage

__all__ = ["ConnectFlags", "DisconnectFlags", "MQTTMessage", "TopicQos"]


class TopicQos(NamedTuple):
    """A subscription: the filter, and the highest QoS wanted. Equal to a plain tuple of both."""

    topic: str
    qos: int


class ConnectFlags(NamedTuple):
    """What a CONNACK says beside its reason code (MQTT 3.1.1, section 3.2.2.2)."""

    #: Whether the broker still has the session of an earlier connection.
    session_present: bool


class DisconnectFlags(NamedTuple):
    """How a connection ended."""

    #: Whether the broker has sent a DISCONNECT, as it can with MQTT 5. The reason is its own then.
    is_disconnect_packet_from_server: bool
