"""pymosquitto: libmosquitto by way of ctypes, with its thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from pymosquitto import Mosquitto

from peers.base import END, Peer, Target, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Pymosquitto(Peer):
    """A client with `loop_start`."""

    def __init__(self, target: Target) -> None:
        """Make the client."""
        super().__init__(target)
        if target.transport != "tcp":
            raise NotImplementedError
        self.client: Any = Mosquitto("bench-pymosquitto")
        self._connected, self._granted = threading.Event(), threading.Event()
        self._ended = threading.Event()
        self._last = 0
        self.client.on_connect = lambda *_: self._connected.set()
        self.client.on_subscribe = lambda *_: self._granted.set()
        self.client.on_publish = self._note

    def _note(self, client: object, userdata: object, mid: int) -> None:
        self._acknowledged = mid
        if mid == self._last:
            self._ended.set()

    def count(self, filters: Sequence[str]) -> None:
        """Use `on_message`."""
        if filters:
            raise NotImplementedError
        tick = self.tick

        def handle_message(client: object, userdata: object, message: object) -> None:
            tick()

        self.client.on_message = handle_message

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        def handle_message(client: object, userdata: object, message: Any) -> None:
            call(message.payload)

        self.client.on_message = handle_message

    def connect(self) -> None:
        """Use `connect_async` and `loop_start`."""
        self.client.connect_async("127.0.0.1", self.target.port)
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
            publish(topic, payload, qos)

    def drain(self, qos: int) -> None:
        """Wait for `on_publish` of the last message, which may come before `publish` returns."""
        self._ended.clear()
        self._last = self._acknowledged = 0
        self._last = self.client.publish(END, b"", max(qos, 1))
        if self._acknowledged != self._last:
            wait(self._ended, "acknowledgement")


PEER = Pymosquitto
