"""Messages that come one at a time, at a rate."""

from __future__ import annotations

from suites.case import CPU, SWITCHES, Broker, Case, Suite, sending
from suites.throughput import THREE

RATES = (100, 1_000, 5_000, 20_000, 60_000)

SUITE = Suite(
    name="paced",
    title="Messages at a steady rate: CPU and context switches",
    text="""
The sender, on another core, writes QoS 0 messages of 64 bytes one by one at the given rate. The
handler is empty. CPU and context switches are those of the client's process (`getrusage`) during a
part of the stream, divided by the number of messages that were handled in that part.
""",
    cases=tuple(
        Case(
            key=str(rate),
            title=f"{rate:,} a second",
            task="receive",
            peers=THREE,
            broker=Broker(options=sending(0, rate)),
            values={"qos": 0},
            runs=5 if rate > 100 else 2,
            seconds=0.6 if rate > 100 else 1.5,
            quick=rate > 100,
        )
        for rate in RATES
    ),
    metrics=(CPU, SWITCHES),
    plot=CPU,
)
