"""The rows of the page in which another Python client is ahead, and why."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING, NamedTuple

import svg
from peers import FLOOR, OURS
from suites import all_suites

if TYPE_CHECKING:
    from results import Results

#: Figures that differ by less than this part are equal: a paced sender's rate, for example.
EQUAL = 0.02

SETTING_UP = (
    "Two threads are started, the configuration is checked, and so are the handlers' parameters."
)
THREADS_MEMORY = (
    "Two threads with their stacks (some 45 KiB), a runtime with its buffers, and the session."
)
CHECKED = (
    "A handler's parameters are checked when it is registered, so that a wrong one fails at the "
    "start of the application."
)
IMPORTED = (
    "More modules than Flask-MQTT with paho. Flask is a part of both; the other clients have none."
)
TWO_THREADS = (
    "A message that comes alone wakes two threads: the connection's, which reads and never takes "
    "the GIL, and the one that calls the handler. Other clients have one thread for both."
)
GATHERED = (
    "Messages are gathered for up to `MQTT_GATHER_TIME` (0.7 ms) here, which is what the small CPU "
    "is due to. Without it, they are faster: see *Messages that are gathered*."
)
LARGER = (
    "Two libraries are in it that the others load from the system or do without: OpenSSL and "
    "SQLite. Those of TLS, websockets, proxies and MQTT 5 are in Rust."
)

#: Why another client may be ahead, by row and metric: the first that fits counts. A row without a
#: reason fails `./scripts/bench --check`.
REASONS = (
    ("paced/60000", "switches", "A client that is always late never waits, so it never switches."),
    ("paced/*", "*", TWO_THREADS),
    ("latency/100", "*", TWO_THREADS),
    ("latency/1000", "p999_us", "The slowest one of 1,000 messages decides."),
    ("latency/1000", "*", TWO_THREADS),
    ("latency/*", "*", GATHERED),
    ("roundtrips/*", "*", TWO_THREADS),
    ("http/60000*", "kept", "It receives a tenth of the messages: see the table of these."),
    ("clients/paced-*", "cpu_us", TWO_THREADS),
    ("connections/*", "connect_ms", SETTING_UP),
    ("connections/*", "memory_kib", THREADS_MEMORY),
    ("connections/*", "threads", "One reads and writes, the other one calls handlers."),
    ("connections/*", "cpu_us", TWO_THREADS),
    ("matching/add-*", "rate", CHECKED),
    ("startup/*", "import_ms", IMPORTED),
    ("startup/*", "connect_ms", SETTING_UP),
    ("startup/*", "memory_mib", LARGER),
    ("startup/*", "wheel_mib", LARGER),
)


class Row(NamedTuple):
    """A figure of which others have a better one: those with theirs. key: of the case."""

    key: str
    title: str
    metric: str
    figure: float
    others: dict[str, float]
    reason: str | None


def rows(results: Results) -> list[Row]:
    """Return them, in the order of the page."""
    found = []
    for suite in all_suites():
        for case in suite.cases:
            key = f"{suite.name}/{case.key}"
            for metric in suite.metrics:
                ours = results.median(key, OURS, metric.name)
                if ours is None:
                    continue
                others = {}
                for peer in results.samples[key]:
                    theirs = results.median(key, peer, metric.name)
                    if peer in {OURS, FLOOR} or theirs is None:
                        continue
                    better, worse = (theirs, ours) if metric.more else (ours, theirs)
                    if better > worse * (1 + EQUAL):
                        others[peer] = theirs
                if others:
                    title = f"{suite.title}: {case.title}" if case.title else suite.title
                    title = f"{title} | {metric.title}"
                    reason = reason_of(key, metric.name)
                    found.append(Row(key, title, metric.name, ours, others, reason))
    return found


def reason_of(key: str, metric: str) -> str | None:
    """Return why another client may be ahead there, if that is known."""
    for pattern, name, reason in REASONS:
        if fnmatch(key, pattern) and fnmatch(metric, name):
            return reason
    return None


def unexplained(results: Results) -> list[str]:
    """Return the rows that have no reason."""
    return [f"{row.key} ({row.metric})" for row in rows(results) if row.reason is None]


def section(results: Results) -> str:
    """Return the part of the page that tells of them."""
    least = f"{100 * EQUAL:.0f} %"
    lines = [
        "## Where another client is ahead\n",
        f"Figures of which another Python client has a better one, by more than {least}.\n",
        f"| | figure | {OURS} | others | why |",
        "|---|---|---|---|---|",
    ]
    for row in rows(results):
        others = ", ".join(f"{peer} {svg.number(value)}" for peer, value in row.others.items())
        figure = svg.number(row.figure)
        lines.append(f"| {row.title} | {figure} | {others} | {row.reason or '**unknown**'} |")
    return "\n".join(lines) + "\n"
