"""Examples that run as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt

from .apps import make_app
from .ports import free_port
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .mosquitto import Mosquitto

EXAMPLES = Path(__file__).parents[2] / "examples"


class Example:
    """A running example."""

    def __init__(self, *command: str, broker: Mosquitto, **environment: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lines: list[str] = []
        arguments = [argument.replace("PORT", str(self.port)) for argument in command]
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", *arguments],
            env=os.environ
            | {
                "PORT": str(self.port),
                "MQTT_BROKER_URL": broker.host,
                "MQTT_BROKER_PORT": str(broker.port),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        wait_until(self._answers, 60, "the example serves")

    def _read(self) -> None:
        assert self._process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self._process.stdout)

    def _answers(self) -> bool:
        assert self._process.poll() is None, "\n".join(self.lines)
        try:
            self.request("/")
        except OSError:
            return False
        return True

    def request(self, path: str, body: object = None, method: str = "GET") -> tuple[int, bytes]:
        """Send a request, with a body as JSON; return the status and the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def wait_for_line(self, text: str) -> None:
        """Wait until the example has printed a line with a text."""
        wait_until(lambda: any(text in line for line in self.lines), what=f"printed: {text}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it by a signal, and return its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(10)
        except subprocess.TimeoutExpired:
            # What it was doing then is among its lines.
            self._process.send_signal(signal.SIGABRT)
            self._process.wait()
            self._reader.join()
            pytest.fail(f"it goes on after signal {number}:\n" + "\n".join(self.lines))
        finally:
            self._reader.join()
            assert self._process.stdout is not None
            self._process.stdout.close()


@contextlib.contextmanager
def running(*command: str, broker: Mosquitto, **environment: str) -> Iterator[Example]:
    """Run an example for a while, connected to the broker."""
    example = Example(*command, broker=broker, **environment)
    try:
        yield example
    finally:
        example.stop()


@contextlib.contextmanager
def watching(
    broker: Mosquitto, topic_filter: str
) -> Iterator[tuple[Mqtt, list[tuple[str, bytes]]]]:
    """Subscribe with a client of the test's own; give it, and the messages that it gets."""
    mqtt = Mqtt()
    seen: list[tuple[str, bytes]] = []
    subscribed = threading.Event()

    @mqtt.on_message()
    def keep(client: object, userdata: object, message: Any) -> None:
        seen.append((message.topic, message.payload))

    @mqtt.on_subscribe()
    def note(client: object, userdata: object, mid: int, granted: object) -> None:
        subscribed.set()

    mqtt.init_app(make_app(broker.port))
    with mqtt:
        mqtt.subscribe(topic_filter, 1)
        assert subscribed.wait(20)
        yield mqtt, seen
