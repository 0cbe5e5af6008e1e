"""Clients for as long as a test needs them, and what tests do with a connection."""

from __future__ import annotations

import contextlib
import queue
import sys
import uuid
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from flask_mqtt.waiting import wait_for

from .apps import make_app
from .scripted import ScriptedBroker
from .wait import PATIENCE, wait_until

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from flask import Flask

    from flask_mqtt import Client


@contextlib.contextmanager
def connected(app: Flask, **options: Any) -> Iterator[Mqtt]:
    """Give a client that the broker has accepted; it is closed at the end."""
    with Mqtt(app, **options) as mqtt:
        wait_until(lambda: mqtt.connected, what="the client is connected")
        yield mqtt


@contextlib.contextmanager
def reconnecting(app: Flask) -> Iterator[Mqtt]:
    """Give a client as `connected` does, one that loses no time between attempts to connect."""
    mqtt = Mqtt()
    mqtt.client.reconnect_delay_set(0.05, 0.1)
    mqtt.init_app(app)
    with mqtt:
        wait_until(lambda: mqtt.connected)
        yield mqtt


@contextlib.contextmanager
def unconfirmed() -> Iterator[tuple[ScriptedBroker, Mqtt]]:
    """Give a broker that confirms QoS 1 only when it is told to, and a client of it."""
    with (
        ScriptedBroker(withhold={"PUBACK"}) as broker,
        connected(make_app(broker.port)) as mqtt,
    ):
        yield broker, mqtt


@contextlib.contextmanager
def closing(client: Client) -> Iterator[Client]:
    """Give a client of one's own; its connection and its threads end at the end."""
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
        client.close()


def subscribe(mqtt: Mqtt, topic: str, qos: int = 0) -> None:
    """Subscribe, and wait until the broker has said that it sends from now on."""
    confirmed: list[int] = []
    # Those of other filters may come meanwhile, as after a new connection.
    mqtt.on_subscribe()(lambda _client, _userdata, mid, *_: confirmed.append(mid))
    _, mid = mqtt.subscribe(topic, qos)
    wait_until(lambda: mid in confirmed, what=f"the SUBACK for {topic}")


def waits(thread: threading.Thread) -> bool:
    """Whether a thread, not a green one, waits for the core in a call such as `publish`."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code is wait_for.__code__


def lose(broker: ScriptedBroker, client: Client) -> None:
    """End a connection that was accepted."""
    wait_until(client.is_connected)
    broker.drop()


def echoes(mqtt: Mqtt, payload: bytes = b"there and back", timeout: float = PATIENCE) -> bool:
    """Whether the broker gives back what the client publishes on a topic of its own."""
    topic = f"echo/{uuid.uuid4()}"
    messages: queue.Queue[bytes] = queue.Queue()
    mqtt.on_topic(topic)(lambda _client, _userdata, message: messages.put(message.payload))
    # The broker takes the two in this order.
    mqtt.subscribe(topic, qos=1)
    mqtt.publish(topic, payload, qos=1)
    return messages.get(timeout=timeout) == payload
