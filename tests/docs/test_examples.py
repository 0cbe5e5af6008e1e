"""The examples, run as their first lines say, against a real broker and over HTTP."""

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
from support.apps import make_app
from support.ports import free_port
from support.socketio_client import handle_in_order
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
MODES = ["threading", "eventlet", "gevent"]


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
        wait_until(self._answers, 20, "the example serves")

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
        wait_until(lambda: any(text in line for line in self.lines), 10, f"printed: {text}")

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
        assert subscribed.wait(5)
        yield mqtt, seen


@pytest.mark.smoke
def test_the_quickstart_publishes_from_its_view_and_shows_what_arrives(broker: Mosquitto) -> None:
    command = str(EXAMPLES / "quickstart.py")
    with running(command, broker=broker) as example, watching(broker, "quickstart/#") as (_, seen):

        def said() -> bool:
            assert example.request("/say/hello", method="POST")[0] == 200
            return any("quickstart/said hello" in line for line in example.lines)

        wait_until(said, 10, "the message came back")
    assert seen[0] == ("quickstart/said", b"hello")


def test_an_example_takes_every_key_from_the_environment(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    environment = {
        "MQTT_BROKER_URL": "wss://localhost",
        "MQTT_BROKER_PORT": str(tls_broker.listeners["mutual_wss"].port),
        "MQTT_TLS_CA_CERTS": str(certificates.ca),
        "MQTT_TLS_CERTFILE": str(certificates.client_combined),
    }
    with running(str(EXAMPLES / "quickstart.py"), broker=tls_broker, **environment) as example:

        def said() -> bool:
            example.request("/say/secretly", method="POST")
            return any("quickstart/said secretly" in line for line in example.lines)

        wait_until(said, 10, "the message came back")


def test_the_view_that_asks_returns_what_the_device_answers(broker: Mosquitto) -> None:
    with running(str(EXAMPLES / "ask.py"), broker=broker) as example:
        wait_until(lambda: example.request("/ask/clock")[0] == 200, 10, "the clock answers")
        assert b":" in example.request("/ask/clock")[1]
        assert example.request("/ask/nobody")[0] == 504


def test_the_quickstart_ends_promptly_on_ctrl_c(broker: Mosquitto) -> None:
    example = Example(str(EXAMPLES / "quickstart.py"), broker=broker)
    assert example.stop(signal.SIGINT) == 0
    assert not any("Traceback" in line for line in example.lines)


def test_the_factory_forwards_sensors_from_one_broker_to_the_other(
    broker: Mosquitto, broker_factory: Callable[..., Mosquitto]
) -> None:
    other = broker_factory()
    command = ["-m", "flask", "--app", str(EXAMPLES / "factory.py"), "run", "--port", "PORT"]
    second = {"MQTT2_BROKER_URL": other.host, "MQTT2_BROKER_PORT": str(other.port)}
    with (
        running(*command, broker=broker, **second) as example,
        watching(other, "site-1/#") as (_, seen),
        watching(broker, "unused") as (sensor, _),
    ):
        wait_until(
            lambda: json.loads(example.request("/")[1]) == {"home": True, "cloud": True},
            10,
            "both brokers are connected",
        )
        # Retained, so that it arrives also where the example subscribes later.
        sensor.publish("sensors/attic", "21.5", qos=1, retain=True)
        assert wait_until(lambda: seen, 10, "forwarded")[0] == ("site-1/sensors/attic", b"21.5")
        sensor.publish("sensors/attic", None, qos=1, retain=True)
        wait_until(lambda: len(seen) == 2, 10, "the empty message too")


def test_the_publish_api_sends_what_is_posted_and_prints_what_arrives(broker: Mosquitto) -> None:
    command = str(EXAMPLES / "publish_api.py")
    with running(command, broker=broker) as example, watching(broker, "lamp/#") as (mqtt, seen):
        body = {"topic": "lamp/set", "payload": "on", "qos": 1}
        status, answer = example.request("/publish", body, "POST")
        assert (status, json.loads(answer)["rc"]) == (200, 0)
        assert wait_until(lambda: seen, 10, "arrived at the broker") == [("lamp/set", b"on")]
        mqtt.publish("lamp/state", "bright", retain=True)
        example.wait_for_line("lamp/state: bright")
        mqtt.publish("lamp/state", None, qos=1, retain=True)
        wait_until(lambda: len(seen) == 3, 10, "the retained message is gone")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"topic": "lamp/#", "payload": "on"}, "wildcard"),
        ({"topic": "lamp", "payload": {"a": 1}}, "payload must be"),
        ({"topic": "lamp"}, "payload"),
        ({"topic": "lamp", "payload": "on", "qos": 3}, "QoS"),
    ],
)
def test_the_publish_api_says_why_it_refuses(
    publish_api: Example, body: object, reason: str
) -> None:
    status, answer = publish_api.request("/publish", body, "POST")
    assert status == 400
    assert reason in json.loads(answer)["error"]


@pytest.fixture(scope="module")
def publish_api(broker: Mosquitto) -> Iterator[Example]:
    with running(str(EXAMPLES / "publish_api.py"), broker=broker) as example:
        yield example


@pytest.mark.parametrize("mode", MODES)
def test_the_socketio_client_hands_300_messages_to_the_browser_in_order(
    broker: Mosquitto, mode: str
) -> None:
    socketio = pytest.importorskip("socketio")
    if mode != "threading":
        pytest.importorskip(mode)
    command = str(EXAMPLES / "socketio_client" / "app.py")
    topic = f"socketio/{mode}"
    with (
        running(command, broker=broker, SOCKETIO_MODE=mode) as example,
        watching(broker, "unused") as (device, _),
    ):
        page = example.request("/")[1].decode()
        assert "static/socket.io.min.js" in page
        assert example.request("/static/socket.io.min.js")[0] == 200
        browser = socketio.Client()
        handle_in_order(browser)
        got: list[dict[str, str]] = []
        browser.on("message", got.append)
        browser.connect(example.url)
        try:
            # A call waits until the server has handled it.
            browser.call("subscribe", {"topic": topic})
            browser.call("publish", {"topic": topic, "payload": "0"})
            wait_until(lambda: got, 10, "the first message")
            for number in range(1, 300):
                device.publish(topic, str(number))
            wait_until(lambda: len(got) >= 300, 20, "300 messages")
            assert got == [{"topic": topic, "payload": str(number)} for number in range(300)]
            browser.call("unsubscribe_all")
            browser.call("publish", {"topic": topic, "payload": "nobody hears this"})
            browser.call("subscribe", {"topic": f"{topic}/end"})
            browser.call("publish", {"topic": f"{topic}/end", "payload": "end"})
            wait_until(lambda: len(got) > 300, 10, "the last message")
            assert got[300]["payload"] == "end"
        finally:
            browser.disconnect()
