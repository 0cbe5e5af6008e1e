"""What gathering messages saves, and what it costs."""

from __future__ import annotations

from peers import OURS
from suites.case import CPU, P50, P99, SWITCHES, Broker, Case, Suite, sending

#: Milliseconds of MQTT_GATHER_TIME, by messages a second.
TIMES = {
    1_000: (0, 0.7, 10),
    3_000: (0, 10),
    5_000: (0, 0.7, 1.4),
    20_000: (0, 0.35, 0.7, 1.4),
    60_000: (0, 0.35, 0.7, 1.4),
}

SUITE = Suite(
    name="gather",
    title="Messages that are gathered",
    text="""
The stream of *latency*, with several values of `MQTT_GATHER_TIME`; 0.7 ms is the default, and 0
switches gathering off. The handler looks at the time in each message, so the CPU is a little more
than with an empty one. [Performance](performance.md#messages-that-are-gathered) says how the client
gathers.
""",
    cases=tuple(
        Case(
            key=f"{rate}-{milliseconds}",
            title=f"{rate:,} a second, {milliseconds} ms",
            task="receive",
            peers=(OURS,),
            broker=Broker(options=sending(0, rate, 64, "--stamp")),
            values={"qos": 0, "latency": True},
            target={"gather_time": milliseconds / 1_000},
            seconds=0.8,
        )
        for rate, times in TIMES.items()
        for milliseconds in times
    ),
    metrics=(CPU, SWITCHES, P50, P99),
    plot=CPU,
    against=P50,
)
