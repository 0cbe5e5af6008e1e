"""Flask-MQTT and flask-mqtt-rs: the same application, in two environments."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any

from flask import Flask

from flask_mqtt import Mqtt
from peers.base import END, PATIENCE, Peer, Target, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class FlaskExtension(Peer):
    """An application with `Mqtt`."""

    def __init__(self, target: Target) -> None:
        """Make the application."""
        super().__init__(target)
        self.app = Flask("bench")
        self.app.config["MQTT_BROKER_URL"] = "localhost" if target.certificate else "127.0.0.1"
        self.app.config["MQTT_BROKER_PORT"] = target.port
        if target.transport == "tls":
            self.app.config["MQTT_TLS_ENABLED"] = True
            self.app.config["MQTT_TLS_CA_CERTS"] = target.certificate
            self.app.config["MQTT_TLS_VERSION"] = ssl.PROTOCOL_TLS_CLIENT
        if target.transport == "websockets":
            self.app.config["MQTT_TRANSPORT"] = "websockets"
        if target.gather_time is not None:
            self.app.config["MQTT_GATHER_TIME"] = target.gather_time
        self.mqtt = Mqtt()
        self._connected, self._granted = threading.Event(), threading.Event()

        @self.mqtt.on_connect()
        def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
            self._connected.set()

        @self.mqtt.on_subscribe()
        def handle_subscribe(*arguments: object) -> None:
            self._granted.set()

    def count(self, filters: Sequence[str]) -> None:
        """Use `on_topic` for filters, `on_message` for all."""
        tick = self.tick

        def handle_message(client: object, userdata: object, message: object) -> None:
            tick()

        if not filters:
            self.mqtt.on_message()(handle_message)
        for topic_filter in filters:
            self.mqtt.on_topic(topic_filter)(handle_message)

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        @self.mqtt.on_message()
        def handle_message(client: object, userdata: object, message: Any) -> None:
            call(message.payload)

    def report(self) -> None:
        """Use `on_publish`."""
        reported = self.reported

        @self.mqtt.on_publish()
        def handle_publish(client: object, userdata: object, mid: int) -> None:
            reported()

    def connect(self) -> None:
        """Use `init_app`."""
        self.mqtt.init_app(self.app)
        wait(self._connected, "CONNACK")

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe` and `on_subscribe`."""
        self._granted.clear()
        self.mqtt.subscribe(topic_filter, qos)
        wait(self._granted, "SUBACK")

    def unsubscribe(self, topic_filter: str) -> None:
        """Use `unsubscribe`."""
        self.mqtt.unsubscribe(topic_filter)

    def publish(self, topic: str, payload: bytes) -> None:
        """Use `publish`."""
        self.mqtt.publish(topic, payload)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`, as a view does."""
        publish = self.mqtt.publish
        for _ in range(messages):
            assert publish(topic, payload, qos)[0] == 0

    def drain(self, qos: int) -> None:
        """Wait for the last message, with the client's own `wait_for_publish`."""
        last = self.mqtt.client.publish(END, b"", max(qos, 1))
        last.wait_for_publish(PATIENCE)
        assert last.is_published()


PEER = FlaskExtension
