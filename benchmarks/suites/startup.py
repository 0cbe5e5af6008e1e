"""The beginning."""

from __future__ import annotations

from suites.case import Case, Metric, Suite
from suites.clients import EVERY

SUITE = Suite(
    name="startup",
    title="Import, connection, memory, size",
    text="""
The time to import the client and what it needs (Flask, for the two extensions), the time of the
first connection to the costless broker, the memory (RSS) that both add, and the size of the
installed files of the client's own package, compressed as in a wheel.
""",
    cases=(Case(key="startup", title="", task="startup", peers=EVERY),),
    metrics=(
        Metric("import_ms", "import, ms", "ms"),
        Metric("connect_ms", "connection, ms", "ms"),
        Metric("memory_mib", "memory, MiB", "MiB"),
        Metric("wheel_mib", "size, MiB", "MiB"),
    ),
)
