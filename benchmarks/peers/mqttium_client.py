"""MQTTium, which is for asyncio and has functions as handlers."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from mqttium.api import AsyncClient, PublishMessage

from peers.base import END, Target
from peers.looping import LoopingPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Mqttium(LoopingPeer):
    """A client."""

    def __init__(self, target: Target) -> None:
        """Make the client, in the loop."""
        super().__init__(target)
        self.client = self.run(self._new())

    async def _new(self) -> Any:
        return AsyncClient("bench-mqttium", message_delivery="callback")

    def count(self, filters: Sequence[str]) -> None:
        """Use `on_message`."""
        super().count(filters)
        tick = self.tick

        def handle_message(message: object) -> None:
            tick()

        self.client.on_message = handle_message

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        def handle_message(message: Any) -> None:
            call(message.payload)

        self.client.on_message = handle_message

    def connect(self) -> None:
        """Use `connect`, or `connect_ws`."""
        port = self.target.port
        if self.target.transport == "websockets":
            self.run(self.client.connect_ws(f"ws://127.0.0.1:{port}/mqtt"))
        elif self.target.transport == "tls":
            context = ssl.create_default_context(cafile=self.target.certificate)
            self.run(self.client.connect("localhost", port, ssl=context))
        else:
            self.run(self.client.connect("127.0.0.1", port))

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe`."""
        self.run(self.client.subscribe(topic_filter, qos=qos))

    async def publish_one(self, topic: str, payload: bytes, qos: int) -> None:
        """Use `publish`, and wait for the receipt."""
        receipt = await self.client.publish(topic, payload, qos=qos)
        await receipt.wait()

    def start_publish(self, topic: str, payload: bytes) -> None:
        """Use `publish_nowait`."""
        self.client.publish_nowait(topic, payload)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish_many`."""

        async def send() -> None:
            message = PublishMessage(topic, payload, qos=qos)
            await self.client.publish_many(message for _ in range(messages))

        self.run(send())

    def drain(self, qos: int) -> None:
        """Wait for the last message."""
        self.run(self.publish_one(END, b"", max(qos, 1)))


PEER = Mqttium
