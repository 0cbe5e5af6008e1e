"""Many clients in a process: what each takes, and what comes of messages to all of them.

values: seconds, clients, and of `Target`.
"""

from __future__ import annotations

import time
from typing import Any

import peers
from peers.base import Target
from tasks import WARM
from tasks.usage import Usage, memory, threads


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    peer_class = peers.load(name)
    count = values["clients"]
    target = Target(**values["target"])
    before, threads_before, started = memory(), threads(), time.monotonic()
    clients = []
    for _ in range(count):
        peer = peer_class(target)
        peer.count([])
        peer.connect()
        clients.append(peer)
    connected = time.monotonic()
    found = {
        "connect_ms": (connected - started) / count * 1e3,
        "memory_kib": (memory() - before) / count * 1024,
        "threads": (threads() - threads_before) / count,
    }
    for peer in clients:
        peer.subscribe("bench/0", 0)
    time.sleep(WARM)
    usage, messages = Usage.now(), sum(peer.handled() for peer in clients)
    time.sleep(values["seconds"])
    messages = sum(peer.handled() for peer in clients) - messages
    return found | Usage.now().since(usage, messages)
