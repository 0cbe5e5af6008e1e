"""At full speed, through mosquitto."""

from __future__ import annotations

from peers import OURS
from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.throughput import THREE

SUITE = Suite(
    name="mosquitto",
    title="Full speed, through mosquitto",
    text="""
mosquitto on the same machine, with up to 1,000 messages in flight (`max_inflight_messages`). A
small publisher sends the messages to receive, as many as mosquitto accepts. The payload has 64
bytes, the handler is empty. mosquitto is the bottleneck here, so the client's CPU says more than
the rate.
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
                key=f"receive-{qos}-at-once",
                title=f"receive, QoS {qos}, `MQTT_GATHER_TIME = 0`",
                task="receive",
                peers=(OURS,),
                broker=Broker("mosquitto", sending(qos, 0, 64, "--window", "1000")),
                values={"qos": qos},
                target={"gather_time": 0},
                seconds=0.5,
            )
            for qos in (0, 1)
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
