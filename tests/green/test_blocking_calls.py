"""Calls that wait let other green threads run: blocking_calls.py, under each hub."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.certificates import Certificates

pytestmark = pytest.mark.slow

GREEN = Path(__file__).parent
CALLS = [
    "a full outbox",
    "wait_for_publish",
    "close",
    "connecting with TLS",
    "opening a busy file",
]
#: So many turns of another thread the broker waits for, at least.
TURNS = 10

HOLDER = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1])
file.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that has the file, and can be killed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("hub", ["eventlet", "gevent"])
def test_other_green_threads_run_while_a_call_waits(
    hub: str, certificates: Certificates, tmp_path: Path
) -> None:
    file = tmp_path / "messages.db"
    with holder(file) as holding:
        environment = os.environ | {
            "PYTHONPATH": str(GREEN.parent),
            "PYTHONWARNINGS": "ignore",
            "EVENTLET_SHOW_DEPRECATION_WARNING": "0",
            "CERTIFICATE": str(certificates.server.certificate),
            "KEY": str(certificates.server.key),
            "CA": str(certificates.ca),
            "FILE": str(file),
            "HOLDER": str(holding.pid),
        }
        done = subprocess.run(
            [sys.executable, "blocking_calls.py", hub],
            cwd=GREEN,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["call"] for one in found] == CALLS
    assert all(one["turns"] >= TURNS for one in found), found
