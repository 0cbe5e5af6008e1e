"""aiomqtt, which is paho for asyncio and gives messages by iteration."""

from __future__ import annotations

import asyncio
import logging

from aiomqtt import Client, TLSParameters

from peers.base import END, Target
from peers.looping import LoopingPeer

#: `publish` waits for the acknowledgement, so that many are awaited at once.
AT_ONCE = 500


class Aiomqtt(LoopingPeer):
    """A client."""

    def __init__(self, target: Target) -> None:
        """Make the client, in the loop."""
        super().__init__(target)
        # It has a line for each call beyond the tenth at once.
        logging.getLogger("mqtt").setLevel(logging.ERROR)
        self.client = self.run(self._new())
        self._receiving: asyncio.Task[None] | None = None

    async def _new(self) -> Client:
        target = self.target
        tls = TLSParameters(ca_certs=target.certificate) if target.transport == "tls" else None
        return Client(
            "localhost" if tls else "127.0.0.1",
            target.port,
            tls_params=tls,
            transport="websockets" if target.transport == "websockets" else "tcp",
            timeout=30,
        )

    def connect(self) -> None:
        """Enter the client."""
        self.run(self.client.__aenter__())

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Use `subscribe`, and iterate in a task."""

        async def subscribe() -> None:
            self._receiving = asyncio.create_task(receive())
            await self.client.subscribe(topic_filter, qos)

        async def receive() -> None:
            tick, call = self.tick, self.call
            if call is None:
                async for _ in self.client.messages:
                    tick()
            else:
                async for message in self.client.messages:
                    call(message.payload)

        self.run(subscribe())

    async def publish_one(self, topic: str, payload: bytes, qos: int) -> None:
        """Use `publish`."""
        await self.client.publish(topic, payload, qos)

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Use `publish`, one after the other at QoS 0, else many at once."""

        async def send() -> None:
            publish = self.client.publish
            if qos == 0:
                for _ in range(messages):
                    await publish(topic, payload, qos)
                return
            left = messages
            while left > 0:
                some = min(left, AT_ONCE)
                await asyncio.gather(*(publish(topic, payload, qos) for _ in range(some)))
                left -= some

        self.run(send())

    def drain(self, qos: int) -> None:
        """Wait for the last message."""
        self.run(self.publish_one(END, b"", max(qos, 1)))


PEER = Aiomqtt
