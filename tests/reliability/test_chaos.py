"""A short run of chaos.py, with a seed that is printed."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from flask_mqtt import MQTTv5, MQTTv311

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
SECONDS = 8


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_random_faults_lose_nothing_and_keep_the_order(protocol: int) -> None:
    numbers = {"seconds": SECONDS, "seed": random.randrange(1_000_000), "protocol": int(protocol)}
    options = [f"--{name}={number}" for name, number in numbers.items()]
    result = subprocess.run(
        [sys.executable, "-m", "reliability.chaos", *options],
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    print(result.stdout, result.stderr)
    assert result.returncode == 0, result.stdout
