"""TLS and websockets."""

from __future__ import annotations

from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.handlers import TWO

NAMES = {"tcp": "TCP", "tls": "TLS", "websockets": "websockets"}

SUITE = Suite(
    name="transports",
    title="TLS and websockets",
    text="Through mosquitto on the same machine, as above. QoS 0, 64 bytes.",
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
