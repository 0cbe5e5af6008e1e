"""The command line of the benchmarks; ./scripts/bench makes what they need, and calls it."""

from __future__ import annotations

import argparse
import signal
import sys
import time

import ahead
import machine
import page
import places
import runner
from peers import PEERS
from results import Results
from suites import Case, Suite, all_suites


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(prog="./scripts/bench")
    parser.add_argument("names", nargs="*", metavar="SUITE[/CASE]", help="all, without one")
    parser.add_argument("--quick", action="store_true", help="the summary's cases, once each")
    parser.add_argument("--page", action="store_true", help="only write the page again")
    parser.add_argument("--check", action="store_true", help="whether the page is as it has to be")
    parser.add_argument("--write", action="store_true", help="take the results over into the page")
    parser.add_argument("--list", action="store_true", help="only list the suites and cases")
    parser.add_argument("--runs", type=int, default=0, help="how often, instead of 2 to 5 times")
    parser.add_argument("--only", action="append", default=[], choices=PEERS, metavar="CLIENT")
    given = parser.parse_args()
    if given.list:
        for suite, case in choose(given.names, quick=given.quick):
            print(f"{suite.name}/{case.key}")
        return
    if given.check and not page.is_current(Results.read(places.RESULTS)):
        sys.exit("error: docs/benchmarks.md is not what the results make: ./scripts/bench --page")
    if given.check and (rows := ahead.unexplained(Results.read(places.RESULTS))):
        sys.exit(f"error: another client is ahead, and benchmarks/ahead.py says not why: {rows}")
    if given.check:
        return
    if given.page:
        page.write(Results.read(places.RESULTS))
        return
    chosen = choose(given.names, quick=given.quick)
    if not chosen:
        parser.error(f"no such suite or case: {' '.join(given.names)} (--list shows them)")
    # What was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    measured = Results(about=machine.about(), versions=machine.versions())
    plan = runner.Plan(given.runs, given.quick, tuple(given.only))
    runner.run(chosen, plan, measured)
    took = time.monotonic() - started
    print(f"{took / 60:.1f} minutes", flush=True)
    if given.write or not (given.names or given.quick or given.only):
        if not given.names:
            measured.about["took"] = f"{took / 60:.1f} minutes"
        # A full run leaves nothing of earlier ones.
        everything = Results.read(places.RESULTS) if given.names or given.only else Results()
        everything.merge(measured)
        everything.save(places.RESULTS)
        # From what is stored, which is what --check compares the page with.
        page.write(Results.read(places.RESULTS))
        print(places.PAGE.relative_to(places.ROOT))


def choose(names: list[str], *, quick: bool) -> list[tuple[Suite, Case]]:
    """Return the cases with one of the names, or of all suites."""
    return [
        (suite, case)
        for suite in all_suites()
        for case in suite.cases
        if not names or suite.name in names or f"{suite.name}/{case.key}" in names
        if case.quick or not quick
    ]


if __name__ == "__main__":
    main()
