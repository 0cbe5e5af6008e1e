"""Many clients in one process."""

from __future__ import annotations

from suites.case import CPU, Broker, Case, Metric, Suite, sending
from suites.handlers import TWO

SUITE = Suite(
    name="connections",
    title="Many connections in one process",
    text="""
So many clients, each with its own connection to the costless broker. The CPU is that of 5,000
messages a second to all of them together. paho waits with `select`, which takes no descriptor
above 1,023: a process with three for each of 1,000 clients has more than those.
""",
    cases=tuple(
        Case(
            key=str(count),
            title=f"{count:,} clients",
            task="connections",
            peers=TWO,
            broker=Broker(options=sending(0, 5_000 // count, 64, "--gentle")),
            values={"clients": count},
        )
        for count in (1, 10, 100, 1_000)
    ),
    metrics=(
        Metric("connect_ms", "time to connect per client, ms", "ms"),
        Metric("memory_kib", "memory per client, KiB", "KiB"),
        Metric("threads", "threads per client"),
        CPU,
    ),
)
