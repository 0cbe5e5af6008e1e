"""The demo as a process of its own, and its page as a program reads it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .ports import free_port
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
#: A text that a page must not take for HTML.
HOSTILE = '<img src=x onerror="document.title = 1"><script>document.title = 2</script>'


class Demo:
    """A running demo."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "examples"),
            "PORT": str(self.port),
            **settings,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.greeting = self._read_greeting()
        #: What it has written after that.
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read_greeting(self) -> str:
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Page"):
                return "".join(lines)
        raise AssertionError("the demo ended: " + "".join(lines))

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def wait_for_line(self, text: str) -> None:
        """Wait until the terminal shows a line with a text."""
        wait_until(lambda: any(text in line for line in self.lines), what=f"printed: {text}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """End the demo by a signal and return its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            self._reader.join()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def post(self, action: str, body: object) -> dict[str, Any]:
        """Call the API as the page does and return its answer."""
        request = urllib.request.Request(
            f"{self.url}api/{action}",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return dict(json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                return dict(json.load(error))

    @contextlib.contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Open the stream of server-sent events as pairs of a name and data."""
        with urllib.request.urlopen(f"{self.url}events", timeout=10) as response:

            def read() -> Iterator[tuple[str, Any]]:
                name = ""
                for line in response:
                    field, _, value = line.decode().rstrip("\n").partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data":
                        yield name, json.loads(value)

            yield read()


def find(
    events: Iterator[tuple[str, Any]], name: str, condition: Callable[[Any], bool] = bool
) -> Any:
    """Return the first data that fits; heartbeats keep this from waiting for ever."""
    deadline = time.monotonic() + 10
    for got, data in events:
        if got == name and condition(data):
            return data
        assert time.monotonic() < deadline, f"no such event: {name}"
    raise AssertionError("the stream ended")


def find_message(events: Iterator[tuple[str, Any]], topic: str) -> dict[str, Any]:
    """Return the first message on a topic."""
    batch = find(events, "messages", lambda data: any(m["topic"] == topic for m in data))
    return dict(next(message for message in batch if message["topic"] == topic))


def is_connected(state: Any) -> bool:
    return bool(state["connected"])


@contextlib.contextmanager
def running_demo(broker_port: int = 0, settings: dict[str, str] | None = None) -> Iterator[Demo]:
    """Give a demo with a broker on this host, or with other settings; it ends at the end."""
    usual = {"MQTT_BROKER_URL": "127.0.0.1", "MQTT_BROKER_PORT": str(broker_port)}
    demo = Demo(usual if settings is None else settings)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop()


@contextlib.contextmanager
def quiet_demo(broker_port: int) -> Iterator[Demo]:
    """Give a demo that is connected, and publishes nothing that nobody asked for."""
    with running_demo(broker_port) as demo, demo.events() as events:
        find(events, "state", is_connected)
        # Its messages would come between those of the tests.
        demo.post("device", {"running": False})
        yield demo
