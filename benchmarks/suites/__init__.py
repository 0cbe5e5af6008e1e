"""The suites: one file each, with `SUITE`. The order here is that of the page."""

from __future__ import annotations

import importlib

from suites.case import Case, Suite

NAMES = (
    "throughput",
    "mosquitto",
    "paced",
    "latency",
    "gather",
    "roundtrips",
    "http",
    "clients",
    "sizes",
    "handlers",
    "matching",
    "transports",
    "connections",
    "startup",
)


def all_suites() -> list[Suite]:
    """Import them."""
    found: list[Suite] = [importlib.import_module(f"suites.{name}").SUITE for name in NAMES]
    return found


__all__ = ["NAMES", "Case", "Suite", "all_suites"]
