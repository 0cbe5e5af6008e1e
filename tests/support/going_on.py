"""Whether the threads that call handlers still do so, after something was raised in them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Client

    from .scripted import ScriptedBroker


def goes_on(broker: ScriptedBroker, client: Client, threads: int = 1) -> None:
    """Check that handlers are called still, for messages and all else, and by as many threads.

    Args:
        broker: The client's.
        client: What something was raised in.
        threads: How many threads call its handlers.
    """
    seen: list[tuple[str, bytes]] = []
    published: list[int] = []
    with contextlib.suppress(Exception):
        client.on_publish = lambda _client, _userdata, mid: published.append(mid)
    client.message_callback_add(
        "after/#", lambda _c, _u, message: seen.append((message.topic, message.payload))
    )
    wait_until(client.is_connected)
    before = len(broker.of("PUBACK"))
    for number in range(12):
        broker.publish(f"after/{number % 4}", b"%d" % number, qos=1)
    mid = client.publish("t", "x", 1).mid
    wait_until(lambda: len(seen) == 12)
    broker.wait_for("PUBACK", before + 12)
    wait_until(lambda: mid in published)
    names = {
        thread.name
        for thread in client._parts.dispatcher._threads._own._threads
        if thread.is_alive()
    }
    assert len(names) == (1 if threads == 1 else threads + 1)
