"""What a client sends, byte for byte, against a broker that plays a script.

Each script is played with this package and with paho 2.2.0. Where paho does otherwise, the script
has its bytes too, and the reason: both sides are asserted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.packets import MQTT311, PINGREQ
from support.server import HOST
from support.wait import wait_until
from wire.player import Player
from wire.registry import all_cases
from wire.steps import CLOSED, Client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.certificates import Certificates
    from wire.registry import Case
    from wire.steps import Step

TESTS = Path(__file__).parents[1]
CASES = all_cases()

Outcomes = dict[str, dict[str, Any]]


def play(python: Path | str, module: str, names: list[str], certificates: Path) -> Outcomes:
    """Play scripts in one process and return how they went, by name."""
    done = subprocess.run(
        [str(python), "-m", "wire", module, str(certificates)],
        cwd=TESTS,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        input="\n".join(names),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{module}:\n{done.stdout}\n{done.stderr}"
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["name"]: outcome for outcome in outcomes}


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, certificates: Certificates, original_python: Path
) -> dict[str, Outcomes]:
    """Play what was selected, with both."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    ours = [item for item in items if item.module is request.module]
    names = [item.callspec.id for item in ours if "played" in item.fixturenames]
    with ThreadPoolExecutor(2) as pool:
        sides = {
            side: pool.submit(play, python, module, names, certificates.directory)
            for side, python, module in (
                ("ours", sys.executable, "flask_mqtt"),
                ("paho", original_python, "paho.mqtt.client"),
            )
        }
        return {side: future.result() for side, future in sides.items()}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_bytes_are_those_of_the_script(case: Case, played: dict[str, Outcomes]) -> None:
    for side, due in (("paho", case.paho), ("ours", case.ours)):
        outcome = played[side][case.name]
        differs = f" (they differ: {case.why})" if case.why else ""
        assert not outcome["error"], f"{side}{differs}: {outcome['error']}"
        assert outcome["sees"] == list(due.sees), f"{side}{differs}"


# --- the player itself, without which the tests above would mean nothing --------------------------


def result(steps: Sequence[Step], *sent: bytes) -> str:
    """Send bytes to a player and return what it says, after the end of the connection."""
    with Player(steps) as player:
        with socket.create_connection((HOST, player.port)) as client:
            client.sendall(b"".join(sent))
            client.shutdown(socket.SHUT_WR)
            wait_until(lambda: player.error or player.position == len(steps))
        return player.error


def test_the_bytes_of_the_script_and_nothing_else_pass() -> None:
    assert not result((Client(PINGREQ), CLOSED), PINGREQ)
    assert not result((Client(MQTT311.connect(), (14, 15)), CLOSED), MQTT311.connect("d"))


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ((b"\xc0\x01\x00",), ("due:  PINGREQ c0 00", "sent: PINGREQ c0 01 00")),
        ((PINGREQ, PINGREQ), ("the end of the connection was due", "sent: PINGREQ c0 00")),
        ((PINGREQ, b"\x30"), ("the end of the connection was due", "sent: PUBLISH 30")),
        ((), ("due:  PINGREQ c0 00", "sent: nothing")),
    ],
    ids=["another packet", "one more", "half of one more", "none"],
)
def test_other_bytes_are_shown(sent: tuple[bytes, ...], shown: tuple[str, str]) -> None:
    error = result((Client(PINGREQ), CLOSED), *sent)
    assert all(text in error for text in shown), error
