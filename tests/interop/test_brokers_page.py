"""The table of docs/brokers.md has what ./scripts/interop measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from interop import features, features_v5
from interop.brokers import BROKERS
from interop.site import FEATURES

pytestmark = pytest.mark.smoke

PAGE = Path(__file__).parents[2] / "docs" / "brokers.md"


def _first_cells() -> list[str]:
    lines = PAGE.read_text().splitlines()
    return [line.split("|")[1].strip() for line in lines if line.startswith("|")]


def test_every_check_has_a_row() -> None:
    titles = [feature.title for feature in FEATURES.values()]
    assert [cell for cell in _first_cells() if cell in titles] == titles
    assert {features.MESSAGES, features_v5.SECTION} < {cell.strip("*") for cell in _first_cells()}


def test_every_broker_has_a_column() -> None:
    header = next(line for line in PAGE.read_text().splitlines() if line.startswith("|"))
    names = [cell.strip().rsplit(" ", 1)[0] for cell in header.split("|")[2:-1]]
    assert names == [kind.title for kind in BROKERS]
