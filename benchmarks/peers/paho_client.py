"""paho-mqtt alone, with its thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from peers.base import END, PATIENCE, Peer, Target, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Paho(Peer):
    """A client with `loop_start`."""

    def __init__(self, target: Target) -> None:
        """Make the client."""
        super().__init__(target)
        transport = "websockets" if target.transport == "websockets" else "tcp"
        self.client = Client(CallbackAPIVersion.VERSION2, transport=transport)
        if target.transport == "tls":
            self.client.tls_set(target.certificate)
        self._connected, self._granted = threading.Event(), threading.Event()
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_subscribe = lambda *_: self._granted.set()

    def count(self, filters: Sequence[str]) -> None:
        """Use `message_callback_add` for filters, `on_message` for all."""
        tick = self.tick

        def handle_message(client: object, userdata: object, message: object) -> None:
            tick()

        if not filters:
            self.client.on_message = handle_message
        for topic_filter in filters:
            self.client.message_callback_add(topic_filter, handle_message)

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        def handle_message(client: object, userdata: object, message: Any) -> None:
            call(message.payload)

        self.client.on_message = handle_message

    def report(self) -> None:
        """Use `on_publish`."""
        reported = self.reported

        def handle_publish(
            client: object, userdata: object, mid: int, code: object, properties: object
        ) -> None:
            reported()

        self.client.on_publish = handle_publish

    def connect(self) -> None:
        """Use `connect` and `loop_start`."""
        self.client.connect(
            "localhost" if self.target.certificate else "127.0.0.1", self.target.port
        )
        self.client.loop_start()
        wait(self._connected, "CONNACK")

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe` and `on_subscribe`."""
        self.client.subscribe(topic_filter, qos)
        wait(self._granted, "SUBACK")

    def publish(self, topic: str, payload: bytes) -> None:
        """Use `publish`."""
        self.client.publish(topic, payload)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`."""
        publish = self.client.publish
        for _ in range(messages):
            assert publish(topic, payload, qos).rc == 0

    def drain(self, qos: int) -> None:
        """Wait for the last message."""
        last = self.client.publish(END, b"", max(qos, 1))
        last.wait_for_publish(PATIENCE)
        assert last.is_published()


PEER = Paho
