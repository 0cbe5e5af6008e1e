"""Messages out to the broker and back, which every way to a broker has to carry."""

from __future__ import annotations

import itertools
import queue
from typing import TYPE_CHECKING, Any

from .wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Mqtt, MQTTMessage

_numbers = itertools.count()


def new_topic() -> str:
    """Return a topic that no other test has."""
    return f"exchange/{next(_numbers)}"


def receive(mqtt: Mqtt, topic: str, qos: int = 2) -> queue.Queue[MQTTMessage]:
    """Subscribe, wait for the broker's answer, and return where messages on the topic go."""
    messages: queue.Queue[MQTTMessage] = queue.Queue()
    answered: list[int] = []

    def note(_client: Any, _userdata: Any, mid: int, _granted: tuple[int, ...]) -> None:
        answered.append(mid)

    mqtt.on_topic(topic)(lambda _client, _userdata, message: messages.put(message))
    mqtt.on_subscribe()(note)
    _, mid = mqtt.subscribe(topic, qos)
    wait_until(lambda: mid in answered, what=f"the subscription to {topic}")
    return messages


def round_trip(mqtt: Mqtt, payload: bytes = b"there and back \x00\xff") -> None:
    """Publish with each QoS what comes back to the same client, and see it come."""
    for qos in (0, 1, 2):
        topic = new_topic()
        # amqtt sends with the QoS of the subscription, whatever that of the message is.
        messages = receive(mqtt, topic, qos)
        assert mqtt.publish(topic, payload, qos)[0] == 0
        message = messages.get(timeout=10)
        assert (message.payload, message.qos, message.retain) == (payload, qos, False)
        mqtt.unsubscribe(topic)
