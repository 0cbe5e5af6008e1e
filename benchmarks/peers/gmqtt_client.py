"""gmqtt, which is for asyncio and has functions as handlers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311

from peers.base import END, PATIENCE, Target
from peers.looping import LoopingPeer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: Messages after which the loop has a turn.
TURN = 1_000


class Gmqtt(LoopingPeer):
    """A client."""

    def __init__(self, target: Target) -> None:
        """Make the client, in the loop."""
        super().__init__(target)
        if target.transport != "tcp":
            raise NotImplementedError
        self._granted = asyncio.Event()
        self.client = self.run(self._new())

    async def _new(self) -> Client:
        client = Client("bench-gmqtt")
        client.on_subscribe = lambda *_, **__: self._granted.set()
        return client

    def count(self, filters: Sequence[str]) -> None:
        """Use `on_message`."""
        super().count(filters)
        tick = self.tick

        def handle_message(
            client: object, topic: str, payload: bytes, qos: int, properties: object
        ) -> int:
            tick()
            return 0

        self.client.on_message = handle_message

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Use `on_message`."""

        def handle_message(
            client: object, topic: str, payload: bytes, qos: int, properties: object
        ) -> int:
            call(payload)
            return 0

        self.client.on_message = handle_message

    def connect(self) -> None:
        """Use MQTT 3.1.1, as the others do."""
        self.run(self.client.connect("127.0.0.1", self.target.port, version=MQTTv311))

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `on_subscribe`."""

        async def subscribe() -> None:
            self.client.subscribe(topic_filter, qos)
            await asyncio.wait_for(self._granted.wait(), PATIENCE)

        self.run(subscribe())

    def start_publish(self, topic: str, payload: bytes) -> None:
        """Use `publish`, which is no coroutine."""
        self.client.publish(topic, payload)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`."""

        async def send() -> None:
            for number in range(messages):
                self.client.publish(topic, payload, qos)
                if number % TURN == TURN - 1:
                    await asyncio.sleep(0)

        self.run(send())

    def drain(self, qos: int) -> None:
        """Wait until nothing is kept for another attempt."""

        async def drain() -> None:
            self.client.publish(END, b"", max(qos, 1))
            await asyncio.wait_for(self.client._persistent_storage.wait_empty(), PATIENCE)

        self.run(drain())


PEER = Gmqtt
