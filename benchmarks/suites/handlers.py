"""Many filters with a handler each, many topics."""

from __future__ import annotations

from peers import ORIGINAL, OURS
from suites.case import CPU, RATE, Broker, Case, Suite, sending

TWO = (OURS, ORIGINAL)

SUITE = Suite(
    name="handlers",
    title="Handlers, filters and topics",
    text="""
The costless broker sends QoS 0 messages of 64 bytes as fast as the client takes them. *Handlers*:
each of so many filters has a handler (`on_topic`). A third of the filters is exact, a third has a
`+`, and a third a `#`. The messages go to all of them in turn. *Topics*: one handler
(`on_message`) gets messages on so many topics in turn.
""",
    cases=(
        *[
            Case(
                key=f"handlers-{count}",
                title=f"{count:,} handlers",
                task="receive",
                peers=TWO,
                broker=Broker(options=sending(0, 0, 64, "--topics", str(count))),
                values={"qos": 0, "filters": count},
                target={"topic": "bench/0"},
            )
            for count in (1, 100, 10_000)
        ],
        *[
            Case(
                key=f"topics-{count}",
                title=f"{count:,} topics",
                task="receive",
                peers=TWO,
                broker=Broker(options=sending(0, 0, 64, "--topics", str(count))),
                values={"qos": 0, "topics": count},
            )
            for count in (1, 1_000, 100_000)
        ],
    ),
    metrics=(RATE, CPU),
)
