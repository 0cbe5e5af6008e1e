"""What a suite is made of: cases, each of which is a row of its table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Metric:
    """A figure of a task. unit: what stands beside it. more: whether more is better."""

    name: str
    title: str
    unit: str = ""
    more: bool = False


RATE = Metric("rate", "messages per second", "/s", more=True)
CPU = Metric("cpu_us", "CPU of the process per message, µs", "µs")
SWITCHES = Metric("switches", "context switches per message")
P50 = Metric("p50_us", "p50, µs", "µs")
P99 = Metric("p99_us", "p99, µs", "µs")
P999 = Metric("p999_us", "p99.9, µs", "µs")


@dataclass(frozen=True)
class Broker:
    """What the client connects to. Options are those of the costless broker's program.

    kind: "costless", "mosquitto", or "none". options: of the costless broker, or of the publisher
    that feeds mosquitto, which is not started without any. transport: of mosquitto.
    """

    kind: str = "costless"
    options: tuple[str, ...] = ()
    transport: str = "tcp"


@dataclass(frozen=True)
class Case:
    """A row: a task with some values, for some clients.

    key: its name in commands. quick: whether it belongs to a quick look at everything.
    """

    key: str
    title: str
    task: str
    peers: tuple[str, ...]
    broker: Broker = Broker()
    values: dict[str, Any] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=dict)
    runs: int = 2
    seconds: float = 0.4
    quick: bool = False


@dataclass(frozen=True)
class Suite:
    """Cases that are told of together. text: what is measured, and how; plain Markdown.

    plot: the metric that is drawn, if one is. against: another one over which it is drawn; a line
    then joins the cases whose titles are alike up to the last comma. axis: without that, "cases"
    draws a line for each client over the cases, "peers" a bar for each client and case.
    logarithmic: of the axis of values.
    """

    name: str
    title: str
    text: str
    cases: tuple[Case, ...]
    metrics: tuple[Metric, ...]
    plot: Metric | None = None
    against: Metric | None = None
    axis: str = "cases"
    logarithmic: bool = True


def sending(qos: int = 0, rate: int = 0, size: int = 64, *more: str) -> tuple[str, ...]:
    """Return the options of a sender; a rate of 0 is as much as is taken."""
    return ("--send", "--qos", str(qos), "--rate", str(rate), "--size", str(size), *more)
