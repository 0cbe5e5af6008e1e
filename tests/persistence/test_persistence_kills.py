"""MQTT_PERSISTENCE and processes that are killed at random moments; see support.killed for more."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from support.killed import kill_publishers, kill_receivers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

KILLS = 5


@pytest.fixture
def seed() -> int:
    """A seed, which a failing test shows."""
    chosen = random.randrange(1_000_000)
    print(f"seed {chosen}")
    return chosen


@pytest.fixture
def patient_broker(broker_factory: Callable[..., Any]) -> Mosquitto:
    """A broker that keeps as much as comes."""
    broker: Mosquitto = broker_factory(options=("max_queued_messages 0",))
    return broker


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_accepted_arrives(
    patient_broker: Mosquitto, tmp_path: Path, seed: int, qos: int
) -> None:
    outcome = kill_publishers(patient_broker, tmp_path / "messages.db", qos, KILLS, seed)
    assert not outcome.lost
    assert outcome.kills == KILLS
    assert len(outcome.accepted) > KILLS
    if qos == 2:
        assert not outcome.twice


def test_what_was_received_with_qos_2_is_handled(
    patient_broker: Mosquitto, tmp_path: Path, seed: int
) -> None:
    outcome = kill_receivers(patient_broker, tmp_path / "messages.db", KILLS, seed)
    assert not outcome.lost
    assert not outcome.twice
    assert len(outcome.arrived) > KILLS
