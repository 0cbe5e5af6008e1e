"""Clients for asyncio. Their event loop has a thread of its own: the main thread measures."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from peers.base import PATIENCE, Peer, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

_T = TypeVar("_T")


class LoopingPeer(Peer):
    """A client in an event loop. What is repeated for each message runs inside the loop."""

    def __init__(self, target: Target) -> None:
        """Start the loop."""
        super().__init__(target)
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.call: Callable[[bytes], object] | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in the loop, from the main thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(2 * PATIENCE)

    def count(self, filters: Sequence[str]) -> None:
        """Count all messages."""
        if filters:
            raise NotImplementedError
        self.call = None

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Pass payloads on."""
        self.call = call

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish from the loop, or from another thread by way of it."""
        if threading.current_thread() is threading.main_thread():
            self.loop.call_soon_threadsafe(self.start_publish, topic, payload)
        else:
            self.start_publish(topic, payload)

    def start_publish(self, topic: str, payload: bytes) -> None:
        """Publish a message of QoS 0, from the loop."""
        task = self.loop.create_task(self.publish_one(topic, payload, 0))
        self._tasks = {*getattr(self, "_tasks", ()), task}
        task.add_done_callback(self._tasks.discard)

    async def publish_one(self, topic: str, payload: bytes, qos: int) -> None:
        """Publish a message, and wait as the client waits."""
        raise NotImplementedError
