"""Requests under eventlet and gevent, patched before and after the imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.dynsec import DynsecMosquitto

SCRIPT = Path(__file__).parent / "green_admin.py"
QUIET = {"PYTHONWARNINGS": "ignore", "EVENTLET_SHOW_DEPRECATION_WARNING": "0"}


@pytest.mark.slow
@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("hub", ["eventlet", "gevent", "threads"])
def test_a_green_thread_waits_as_one(hub: str, when: str, own_plugin: DynsecMosquitto) -> None:
    arguments = [hub, when, str(own_plugin.port), own_plugin.admin, own_plugin.password]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env=os.environ | QUIET,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.split("\n") == ["True", "timeout True", ""], done.stderr
