"""From the socket to the handler."""

from __future__ import annotations

from suites.case import P50, P99, P999, Broker, Case, Suite, sending
from suites.paced import RATES
from suites.throughput import THREE

SUITE = Suite(
    name="latency",
    title="Messages at a steady rate: latency",
    text="""
The same stream, with the time at which it is written in each message. The handler compares that
with its own time, so the figures have the sender's call and the kernel's part in them, as those
of the raw socket have.
""",
    cases=tuple(
        Case(
            key=str(rate),
            title=f"{rate:,} a second",
            task="receive",
            peers=THREE,
            broker=Broker(options=sending(0, rate, 64, "--stamp")),
            values={"qos": 0, "latency": True},
            seconds=0.6 if rate > 100 else 1.5,
        )
        for rate in RATES
    ),
    metrics=(P50, P99, P999),
    plot=P99,
)
