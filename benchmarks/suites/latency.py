"""From the socket to the handler."""

from __future__ import annotations

from suites.case import P50, P99, P999, Broker, Case, Suite, sending
from suites.paced import RATES
from suites.throughput import THREE

SUITE = Suite(
    name="latency",
    title="Messages at a steady rate: latency",
    text="""
The same stream; each message contains the time at which it was written. The handler subtracts that
from its own time. So the figures include the sender's system call and the kernel's work, as those
of the raw socket do.
""",
    cases=tuple(
        Case(
            key=str(rate),
            title=f"{rate:,} a second",
            task="receive",
            peers=THREE,
            broker=Broker(options=sending(0, rate, 64, "--stamp")),
            values={"qos": 0, "latency": True},
            runs=3,
            seconds=1.0 if rate > 100 else 1.5,
        )
        for rate in RATES
    ),
    metrics=(P50, P99, P999),
    plot=P99,
)
