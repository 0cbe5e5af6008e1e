"""Writes docs/benchmarks.md and its plots, from the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ahead
import places
import svg
from peers import FLOOR, ORIGINAL, OURS, PEERS
from suites import Suite, all_suites

if TYPE_CHECKING:
    from pathlib import Path

    from results import Results
    from suites import Case
    from suites.case import Metric

#: Percent of the cores that others may use before the figures mean little.
BUSY = 20

HEAD = """# Benchmarks

`./scripts/bench` writes this page from its stored results. It compares flask-mqtt-rs with
Flask-MQTT 1.3.0 on paho-mqtt 2.2.0, with other Python clients, and with a raw socket, which only
reads and writes. The raw socket reads as soon as there is data, so a client that gathers messages
can need less CPU.

```console
$ ./scripts/bench                     # everything, some twelve minutes; writes this page
$ ./scripts/bench --quick             # only the summary, one minute; writes nothing
$ ./scripts/bench paced               # one suite; writes nothing
$ ./scripts/bench paced/5000          # one row of a suite
$ ./scripts/bench --page              # this page and its plots, from the stored results
```

Each run of a client is a process of its own, in an environment of its own, for some tenths of a
second. The clients take turns. A figure is the median of the runs, followed by the lowest and the
highest in brackets. Everything runs on one machine, over the loopback interface; the operating
system assigns the cores.
"""


def write(results: Results) -> None:
    """Write the page and its plots, and remove plots that it has no more."""
    files = render(results)
    for path in stale(files):
        path.unlink()
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def is_current(results: Results) -> bool:
    """Return whether the page and its plots are what the results make."""
    files = render(results)
    return not stale(files) and all(
        path.exists() and path.read_text() == content for path, content in files.items()
    )


def stale(files: dict[Path, str]) -> list[Path]:
    """Return the plots that are there and not among the files."""
    return [path for path in places.FIGURES.glob("*.svg") if path not in files]


def render(results: Results) -> dict[Path, str]:
    """Return the page and its plots, by where they belong."""
    files: dict[Path, str] = {}
    parts = [HEAD, *doubts(results), summary(results), ahead.section(results), machine(results)]
    for suite in all_suites():
        cases = [case for case in suite.cases if f"{suite.name}/{case.key}" in results.samples]
        if not cases:
            continue
        parts.append(section(suite, cases, results))
        if suite.plot is not None:
            picture = places.FIGURES / f"{suite.name}.svg"
            files[picture] = draw(suite, suite.plot, cases, results)
    files[places.PAGE] = "\n".join(parts)
    return files


def doubts(results: Results) -> list[str]:
    """Say so where the figures mean little."""
    if int(results.about.get("busy before", "0").split()[0]) <= BUSY:
        return []
    return ["The machine was busy with other work in that run, so times and rates mean little.\n"]


def summary(results: Results) -> str:
    """Return the rows that a quick look has: this package beside Flask-MQTT."""
    rows = [
        f"| | figure | {ORIGINAL} | {OURS} | of {ORIGINAL}'s | of a raw socket's |",
        "|---|---|---|---|---|---|",
    ]
    for suite in all_suites():
        shown = (
            suite.metrics
            if suite.name in {"throughput", "mosquitto", "http"}
            else suite.metrics[:1]
        )
        for case in suite.cases:
            key = f"{suite.name}/{case.key}"
            if not case.quick or key not in results.samples:
                continue
            for metric in shown:
                values = [results.median(key, peer, metric.name) for peer in (ORIGINAL, OURS)]
                cells = [cell(value) for value in values]
                compared = [
                    times(results.ratio(key, metric.name, OURS, other))
                    for other in (ORIGINAL, FLOOR)
                ]
                title = f"{suite.title}: {case.title} | {metric.title}"
                rows.append(f"| {title} | {' | '.join([*cells, *compared])} |")
    return "## Summary\n\n" + "\n".join(rows) + "\n"


def machine(results: Results) -> str:
    """Return what was measured, and where."""
    rows = [f"| {name} | {value} |" for name, value in results.about.items()]
    rows += [f"| {name} | {value} |" for name, value in results.versions.items()]
    table = "\n".join(["| | |", "|---|---|", *rows])
    missing = sorted(
        {
            f"{peer}: {note}"
            for notes in results.notes.values()
            for peer, note in notes.items()
            if note == "not installed"
        }
    )
    more = f"\nWithout figures: {'; '.join(missing)}.\n" if missing else ""
    return f"## What was measured, and where\n\n{table}\n{more}"


def section(suite: Suite, cases: list[Case], results: Results) -> str:
    """Return a suite's text, plot and tables."""
    parts = [f"## {suite.title}\n", f"{suite.text.strip()}\n"]
    peers = measured(suite, cases, results)
    if suite.plot is not None:
        parts.append(f"![{heading(suite, suite.plot)}](_static/benchmarks/{suite.name}.svg)\n")
    if len(suite.cases) == 1:
        parts.append(by_metric(suite, cases[0], peers, results))
    elif len(peers) == 1:
        parts.append(of_one(suite, cases, peers[0], results))
    for metric in suite.metrics if len(suite.cases) > 1 and len(peers) > 1 else ():
        parts.append(f"### {heading(suite, metric)}\n" if len(suite.metrics) > 1 else "")
        turned = len(peers) > len(cases) and len(peers) > 3
        table = by_peer if turned else by_case
        parts.append(table(suite, metric, cases, peers, results))
    notes = {
        f"{peer}, {case.title}: {note}"
        for case in cases
        for peer, note in results.notes.get(f"{suite.name}/{case.key}", {}).items()
        if note != "not installed"
    }
    if notes:
        parts.append("Without a figure: " + "; ".join(sorted(notes)) + ".\n")
    return "\n".join(part for part in parts if part)


