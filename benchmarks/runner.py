"""Runs cases: each run of a client is a process, and the clients take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import brokers
import places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from results import Results
    from suites import Case, Suite

#: Seconds that a run may take; most take two.
LONGEST = 90

#: Nobody who runs an application compiles its modules each time. pip has compiled those of the
#: other clients; without this variable, the first run does so with ours.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Plan:
    """How thoroughly to measure. runs: instead of each case's own. only: some of the clients."""

    runs: int = 0
    quick: bool = False
    only: tuple[str, ...] = ()

    def runs_of(self, case: Case) -> int:
        """Return how often to run each client."""
        return self.runs or (1 if self.quick else case.runs)

    def seconds_of(self, case: Case) -> float:
        """Return how long to look."""
        return min(case.seconds, 0.4) if self.quick else case.seconds

    def peers_of(self, case: Case) -> list[str]:
        """Return the clients. A quick look is at the first two: this package, and Flask-MQTT."""
        named = case.peers[:2] if self.quick else case.peers
        return [peer for peer in named if not self.only or peer in self.only]


def run(chosen: Iterable[tuple[Suite, Case]], plan: Plan, results: Results) -> None:
    """Run cases, and say how it goes."""
    for suite, case in chosen:
        key = f"{suite.name}/{case.key}"
        for number in range(plan.runs_of(case)):
            turn = plan.peers_of(case)
            # Who goes first is not always the same.
            for peer in turn if number % 2 == 0 else reversed(turn):
                if peer not in results.notes.get(key, {}):
                    run_once(key, case, peer, plan, results)
        print(key, flush=True)
        for peer in plan.peers_of(case):
            print(f"    {peer:14} {line(key, peer, suite, results)}", flush=True)


def line(key: str, peer: str, suite: Suite, results: Results) -> str:
    """Return the medians of a client in a case, or why there are none."""
    note = results.notes.get(key, {}).get(peer)
    if note is not None:
        return note
    medians = {metric: results.median(key, peer, metric.name) for metric in suite.metrics}
    shown = [f"{metric.title}: {it:,.4g}" for metric, it in medians.items() if it is not None]
    return "   ".join(shown)


def run_once(key: str, case: Case, peer: str, plan: Plan, results: Results) -> None:
    """Run a client once, and keep the figures, or why there are none."""
    python = places.interpreter(peer)
    if python is None:
        results.note(key, peer, "not installed")
        return
    with brokers.running(case.broker) as place:
        target = {"port": place.port, "certificate": place.certificate, **case.target}
        target["transport"] = case.broker.transport
        values: dict[str, Any] = {
            "target": target,
            "seconds": plan.seconds_of(case),
            "load": str(places.PROGRAM),
            **case.values,
        }
        command = [str(python), str(places.WORKER), peer, case.task, json.dumps(values)]
        try:
            found = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=LONGEST,
                check=False,
                env=ENVIRONMENT,
            )
        except subprocess.TimeoutExpired:
            results.note(key, peer, f"not done in {LONGEST} s")
            return
    if found.returncode != 0 or not found.stdout.strip():
        sys.stderr.write(found.stderr)
        last = (found.stderr.strip().splitlines() or [f"status {found.returncode}"])[-1]
        results.note(key, peer, f"failed: {last[:80]}")
        return
    figures = json.loads(found.stdout.strip().splitlines()[-1])
    if figures is None:
        results.note(key, peer, "not supported")
        return
    results.add(key, peer, figures)
