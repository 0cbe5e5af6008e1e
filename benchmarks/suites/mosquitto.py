"""At full speed, through mosquitto."""

from __future__ import annotations

from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.throughput import THREE

SUITE = Suite(
    name="mosquitto",
    title="Full speed, through mosquitto",
    text="""
mosquitto on the same machine, with 1,000 messages on the way at a time (`max_inflight_messages`).
The messages that are received come from a small publisher that sends as many as mosquitto takes.
64 bytes of payload, an empty handler. mosquitto is the narrow place here, so the CPU of the
client says more than the rate.
""",
    cases=(
        *[
            Case(
                key=f"receive-{qos}",
                title=f"receive, QoS {qos}",
                task="receive",
                peers=THREE if qos < 2 else THREE[:2],
                broker=Broker("mosquitto", sending(qos, 0, 64, "--window", "1000")),
                values={"qos": qos},
                runs=5 if qos < 2 else 2,
                seconds=0.5,
                quick=qos < 2,
            )
            for qos in (0, 1, 2)
        ],
        *[
            Case(
                key=f"publish-{qos}",
                title=f"publish, QoS {qos}",
                task="publish",
                peers=THREE if qos < 2 else THREE[:2],
                broker=Broker("mosquitto"),
                values={"qos": qos, "size": 64},
                runs=5 if qos < 2 else 2,
                seconds=0.5,
                quick=qos < 2,
            )
            for qos in (0, 1, 2)
        ],
    ),
    metrics=(RATE, CPU),
    plot=CPU,
    axis="peers",
    logarithmic=False,
)
