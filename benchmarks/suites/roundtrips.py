"""To the broker and back."""

from __future__ import annotations

from suites.case import P50, P99, Broker, Case, Suite
from suites.throughput import THREE

WAYS = {
    "alone": "one at a time",
    "handler": "from the handler",
    "paced": "1,000 a second",
}

SUITE = Suite(
    name="roundtrips",
    title="Round trips",
    text="""
From `publish` to the handler, with QoS 0 and 64 bytes. *One at a time*: the main thread waits for
each message before it publishes the next one. *From the handler*: the handler of each message
publishes the next one. *1,000 a second*: the main thread publishes one each millisecond.
""",
    cases=tuple(
        Case(
            key=f"{kind}-{way}",
            title=f"{kind if kind == 'mosquitto' else 'costless broker'}, {title}",
            task="roundtrip",
            peers=THREE,
            broker=Broker(kind, ("--echo",) if kind == "costless" else ()),
            values={"way": way},
            runs=5 if kind == "mosquitto" else 2,
            quick=kind == "mosquitto",
        )
        for kind in ("mosquitto", "costless")
        for way, title in WAYS.items()
    ),
    metrics=(P50, P99),
    plot=P50,
    axis="peers",
    logarithmic=False,
)
