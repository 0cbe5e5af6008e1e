"""What the checks found, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .site import Feature


class Cell(NamedTuple):
    """One result: "yes", "no" or "—", with what there is to say about it."""

    word: str
    note: str = ""


class Column(NamedTuple):
    """The results of a broker, by feature."""

    title: str
    version: str
    cells: dict[str, Cell]


def markdown(columns: Sequence[Column], features: Sequence[Feature]) -> str:
    """Lay out the table, with the notes below it."""
    notes: dict[str, int] = {}
    lines = [
        _row(["", *(f"{column.title} {column.version}" for column in columns)]),
        _row(["---"] * (len(columns) + 1)),
    ]
    section = ""
    for feature in features:
        if feature.section != section:
            section = feature.section
            lines.append(_row([f"**{section}**", *[""] * len(columns)]))
        words = []
        for column in columns:
            cell = column.cells[feature.key]
            mark = ""
            if cell.note:
                mark = f" <sup>{notes.setdefault(cell.note, len(notes) + 1)}</sup>"
            words.append(f"{cell.word}{mark}")
        lines.append(_row([feature.title, *words]))
    lines.append("")
    lines += [f"{number}. {note}" for note, number in notes.items()]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
