"""How long a message takes to the broker and back.

values: seconds, and of `Target`; way: "alone", the main thread waits for each before it publishes
the next one; "handler", the handler of one publishes the next one; "paced", the main thread
publishes a thousand in a second.
"""

from __future__ import annotations

import threading
import time
from array import array
from typing import Any

import peers
from peers.base import PATIENCE, Target
from tasks.receive import percentiles

TOPIC = "bench/0"
#: Round trips before the first that counts, and seconds between messages of "paced".
WARM, PERIOD = 50, 0.001
REST = bytes(56)


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    peer = peers.load(name)(Target(**values["target"]))
    delays, came = array("q"), threading.Event()
    end = time.monotonic() + PATIENCE

    def publish() -> None:
        peer.publish(TOPIC, time.time_ns().to_bytes(8, "big") + REST)

    def look(payload: bytes) -> None:
        delays.append(time.time_ns() - int.from_bytes(payload[:8], "big"))
        if values["way"] == "alone":
            came.set()
        elif values["way"] == "handler":
            if time.monotonic() < end:
                publish()
            else:
                came.set()

    peer.listen(look)
    peer.connect()
    peer.subscribe(TOPIC, 0)
    end = time.monotonic() + values["seconds"]
    if values["way"] == "handler":
        publish()
        assert came.wait(PATIENCE)
    elif values["way"] == "paced":
        due = time.monotonic()
        while due < end:
            due += PERIOD
            time.sleep(max(0.0, due - time.monotonic()))
            publish()
    else:
        while time.monotonic() < end:
            publish()
            assert came.wait(PATIENCE)
            came.clear()
    return percentiles(delays[WARM:])
