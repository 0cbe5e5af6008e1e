"""HTTP beside MQTT."""

from __future__ import annotations

from peers import OURS
from suites.case import Broker, Case, Metric, Suite, sending
from suites.throughput import THREE

KEPT = Metric("kept", "HTTP requests kept, %", "%", more=True)
RECEIVED = Metric("received", "messages received, %", "%", more=True)
RATES = (5_000, 20_000, 60_000)

SUITE = Suite(
    name="http",
    title="HTTP beside MQTT",
    text="""
The application serves HTTP with waitress and eight threads. A small program sends requests one
after the other on each of eight connections. In turn, twice, there are no messages, and QoS 0
messages of 64 bytes arrive at the given rate. *Requests kept* is the rate of requests with messages
as a percentage of the rate without. The view is empty, which is the worst case: a real view needs
more of the time itself. Messages, requests and the application share the machine's cores, so even
the raw socket, whose thread reads and drops the bytes, does not keep all requests.
""",
    cases=(
        *[
            Case(
                key=str(rate),
                title=f"{rate:,} messages a second",
                task="web",
                peers=THREE,
                broker=Broker(options=sending(0, rate, 64, "--gentle")),
                values={"rate": rate},
                runs=5,
                seconds=0.8,
                quick=True,
            )
            for rate in RATES
        ],
        *[
            Case(
                key=f"{rate}-longer",
                title=f"{rate:,} messages a second, `MQTT_GATHER_TIME = 0.002`",
                task="web",
                peers=(OURS,),
                broker=Broker(options=sending(0, rate, 64, "--gentle")),
                values={"rate": rate},
                target={"gather_time": 0.002},
                runs=5,
                seconds=0.8,
            )
            for rate in RATES
        ],
    ),
    metrics=(KEPT, RECEIVED),
    plot=KEPT,
    axis="peers",
    logarithmic=False,
)
