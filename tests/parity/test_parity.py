"""The same scenarios with Flask-MQTT itself and with this package: both must see the same.

What handlers saw, what calls returned or raised, and what a recording broker received is compared.
Where this package differs on purpose the scenario declares both sides, and both are asserted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from parity.registry import Scenario, all_scenarios

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
SCENARIOS = all_scenarios()

#: How many scenarios are played before their tests.
AHEAD = 3

Outcome = dict[str, Any]


def play(python: Path | str, scenario: Scenario, environment: dict[str, str]) -> Outcome:
    """Play a scenario in a process of its own and return what was seen."""
    done = subprocess.run(
        [str(python), "-m", "parity", scenario.name],
        cwd=TESTS,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{scenario.name} with {python}:\n{done.stdout}\n{done.stderr}"
    outcome: Outcome = json.loads(done.stdout)
    surprising = "Traceback" in done.stderr and "on purpose" not in done.stderr
    outcome["traceback"] = done.stderr if surprising else None
    return outcome


class Plays:
    """Plays scenarios ahead of the tests, a few at a time: they mostly wait.

    Only the next few: of several workers of pytest-xdist each has a part of the tests.
    """

    def __init__(
        self, scenarios: list[Scenario], original: Path, environment: dict[str, str]
    ) -> None:
        self._pool = ThreadPoolExecutor(3)
        self._scenarios = scenarios
        self._pythons = {"original": original, "ours": Path(sys.executable)}
        self._environment = environment
        self._futures: dict[tuple[str, str], Future[Outcome]] = {}

    def outcome(self, scenario: Scenario, side: str) -> Outcome:
        """Wait for an outcome, and begin with the next ones."""
        at = self._scenarios.index(scenario)
        for one in self._scenarios[at : at + AHEAD + 1]:
            self._begin(one)
        return self._futures[scenario.name, side].result()

    def _begin(self, scenario: Scenario) -> None:
        for side, python in self._pythons.items():
            if (scenario.name, side) not in self._futures:
                self._futures[scenario.name, side] = self._pool.submit(
                    play, python, scenario, self._environment
                )

    def stop(self) -> None:
        """Play nothing more."""
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def plays(
    request: pytest.FixtureRequest,
    tls_broker: Mosquitto,
    certificates: Certificates,
    original_python: Path,
) -> Iterator[Plays]:
    """Play what was selected."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    ours = [item for item in items if item.module is request.module]
    ports = {name: listener.port for name, listener in tls_broker.listeners.items()}
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PARITY_PORTS": json.dumps(ports),
        "PARITY_CERTIFICATES": str(certificates.directory),
    }
    scenarios = [SCENARIOS[item.callspec.id] for item in ours]
    plays = Plays(scenarios, original_python, environment)
    yield plays
    plays.stop()


def part(outcome: Outcome, name: str) -> Any:
    """Return the events, the wire, or a fact of an outcome."""
    return outcome[name] if name in ("events", "wire") else outcome["facts"].get(name)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_behaves_as_the_original(scenario: Scenario, plays: Plays) -> None:
    original, ours = plays.outcome(scenario, "original"), plays.outcome(scenario, "ours")
    for difference in scenario.differences:
        name, why = difference.part, difference.why
        assert part(original, name) == plain(difference.original), f"the original: {name}"
        assert part(ours, name) == plain(difference.ours), f"ours, differs because {why}"
    assert ours["traceback"] is None, ours["traceback"]
    names = {"events", "wire", *original["facts"], *ours["facts"]}
    declared = {difference.part for difference in scenario.differences}
    for name in sorted(names - declared):
        assert part(ours, name) == part(original, name), f"ours and the original differ in: {name}"


def plain(value: Any) -> Any:
    """Return a value as it looks after it went through JSON."""
    return json.loads(json.dumps(value))
