"""TLS and websockets."""

from __future__ import annotations

from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.handlers import TWO

NAMES = {"tcp": "TCP", "tls": "TLS", "websockets": "websockets"}

SUITE = Suite(
    name="transports",
    title="TLS and websockets",
    text="""
Through mosquitto on the same machine, as above. QoS 0, 64 bytes. With websockets, mosquitto 2.0
often handles the end of what was published 100 ms late: it waits for its socket while it has read
the data already. So the figures for publishing over websockets vary, for every client.
""",
    cases=tuple(
        Case(
            key=f"{task}-{transport}",
            title=f"{task}, {title}",
            task=task,
            peers=TWO,
            broker=Broker("mosquitto", sending() if task == "receive" else (), transport),
            values={"qos": 0, "size": 64},
        )
        for task in ("receive", "publish")
        for transport, title in NAMES.items()
    ),
    metrics=(RATE, CPU),
)
