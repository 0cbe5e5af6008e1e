"""Messages that come, as many as are taken or at a rate: what each costs, and what it waits for.

values: seconds, and of `Target`; qos; filters: of how many handlers, each topic has one; latency:
whether to look at the times in the payloads too, whose handler then is not an empty one.
"""

from __future__ import annotations

import time
from array import array
from typing import TYPE_CHECKING, Any

import peers
from peers.base import PATIENCE, Target
from tasks import WARM
from tasks.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS = ("bench/{}", "bench/{}/#", "+/{}")


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    peer = peers.load(name)(Target(**values["target"]))
    delays = array("q")
    filters = values.get("filters", 0)
    if values.get("latency"):
        peer.listen(look_into(delays))
    else:
        peer.count([FORMS[i % 3].format(i) for i in range(filters)])
    peer.connect()
    peer.subscribe("#" if filters or values.get("topics", 1) > 1 else "bench/0", values["qos"])
    time.sleep(WARM)
    if values.get("latency"):
        usage, first = Usage.now(), len(delays)
        time.sleep(values["seconds"])
        found = delays[first:]
        return percentiles(found) | Usage.now().since(usage, len(found))
    usage, before = Usage.now(), peer.handled()
    time.sleep(values["seconds"])
    while not (messages := peer.handled() - before) and Usage.now().wall < usage.wall + PATIENCE:
        time.sleep(values["seconds"])
    return Usage.now().since(usage, messages)


def look_into(delays: array[int]) -> Callable[[bytes], object]:
    """Return a function that notes how long ago the time in a payload was."""
    now, add = time.time_ns, delays.append

    def look(payload: bytes) -> None:
        add(now() - int.from_bytes(payload[:8], "big"))

    return look


def percentiles(delays: array[int]) -> dict[str, float]:
    """Return some, in microseconds."""
    ordered = sorted(delays)
    if not ordered:
        raise ValueError("no message came through")
    return {
        name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1_000
        for name, share in (("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999))
    }
