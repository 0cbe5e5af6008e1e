"""Small applications that run as processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent.parent

PREAMBLE = """\
import os, sys, threading, time
from flask import Flask
import flask_mqtt
from flask_mqtt import Mqtt

app = Flask("script")
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = int(sys.argv[1])

def say(*words):
    # In one piece: several threads say something.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            sys.exit("waited in vain")
        time.sleep(0.005)

def end():
    say("end", time.monotonic())
"""


class Script:
    """A running script. What it prints is read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.errors = ""

    def line(self) -> str:
        """Return the next line that it prints; empty after the last."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def expect(self, words: str) -> None:
        """Read the next line and compare it."""
        line = self.line()
        if line != words:
            self.finish()
            raise AssertionError(f"{line!r} instead of {words!r}:\n{self.errors}")

    def go(self) -> None:
        """Send a line, which the script may wait for."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def finish(self, timeout: float = 20.0) -> int:
        """Wait for its end and return the exit code; `errors` is what it wrote to stderr."""
        _, self.errors = self.process.communicate(timeout=timeout)
        return self.process.returncode

    def seconds_to_exit(self) -> float:
        """Return the seconds from the printed line "end", the next one, to its end."""
        line = self.line()
        self.process.wait(timeout=20)
        ended = time.monotonic()
        self.finish()
        assert line.startswith("end "), f"{line!r}:\n{self.errors}"
        # The clock is the same in every process of a machine.
        return ended - float(line.split()[1])


@contextlib.contextmanager
def running(code: str, *arguments: object) -> Iterator[Script]:
    """Run code after the preamble, with the port of the broker as the first argument."""
    process = subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + textwrap.dedent(code), *map(str, arguments)],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        cwd=TESTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Script(process)
        finally:
            if process.poll() is None:
                process.kill()
