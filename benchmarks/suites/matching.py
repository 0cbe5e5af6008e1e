"""Filters alone."""

from __future__ import annotations

from suites.case import Broker, Case, Metric, Suite
from suites.handlers import TWO

KINDS = {
    "hot": "look-ups of 30 topics",
    "new": "look-ups of ever new topics",
    "add": "handlers added",
}

SUITE = Suite(
    name="matching",
    title="Topic filters alone",
    text="Look-ups in an `MQTTMatcher`, and calls of `on_topic`, without a connection.",
    cases=tuple(
        Case(
            key=f"{kind}-{count}",
            title=f"{title}, {count:,} filters",
            task="matching",
            peers=TWO,
            broker=Broker("none"),
            values={"kind": kind, "filters": count},
        )
        for kind, title in KINDS.items()
        for count in (10, 10_000)
    ),
    metrics=(Metric("rate", "per second", "/s", more=True),),
)
