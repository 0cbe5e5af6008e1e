"""Many clients in one process."""

from __future__ import annotations

from suites.case import CPU, Broker, Case, Metric, Suite, sending
from suites.handlers import TWO

SUITE = Suite(
    name="connections",
    title="Many connections in one process",
    text="""
Each client has its own connection to the costless broker. The CPU is for 5,000 messages a second
in total. paho waits with `select`, which accepts no descriptor above 1,023. It needs three
descriptors for each client, so it cannot have 1,000 clients in one process.
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
