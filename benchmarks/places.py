"""Where things are."""

from __future__ import annotations

import sys
from pathlib import Path

from peers import PEERS

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".cache" / "bench"
PROGRAM = ROOT / "target" / "bench-broker" / "release" / "bench-broker"
WORKER = ROOT / "benchmarks" / "worker.py"
PAGE = ROOT / "docs" / "benchmarks.md"
FIGURES = ROOT / "docs" / "_static" / "benchmarks"
RESULTS = FIGURES / "results.json"


def interpreter(peer: str) -> Path | None:
    """Return the Python that has a client, if it was installed."""
    environment = PEERS[peer].environment
    if not environment:
        return Path(sys.executable)
    if not (ENVIRONMENTS / environment / ".installed-bench").exists():
        return None
    return ENVIRONMENTS / environment / "bin" / "python"
