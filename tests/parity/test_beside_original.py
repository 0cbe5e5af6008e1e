"""Flask-MQTT and this package in one environment: what the warning says to do, pip does."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import flask_mqtt
from support.original import ORIGINAL
from support.wheels import make_wheel

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PACKAGE = Path(flask_mqtt.__file__).parent
TROUBLESHOOTING = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
FILES_OF_ORIGINAL = """
import importlib.metadata
for path in importlib.metadata.files("Flask-MQTT"):
    if path.suffix == ".py":
        print(path, path.locate(), sep="\\t")
"""
OURS, THEIRS = "flask_mqtt_rs", "Flask_MQTT"


class Environment:
    """A virtual environment of its own, in which Flask is that of the tests."""

    def __init__(self, directory: Path) -> None:
        venv.create(directory, symlinks=True)
        self.python = directory / "bin" / "python"
        self.paths = {"base": str(directory), "platbase": str(directory)}
        self.site = Path(sysconfig.get_path("purelib", vars=self.paths))
        # Behind the folder itself, so that what is installed there wins.
        (self.site / "tests.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def pip(self, *arguments: str) -> None:
        """Run pip, not asking for an index."""
        command = [sys.executable, "-m", "pip", "--python", str(self.python), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def use(self) -> str:
        """Import the package and use it; return the warnings."""
        code = "import flask_mqtt; flask_mqtt.Mqtt(); print(flask_mqtt.Stats)"
        done = subprocess.run(
            [self.python, "-W", "always::RuntimeWarning", "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stderr

    def follow(self, advice: str) -> None:
        """Do what the advice says, as a user does who answers pip's question with yes."""
        commands = re.findall(r"pip (uninstall|install) ([^&\n]+)", advice)
        assert [verb for verb, _ in commands] == ["uninstall", "install"]
        for verb, arguments in commands:
            usual = ["--yes"] if verb == "uninstall" else ["--no-deps", "--no-index"]
            self.pip(verb, *usual, *shlex.split(arguments))


@pytest.fixture
def wheels(tmp_path: Path) -> dict[str, Path]:
    listed = subprocess.run(
        [ORIGINAL, "-c", FILES_OF_ORIGINAL], capture_output=True, text=True, timeout=30, check=True
    )
    theirs = [line.split("\t") for line in listed.stdout.splitlines()]
    assert "flask_mqtt/__init__.py" in [inside for inside, _ in theirs]
    ours = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".so"}]
    return {
        THEIRS: make_wheel(tmp_path, THEIRS, "1.3.0", [(a, Path(b)) for a, b in theirs]),
        OURS: make_wheel(
            tmp_path,
            OURS,
            importlib.metadata.version("flask-mqtt-rs"),
            [(f"flask_mqtt/{path.relative_to(PACKAGE)}", path) for path in ours],
        ),
    }


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


def test_what_the_warning_says_puts_an_environment_right(
    environment: Environment, wheels: dict[str, Path]
) -> None:
    for name in (THEIRS, OURS):
        environment.pip("install", "--no-deps", "--no-index", str(wheels[name]))
    warning = environment.use()
    assert "RuntimeWarning: Flask-MQTT 1.3.0 and flask-mqtt-rs are both installed" in warning
    assert f"pip install {wheels[OURS].as_uri()}" in warning
    environment.follow(warning)
    assert environment.use() == ""


def test_an_environment_where_the_original_came_last_is_put_right_in_the_same_way(
    environment: Environment, wheels: dict[str, Path]
) -> None:
    for name in (OURS, THEIRS):
        environment.pip("install", "--no-deps", "--no-index", str(wheels[name]))
    # Then it is the original that is imported, so the page says what to do.
    text = TROUBLESHOOTING.read_text().partition("## The warning that Flask-MQTT")[2]
    [block] = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    environment.follow(block.replace("$ ", "").replace("WHEEL", str(wheels[OURS])))
    assert environment.use() == ""
