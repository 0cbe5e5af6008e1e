"""What tests of several handler threads look at, and a handler that waits until it may go on."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from .wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Client
    from flask_mqtt.dispatch.pool import HandlerPool

    from .scripted import ScriptedBroker

#: What the names of threads that call handlers begin with.
HANDLING = ("mqtt-dispatch", "mqtt-handler-")


def handler_threads() -> list[str]:
    """Return the names of the threads of all pools, and of those that fetch."""
    names = sorted(thread.name for thread in threading.enumerate())
    return [name for name in names if name.startswith(HANDLING)]


def mids(broker: ScriptedBroker) -> list[int]:
    return [packet.mid for packet in broker.of("PUBACK")]


def pool_of(client: Client) -> HandlerPool:
    """Return the pool of a client, whose thread may have to make it first."""
    pool = wait_until(lambda: client._parts.dispatcher._batch.pool)
    assert pool is not None
    return pool


class Gate:
    """A handler that waits on some topics until it may go on."""

    def __init__(self) -> None:
        self.entered: list[str] = []
        self.seen: list[tuple[str, bytes]] = []
        self._open: defaultdict[str, threading.Event] = defaultdict(threading.Event)

    def handle(self, _client: Any, _userdata: Any, message: Any) -> None:
        self.entered.append(message.topic)
        if message.topic.startswith("shut"):
            assert self._open[message.topic].wait(20)
        self.seen.append((message.topic, message.payload))

    def open(self, topic: str) -> None:
        self._open[topic].set()
