"""What goes through the hands of an application: messages, and topics with their QoS."""

from typing import NamedTuple

from ._core import MQTTMessage

__all__ = ["MQTTMessage", "TopicQos"]


class TopicQos(NamedTuple):
    """A subscription: the filter, and the highest QoS wanted. Equal to a plain tuple of both."""

    topic: str
    qos: int
