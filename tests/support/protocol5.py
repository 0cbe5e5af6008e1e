"""What tests of MQTT 5 with mosquitto have in common."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import TYPE_CHECKING, Any

from flask_mqtt import MQTTMessage, MQTTv5

from .apps import make_app

if TYPE_CHECKING:
    from flask import Flask

    from flask_mqtt import Mqtt

    from .mosquitto import Mosquitto

_numbers = itertools.count()


def new_topic() -> str:
    """Return a topic that nobody else uses."""
    return f"protocol5/{next(_numbers)}"


def app5(broker: Mosquitto, **config: Any) -> Flask:
    """Make an application that speaks MQTT 5."""
    return make_app(broker.port, protocol_version=MQTTv5, **config)


def receive(mqtt: Mqtt, topic: str, **options: Any) -> queue.Queue[MQTTMessage]:
    """Subscribe, wait until the broker has done so, and return where messages go."""
    messages: queue.Queue[MQTTMessage] = queue.Queue()
    done = threading.Event()
    mqtt.on_topic(topic)(lambda _client, _userdata, message: messages.put(message))
    mqtt.on_subscribe()(lambda *_: done.set())
    mqtt.subscribe(topic, **options)
    assert done.wait(20)
    return messages
