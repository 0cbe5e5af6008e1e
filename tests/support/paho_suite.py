"""paho's own tests, run with this package in paho's place.

Everything of paho's comes out of its source distribution, into a temporary directory: its tests,
and its two modules of helpers that only use its client. The other modules there are made here, of
what `flask_mqtt` has. The tests for MQTT 5 want a broker written in Python that is published
nowhere: mosquitto stands in for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple

from support.original import source_distribution

TESTS = Path(__file__).parent.parent

#: Seconds for all tests of paho's together; they take about one minute.
TIMEOUT = 240.0

_CLIENT = """
import flask_mqtt
from flask_mqtt import *
from flask_mqtt import MQTT_CLEAN_START_FIRST_ONLY
"""

_MODULES = {
    "__init__": "__version__ = '2.2.0'",
    "client": _CLIENT,
    "enums": "from flask_mqtt.paho.enums import *",
    "matcher": "from flask_mqtt import MQTTMatcher",
    "packettypes": "from flask_mqtt import PacketTypes",
    "properties": "from flask_mqtt import Properties",
    "reasoncodes": "from flask_mqtt import ReasonCode, ReasonCodes",
    "subscribeoptions": "from flask_mqtt import SubscribeOptions",
}

#: What the tests for MQTT 5 do with their broker.
_BROKERS = '''
import atexit
import contextlib
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

from support.mosquitto import Mosquitto
from support.ports import free_port

listeners = SimpleNamespace(TCPListeners=SimpleNamespace(server=None))


class Server:
    """In the place of a socketserver.TCPServer."""

    def __init__(self, port):
        self._ended = threading.Event()
        self.socket = SimpleNamespace(getsockname=lambda: ("127.0.0.1", port))

    def shutdown(self):
        listeners.TCPListeners.server = None
        self._ended.set()

    def server_close(self):
        pass

    def wait(self):
        self._ended.wait()


def run(config):
    port = int(config[0].split()[1]) or free_port("127.0.0.1")
    with contextlib.ExitStack() as stack:
        # Some of paho's tests leave it to the end of their process.
        atexit.register(stack.close)
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(Mosquitto(Path(directory), (port,)))
        listeners.TCPListeners.server = server = Server(port)
        server.wait()
'''


class Outcome(NamedTuple):
    """How one of paho's tests went: "passed", "failed" or "skipped", and with which text."""

    state: str
    text: str


def prepare(directory: Path) -> None:
    """Unpack paho's tests, and put this package in paho's place."""
    package = directory / "paho" / "mqtt"
    package.mkdir(parents=True)
    (directory / "paho" / "__init__.py").touch()
    with tarfile.open(source_distribution("paho-mqtt", "2.2.0")) as archive:
        for member in archive.getmembers():
            path = Path(*Path(member.name).parts[1:])
            source = archive.extractfile(member)
            if source is None:
                continue
            if path.parts[0] == "tests":
                target = directory / path
            elif path.name in ("publish.py", "subscribe.py"):
                target = package / path.name
            else:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read())
            target.chmod(member.mode)
    for name, text in _MODULES.items():
        (package / f"{name}.py").write_text(text)
    stand_in = directory / "mqtt"
    stand_in.mkdir()
    (stand_in / "__init__.py").touch()
    (stand_in / "brokers.py").write_text(_BROKERS)
    (directory / "pytest.ini").write_text("[pytest]\n")


#: What runs beside each other: most of the time is spent waiting.
PARTS: dict[str, tuple[str, ...]] = {
    "lib": ("tests/lib",),
    "client": ("tests/test_client.py",),
    "mqttv5": ("tests/test_mqttv5.py",),
    "others": (
        "tests", "--ignore=tests/lib", "--ignore=tests/test_client.py",
        "--ignore=tests/test_mqttv5.py",
    ),
}  # fmt: skip


def run(directory: Path, parts: dict[str, tuple[str, ...]] = PARTS) -> dict[str, Outcome]:
    """Run paho's tests in a prepared directory, and return how each went, by its name."""
    options = ["-q", "-p", "no:cacheprovider", "--timeout=30", "--continue-on-collection-errors"]
    paths = os.pathsep.join([str(directory), str(TESTS)])
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, f"--junitxml={name}.xml", *tests],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, tests in parts.items()
    ]
    deadline = time.monotonic() + TIMEOUT
    try:
        for process in processes:
            process.wait(deadline - time.monotonic())
    finally:
        for process in processes:
            process.kill()
            process.wait()
    outcomes: dict[str, Outcome] = {}
    for name in parts:
        # It is our own file.
        outcomes.update(map(_outcome, ET.parse(directory / f"{name}.xml").iter("testcase")))
    return outcomes


def node(name: str) -> str:
    """Return what pytest calls a test, by its name among the outcomes."""
    module, *rest = name.split("::")
    parts = module.split(".")
    end = next(number for number, part in enumerate(parts, 1) if part.startswith("test_"))
    return "::".join(["/".join(["tests", *parts[:end]]) + ".py", *parts[end:], *rest])


def _outcome(case: ET.Element) -> tuple[str, Outcome]:
    parts = filter(None, [case.get("classname", ""), case.get("name", "")])
    name = "::".join(parts).removeprefix("tests.")
    for state in ("failure", "error", "skipped"):
        found = case.find(state)
        if found is not None:
            kind = "skipped" if state == "skipped" else "failed"
            return name, Outcome(kind, f"{found.get('message', '')}\n{found.text or ''}")
    return name, Outcome("passed", "")
