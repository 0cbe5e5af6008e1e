"""Figures of runs, and the file that keeps them for the page."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Results:
    """What was measured.

    samples: by case ("suite/key"), client and metric: a figure for each run. notes: by case and
    client: why there is none. about: what and where it was measured.
    """

    about: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    samples: dict[str, dict[str, dict[str, list[float]]]] = field(default_factory=dict)
    notes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, case: str, peer: str, figures: dict[str, float]) -> None:
        """Add a run."""
        of_peer = self.samples.setdefault(case, {}).setdefault(peer, {})
        for metric, value in figures.items():
            of_peer.setdefault(metric, []).append(float(f"{value:.5g}"))

    def note(self, case: str, peer: str, text: str) -> None:
        """Say why a client has no figure."""
        self.notes.setdefault(case, {})[peer] = text

    def of(self, case: str, peer: str, metric: str) -> list[float]:
        """Return the figures of a metric, without any if there are none."""
        return self.samples.get(case, {}).get(peer, {}).get(metric, [])

    def median(self, case: str, peer: str, metric: str) -> float | None:
        """Return the median, if there is one."""
        found = self.of(case, peer, metric)
        return statistics.median(found) if found else None

    def ratio(self, case: str, metric: str, peer: str, other: str) -> float | None:
        """Return how many times the other's median a client's is."""
        one, two = self.median(case, peer, metric), self.median(case, other, metric)
        return None if one is None or not two else one / two

    def merge(self, other: Results) -> None:
        """Take over what was measured later, case by case."""
        self.about |= other.about
        self.versions |= other.versions
        self.samples |= other.samples
        for case in other.samples:
            self.notes.pop(case, None)
        self.notes |= other.notes

    def save(self, path: Path) -> None:
        """Write the file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read the file, if there is one."""
        return cls(**json.loads(path.read_text())) if path.exists() else cls()
