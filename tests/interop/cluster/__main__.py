"""`python -m interop.cluster`, run in the folder of the tests by `./scripts/interop --cluster`."""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from .nodes import CLUSTERS, Cluster
from .scene import Run, play

if TYPE_CHECKING:
    from .verdict import Verdict

HEAD = "| Broker | Mode | Orders | Handled | Lost | More than once | Longest pause |"


def count(found: dict[str, list[int]]) -> int:
    """Return how many orders there are, whatever the reason."""
    return sum(map(len, found.values()))


def row(kind: type[Cluster], version: str, mode: str, verdict: Verdict) -> str:
    """Return the row of a run."""
    cells = [
        f"{kind.title} {version}",
        f'`"{mode}"`',
        verdict.orders,
        verdict.handled,
        count(verdict.lost),
        count(verdict.again),
        f"{verdict.longest:.1f} s",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def reasons(verdict: Verdict) -> list[str]:
    """Return a line for each reason why orders were lost or handled more than once."""
    lines = []
    for what, found in (("lost", verdict.lost), ("more than once", verdict.again)):
        for why, numbers in found.items():
            span = f"orders {min(numbers)} to {max(numbers)}"
            lines.append(f"  {what}: {len(numbers)}: {why} ({span})")
    return lines


def outcome(kind: type[Cluster], run: Run, directory: Path) -> list[str]:
    """Play a run and return its row and the reasons, or what kept it from being played."""
    try:
        verdict = play(kind, run, directory)
    except AssertionError as error:  # such as a node that does not come back
        return [f"{kind.title}: {error}"]
    return [row(kind, kind(directory).version(), run.mode, verdict), *reasons(verdict)]


def main() -> None:
    """Run what is asked for, and print a table with the reasons below it."""
    names = {kind.title.lower(): kind for kind in CLUSTERS}
    parser = argparse.ArgumentParser(prog="scripts/interop --cluster")
    parser.add_argument("--broker", action="append", choices=names, help="only this one")
    parser.add_argument("--mode", action="append", choices=("shared", "leader"), help="only this")
    parser.add_argument("--orders", type=int, default=3000, help="how many messages (3000)")
    parser.add_argument("--runs", type=int, default=1, help="how often (1)")
    arguments = parser.parse_args()
    logging.getLogger().addHandler(logging.NullHandler())  # lost connections are part of it
    print(HEAD)
    print("|---" * HEAD.count(" | "), "|---|", sep="")
    for name in arguments.broker or names:
        kind = names[name]
        for mode in [each for each in kind.modes if each in (arguments.mode or kind.modes)]:
            for _ in range(arguments.runs):
                with tempfile.TemporaryDirectory(prefix="cluster-") as directory:
                    lines = outcome(kind, Run(mode, arguments.orders), Path(directory))
                print("\n".join(lines), flush=True)


main()