def by_case(
    suite: Suite, metric: Metric, cases: list[Case], peers: list[str], results: Results
) -> str:
    """Return a table with a row for each case, and its command."""
    others = [peer for peer in (ORIGINAL, FLOOR) if peer in peers]
    head = ["", *peers, *[f"of {other}'s" for other in others], "command"]
    rows = [head, ["---"] * len(head)]
    for case in cases:
        key = f"{suite.name}/{case.key}"
        ratios = [times(results.ratio(key, metric.name, OURS, other)) for other in others]
        spreads = [spread(results.of(key, peer, metric.name)) for peer in peers]
        rows.append([case.title, *spreads, *ratios, f"`./scripts/bench {key}`"])
    return markdown(rows)


def of_one(suite: Suite, cases: list[Case], peer: str, results: Results) -> str:
    """Return a table with a row for each case and a column for each figure of the one client."""
    head = ["", *[metric.title for metric in suite.metrics], "command"]
    rows = [head, ["---"] * len(head)]
    for case in cases:
        key = f"{suite.name}/{case.key}"
        cells = [spread(results.of(key, peer, metric.name)) for metric in suite.metrics]
        rows.append([case.title, *cells, f"`./scripts/bench {key}`"])
    return markdown(rows)


def by_metric(suite: Suite, case: Case, peers: list[str], results: Results) -> str:
    """Return a table with a row for each client and a column for each figure of the one case."""
    head = ["", *[metric.title for metric in suite.metrics], "command"]
    rows = [head, ["---"] * len(head)]
    for peer in peers:
        key = f"{suite.name}/{case.key}"
        cells = [spread(results.of(key, peer, metric.name)) for metric in suite.metrics]
        rows.append([peer, *cells, f"`./scripts/bench {suite.name} --only '{peer}'`"])
    return markdown(rows)


def by_peer(
    suite: Suite, metric: Metric, cases: list[Case], peers: list[str], results: Results
) -> str:
    """Return a table with a row for each client, and its command."""
    head = ["", *[case.title or metric.title for case in cases], "command"]
    rows = [head, ["---"] * len(head)]
    for peer in peers:
        cells = [
            spread(results.of(f"{suite.name}/{case.key}", peer, metric.name)) for case in cases
        ]
        rows.append([peer, *cells, f"`./scripts/bench {suite.name} --only '{peer}'`"])
    return markdown(rows)


def markdown(rows: list[list[str]]) -> str:
    """Return a table, whose second row separates the first from the others."""
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def draw(suite: Suite, metric: Metric, cases: list[Case], results: Results) -> str:
    """Return a plot."""
    if suite.against is not None:
        return draw_against(suite, metric, suite.against, cases, results)
    series = [
        svg.Series(
            peer,
            list(PEERS).index(peer),
            [results.median(f"{suite.name}/{case.key}", peer, metric.name) for case in cases],
        )
        for peer in measured(suite, cases, results)
    ]
    kind = svg.lines if suite.axis == "cases" else svg.bars
    titles = [case.title.replace("`", "") for case in cases]
    return kind(heading(suite, metric), titles, series, logarithmic=suite.logarithmic)


def draw_against(
    suite: Suite, metric: Metric, other: Metric, cases: list[Case], results: Results
) -> str:
    """Return a plot of one metric over another one: this client's."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        key = f"{suite.name}/{case.key}"
        x, y = (results.median(key, OURS, each.name) for each in (other, metric))
        if x is not None and y is not None:
            curves.setdefault(case.title.rpartition(", ")[0], []).append((x, y))
    return svg.curves(heading(suite, metric), other.title, list(curves.items()))


def measured(suite: Suite, cases: list[Case], results: Results) -> list[str]:
    """Return the clients that have figures."""
    return [
        peer
        for peer in dict.fromkeys(peer for case in cases for peer in case.peers)
        if any(peer in results.samples[f"{suite.name}/{case.key}"] for case in cases)
    ]


def heading(suite: Suite, metric: Metric) -> str:
    """Say what a table or a plot shows."""
    return f"{suite.title}: {metric.title}"


def spread(values: list[float]) -> str:
    """Write the median, and the lowest and the highest if there are several."""
    if not values:
        return "–"
    ordered = sorted(values)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    if len(ordered) == 1:
        return svg.number(median)
    return f"{svg.number(median)} ({svg.number(ordered[0])}–{svg.number(ordered[-1])})"


def cell(value: float | None) -> str:
    """Write a figure."""
    return "–" if value is None else svg.number(value)


def times(value: float | None) -> str:
    """Write a ratio."""
    return "–" if value is None else f"{svg.number(value)} ×"
