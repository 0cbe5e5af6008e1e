"""HTTP beside MQTT."""

from __future__ import annotations

from peers import ORIGINAL, OURS
from suites.case import Broker, Case, Metric, Suite, sending

KEPT = Metric("kept", "HTTP requests kept, %", "%", more=True)
RECEIVED = Metric("received", "messages received, %", "%", more=True)

SUITE = Suite(
    name="http",
    title="HTTP beside MQTT",
    text="""
The application answers requests, by waitress with eight threads, over eight connections on which
a small program sends one request after the other. First nothing else happens; then messages of
QoS 0 with 64 bytes arrive too, at the rate that is given. Kept is the rate of requests beside
messages, of that without. The empty view is the worst case: a real one needs more of the time
itself. The messages, the requests and the application share the machine's cores.
""",
    cases=tuple(
        Case(
            key=str(rate),
            title=f"{rate:,} messages a second",
            task="web",
            peers=(OURS, ORIGINAL),
            broker=Broker(options=sending(0, rate, 64, "--gentle")),
            values={"rate": rate},
            runs=5,
            seconds=0.8,
            quick=True,
        )
        for rate in (5_000, 20_000, 60_000)
    ),
    metrics=(KEPT, RECEIVED),
    plot=KEPT,
    axis="peers",
    logarithmic=False,
)
