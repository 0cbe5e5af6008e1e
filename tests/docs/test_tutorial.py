"""docs/tutorial.md: every command in it is run, in its order, against a real broker."""

from __future__ import annotations

import contextlib
import html
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.ports import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [line.removeprefix("$ ") for block in BLOCKS for line in block.splitlines()]

#: For how long one of the steps is waited for, in seconds: a busy machine starts processes slowly.
LONGEST = 60.0

#: What goes on until it is ended.
SERVERS = ("flask --app dashboard run", "python simulate.py")


class Terminal:
    """Runs commands as the page says, in a copy of the examples."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.folder = folder
        self.port = free_port()
        self.environment = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            # It is all there already.
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "FLASK_RUN_PORT": str(self.port),
            "MQTT_BROKER_URL": broker.host,
            "MQTT_BROKER_PORT": str(broker.port),
        }
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
            self.environment.pop(name, None)

    def run(self, command: str) -> str:
        """Run a command to its end, and return what it prints."""
        done = subprocess.run(
            command,
            shell=True,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, command: str) -> Iterator[None]:
        """Run a command until Ctrl-C; it must not have failed before."""
        log = self.folder / "log"
        with (
            log.open("w") as output,
            subprocess.Popen(
                command.split(),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                yield
                assert process.poll() is None, log.read_text()
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(10)
                finally:
                    process.kill()

    def page(self, path: str = "/", **form: str) -> str:
        """Return the text of the page, or empty where nobody serves it."""
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}{path}", data, 20
            ) as response:
                return html.unescape(response.read().decode())
        except OSError:
            return ""


def measurements(folder: Path, room: str) -> int:
    """Return how many measurements of a room are in the database."""
    with contextlib.closing(sqlite3.connect(folder / "instance" / "dashboard.db")) as database:
        [count] = database.execute("SELECT COUNT(*) FROM measurement WHERE room = ?", (room,))
    return int(count[0])


def test_every_command_of_the_tutorial(
    broker_factory: Callable[[], Mosquitto], tmp_path: Path
) -> None:
    first, *commands = COMMANDS
    folder = Path(first.removeprefix("cd "))
    shutil.copytree(
        ROOT / folder,
        tmp_path / folder,
        ignore=shutil.ignore_patterns("__pycache__", "instance", ".*"),
    )
    terminal = Terminal(tmp_path / folder, broker_factory())
    outputs: dict[str, str] = {}
    with contextlib.ExitStack() as servers:
        for command in commands:
            if command in SERVERS:
                servers.enter_context(terminal.running(command))
            else:
                outputs[command] = terminal.run(command)
            if command == SERVERS[0]:
                wait_until(terminal.page, LONGEST, "the application serves")
                assert "No sensor has sent anything yet." in terminal.page()
        cwd = terminal.folder
        # Histories of 60 each, and the readings, come in any order.
        wait_until(
            lambda: len(re.findall(r'points="(?:\S+ ){59}\S+"', terminal.page())) == 3,
            LONGEST,
            "three histories",
        )
        wait_until(lambda: "sensors/kitchen/2/reading" in terminal.page(), LONGEST, "a reading")
        page = terminal.page()
        assert re.search(r"<h2>kitchen 2</h2>.*?<strong>2\d\.\d °C</strong>", page, re.DOTALL)
        terminal.page("/sensors/cellar/1/interval", seconds="0.02")
        more = measurements(cwd, "cellar") + 50
        wait_until(lambda: measurements(cwd, "cellar") >= more, LONGEST, "a quicker sensor")
    assert set(SERVERS) < set(commands)
    routes = outputs["flask --app dashboard mqtt routes"]
    for rule in ("sensors/<room>/<int:sensor>/reading", "history"):
        assert re.search(rf"^{re.escape(rule)} ", routes, re.MULTILINE)
    assert re.search(r"\b4 passed\b", outputs["pytest"])
