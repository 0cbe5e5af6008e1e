"""zmqtt, which is for asyncio and gives messages by iteration."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

from zmqtt import QoS, create_client

from peers.base import END, PATIENCE, Target
from peers.looping import LoopingPeer

#: `publish` waits for the acknowledgement, so that many are awaited at once.
AT_ONCE = 500


class Zmqtt(LoopingPeer):
    """A client."""

    def __init__(self, target: Target) -> None:
        """Make the client, in the loop."""
        super().__init__(target)
        if target.transport == "websockets":
            raise NotImplementedError
        self.client = self.run(self._new())
        self._receiving: asyncio.Task[None] | None = None

    async def _new(self) -> Any:
        if self.target.transport == "tls":
            context = ssl.create_default_context(cafile=self.target.certificate)
            return create_client("localhost", self.target.port, tls=context)
        return create_client("127.0.0.1", self.target.port)

    def connect(self) -> None:
        """Use `connect`."""
        self.run(self.client.connect())

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe`, and iterate in a task."""

        async def subscribe() -> None:
            granted = asyncio.Event()
            self._receiving = asyncio.create_task(receive(granted))
            await asyncio.wait_for(granted.wait(), PATIENCE)

        async def receive(granted: asyncio.Event) -> None:
            tick, call = self.tick, self.call
            async with self.client.subscribe(topic_filter, qos=QoS(qos)) as messages:
                granted.set()
                if call is None:
                    async for _ in messages:
                        tick()
                else:
                    async for message in messages:
                        call(message.payload)

        self.run(subscribe())

    async def publish_one(self, topic: str, payload: bytes, qos: int) -> None:
        """Use `publish`."""
        await self.client.publish(topic, payload, qos=QoS(qos))

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`, one after the other at QoS 0, else many at once."""
        level = QoS(qos)

        async def send() -> None:
            publish = self.client.publish
            if qos == 0:
                for _ in range(messages):
                    await publish(topic, payload, qos=level)
                return
            left = messages
            while left > 0:
                some = min(left, AT_ONCE)
                await asyncio.gather(*(publish(topic, payload, qos=level) for _ in range(some)))
                left -= some

        self.run(send())

    def drain(self, qos: int) -> None:
        """Wait for the last message."""
        self.run(self.publish_one(END, b"", max(qos, 1)))


PEER = Zmqtt
