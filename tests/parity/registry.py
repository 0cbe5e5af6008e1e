"""The scenarios by name, and where the two packages are meant to differ."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from .recording import Run

MODULES = (
    "attempts",
    "calls",
    "configuration",
    "connecting",
    "handlers",
    "logs",
    "losing",
    "messages",
    "owned",
    "setup",
    "tls",
    "ways",
)


class Difference(NamedTuple):
    """Something that is meant to differ. The test asserts both sides.

    part: "events", "wire", or the name of a fact.
    """

    part: str
    original: Any
    ours: Any
    why: str


class Scenario(NamedTuple):
    """A scenario: what to do, and the differences it is meant to show."""

    name: str
    play: Callable[[Run], None]
    differences: tuple[Difference, ...]


_SCENARIOS: dict[str, Scenario] = {}


def scenario(*differences: Difference) -> Callable[[Callable[[Run], None]], Callable[[Run], None]]:
    """Register a function as a scenario under its name."""

    def register(play: Callable[[Run], None]) -> Callable[[Run], None]:
        name = play.__name__
        assert name not in _SCENARIOS, f"two scenarios are called {name}"
        _SCENARIOS[name] = Scenario(name, play, differences)
        return play

    return register


def all_scenarios() -> dict[str, Scenario]:
    """Import all modules and return the scenarios by name."""
    for module in MODULES:
        importlib.import_module(f".scenarios.{module}", __package__)
    return dict(_SCENARIOS)
