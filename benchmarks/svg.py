"""Plots as SVG: bars, and lines over numbers. Small, and without a library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape

COLOURS = (
    "#0b6e4f", "#c1440e", "#2b59c3", "#8f3985", "#b8860b",
    "#008b8b", "#a0522d", "#556b2f", "#4b0082", "#7d7d7d",
)  # fmt: skip
WIDTH, LEFT, RIGHT, TOP, ROW, GAP = 760, 210, 90, 46, 16, 12
#: How far labels are from their points.
LABELS = (-7, 16)
STYLE = (
    "text{font:12px sans-serif;fill:#333}.t{font-weight:bold;font-size:13px}"
    ".g{stroke:#ddd}.f{fill:#fff}"
)


@dataclass(frozen=True)
class Series:
    """What a client has: a figure for each case, where there is one. colour: its number."""

    name: str
    colour: int
    values: list[float | None]


def number(value: float) -> str:
    """Write a figure with three digits that count."""
    if value >= 1_000:
        digits = max(0, len(f"{value:.0f}") - 4)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


class Scale:
    """Where a figure is on an axis of some length."""

    def __init__(self, values: list[float], length: float, *, logarithmic: bool) -> None:
        """Take the figures that have to fit."""
        most, least = max(values), min(values)
        self.logarithmic = logarithmic and least > 0
        self._length = length
        if self.logarithmic:
            self._low = math.floor(math.log10(least))
            self._high = max(self._low + 1, math.ceil(math.log10(most)))
        else:
            self._low, self._high = 0, 1
            self._step = 10.0 ** math.floor(math.log10(most or 1))
            self._most = math.ceil((most or 1) / self._step) * self._step

    def __call__(self, value: float) -> float:
        """Return the place."""
        if self.logarithmic:
            share = (math.log10(value) - self._low) / (self._high - self._low)
        else:
            share = value / self._most
        return share * self._length

    def marks(self) -> list[float]:
        """Return the figures that are written at the axis."""
        if self.logarithmic:
            return [10.0**power for power in range(self._low, self._high + 1)]
        count = round(self._most / self._step)
        every = 1 if count > 2 else 0.5
        return [i * self._step * every for i in range(int(count / every) + 1)]


def bars(title: str, cases: list[str], series: list[Series], *, logarithmic: bool) -> str:
    """Draw a bar for each client in each case."""
    scale = Scale(figures(series), WIDTH - LEFT - RIGHT, logarithmic=logarithmic)
    parts, y = [], float(TOP + 18)
    for place, case in enumerate(cases):
        rows = [(i, one.values[place]) for i, one in enumerate(series)]
        rows = [(i, value) for i, value in rows if value is not None]
        middle = y + len(rows) * ROW / 2 + 4
        parts.append(text(LEFT - 8, middle, case, "end"))
        for i, value in rows:
            assert value is not None
            length = max(1.0, scale(value))
            parts.append(
                f'<rect x="{LEFT}" y="{y + 1:.1f}" width="{length:.1f}" height="{ROW - 3}" '
                f'fill="{COLOURS[series[i].colour % len(COLOURS)]}"/>'
            )
            parts.append(text(LEFT + length + 4, y + ROW - 4, number(value)))
            y += ROW
        y += GAP
    grid = [
        f'<line class="g" x1="{LEFT + scale(mark):.1f}" x2="{LEFT + scale(mark):.1f}" '
        f'y1="{TOP + 14}" y2="{y:.1f}"/>'
        + text(LEFT + scale(mark), y + 14, number(mark) if mark else "0", "middle")
        for mark in scale.marks()
    ]
    return document(title, series, grid + parts, y + 24)


def lines(title: str, cases: list[str], series: list[Series], *, logarithmic: bool) -> str:
    """Draw a line for each client over the cases."""
    height, bottom = 240, TOP + 260
    scale = Scale(figures(series), height, logarithmic=logarithmic)
    left = 80
    step = (WIDTH - left - RIGHT) / max(1, len(cases) - 1)
    parts = []
    for mark in scale.marks():
        y = bottom - scale(mark)
        parts.append(
            f'<line class="g" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(text(left - 6, y + 4, number(mark) if mark else "0", "end"))
    for place, case in enumerate(cases):
        parts.append(text(left + place * step, bottom + 18, case, "middle"))
    for i, one in enumerate(series):
        places = [
            (left + place * step, bottom - scale(value), value)
            for place, value in enumerate(one.values)
            if value is not None
        ]
        colour = COLOURS[one.colour % len(COLOURS)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y, _ in places
        ]
        # The first above its line, the second below; more would cover each other.
        if i < len(LABELS):
            parts += [text(x + 4, y + LABELS[i], number(value)) for x, y, value in places]
    return document(title, series, parts, bottom + 30)


def curves(title: str, x_title: str, curves: list[tuple[str, list[tuple[float, float]]]]) -> str:
    """Draw a line through the points of each name, from left to right."""
    height, bottom, left = 240, TOP + 260, 80
    across = Scale(
        [x for _, points in curves for x, _ in points], WIDTH - left - RIGHT, logarithmic=True
    )
    up = Scale([y for _, points in curves for _, y in points], height, logarithmic=True)
    parts = []
    for mark in up.marks():
        y = bottom - up(mark)
        parts.append(
            f'<line class="g" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(text(left - 6, y + 4, number(mark), "end"))
    for mark in across.marks():
        x = left + across(mark)
        parts.append(
            f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom - height}" y2="{bottom}"/>'
        )
        parts.append(text(x, bottom + 18, number(mark), "middle"))
    parts.append(text(left + (WIDTH - left - RIGHT) / 2, bottom + 36, x_title, "middle"))
    for i, (_, points) in enumerate(curves):
        colour = COLOURS[i % len(COLOURS)]
        places = [(left + across(x), bottom - up(y)) for x, y in sorted(points)]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{joined}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
    names = [Series(name, i, []) for i, (name, _) in enumerate(curves)]
    return document(title, names, parts, bottom + 48)


def figures(series: list[Series]) -> list[float]:
    """Return all figures."""
    return [value for one in series for value in one.values if value is not None] or [1.0]


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Write something."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def document(title: str, series: list[Series], parts: list[str], height: float) -> str:
    """Put a title, the names of the clients and the parts together."""
    legend, x = [], 12.0
    for one in series:
        colour = COLOURS[one.colour % len(COLOURS)]
        legend.append(f'<rect x="{x:.1f}" y="30" width="10" height="10" fill="{colour}"/>')
        legend.append(text(x + 14, 39, one.name))
        x += 28 + 6.6 * len(one.name)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
        f'<rect class="f" width="100%" height="100%"/>'
        f'<text class="t" x="12" y="20">{escape(title)}</text>'
    )
    return "\n".join([head, *legend, *parts, "</svg>\n"])
