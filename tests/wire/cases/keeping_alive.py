"""Keep alive (MQTT 3.1.1 and 5, section 3.1.2.10)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from support.packets import MQTT5, MQTT311, PINGREQ, PINGRESP
from wire.registry import case
from wire.steps import CLOSED, Broker, Client, Tell

from .sequences import disconnects, login

if TYPE_CHECKING:
    from wire.run import Run


def idle(run: Run) -> None:
    client = run.client()
    began = time.monotonic()
    run.connect(client, keepalive=1)
    run.told("pinged")
    run.note("too early" if time.monotonic() - began < 0.9 else "in time")


for version in (MQTT311, MQTT5):
    case(
        "PINGREQ after the keep alive",
        idle,
        (
            *login(version, keepalive=1),
            Client(PINGREQ),
            Tell("pinged"),
            Broker(PINGRESP),
            Client(PINGREQ),
            Broker(PINGRESP),
            *disconnects(version),
        ),
        ("in time",),
        version=version,
    )
    case(
        "no PINGRESP",
        idle,
        (
            *login(version, keepalive=1),
            Client(PINGREQ),
            Tell("pinged"),
            CLOSED,
            *login(version, keepalive=1),
            *disconnects(version),
        ),
        ("in time",),
        version=version,
    )


def told_by_the_broker(run: Run) -> None:
    run.start()
    run.told("pinged")


case(
    "PINGREQ after the broker's keep alive",
    told_by_the_broker,
    (
        Client(MQTT5.connect()),
        Broker(MQTT5.connack(properties={"ServerKeepAlive": 1})),
        Client(PINGREQ),
        Tell("pinged"),
        Broker(PINGRESP),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
)
