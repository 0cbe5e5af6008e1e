"""All clients, side by side."""

from __future__ import annotations

from peers import FLOOR, PEERS
from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.throughput import at_full_speed

EVERY = tuple(name for name in PEERS if name != FLOOR)

SUITE = Suite(
    name="clients",
    title="Other Python clients",
    text="""
With the costless broker and 64 bytes. Each client receives as its documentation shows it: a
function is called, or a loop iterates over messages; function and loop body are empty. Clients for
asyncio publish inside their event loop. If their `publish` waits for the acknowledgement, 500
calls with QoS 1 or 2 wait at the same time.
""",
    cases=(
        *[
            Case(
                key=f"receive-{qos}",
                title=f"receive, QoS {qos}",
                task="receive",
                peers=EVERY,
                broker=Broker(options=at_full_speed(qos)),
                values={"qos": qos},
                runs=2 if qos < 2 else 1,
            )
            for qos in (0, 1, 2)
        ],
        *[
            Case(
                key=f"publish-{qos}",
                title=f"publish, QoS {qos}",
                task="publish",
                peers=EVERY,
                values={"qos": qos, "size": 64},
                runs=2 if qos < 2 else 1,
            )
            for qos in (0, 1, 2)
        ],
        Case(
            key="paced-5000",
            title="5,000 a second arrive",
            task="receive",
            peers=EVERY,
            broker=Broker(options=sending(0, 5_000)),
            values={"qos": 0},
        ),
    ),
    metrics=(RATE, CPU),
    plot=RATE,
    axis="peers",
)
