"""The demo, run as a process of its own against a real broker, over HTTP and in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support import codec
from support.server import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

ROOT = Path(__file__).parent.parent
HOSTILE = '<img src=x onerror="document.title = 1"><script>document.title = 2</script>'


class Demo:
    """A running demo."""

    def __init__(self, broker_port: int) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        environment = os.environ | {
            "PYTHONPATH": str(ROOT / "examples"),
            "PORT": str(self.port),
            "MQTT_BROKER_URL": "127.0.0.1",
            "MQTT_BROKER_PORT": str(broker_port),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "demo"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.greeting = self._read_greeting()

    def _read_greeting(self) -> str:
        assert self.process.stdout is not None
        lines: list[str] = []
        for line in self.process.stdout:
            lines.append(line)
            if line.startswith("Page"):
                return "".join(lines)
        raise AssertionError("the demo ended: " + "".join(lines))

    def stop(self, number: int = signal.SIGINT) -> int:
        """End the demo by a signal and return its exit code."""
        self.process.send_signal(number)
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode

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
    return next(message for message in batch if message["topic"] == topic)


def publish_from_outside(broker: Mosquitto, topic: str, payload: bytes) -> None:
    """Publish what the page cannot: bytes that are no text."""
    with socket.create_connection((broker.host, broker.port), timeout=5) as connection:
        hello = codec.text("MQTT") + bytes([4, 2, 0, 60]) + codec.text("")
        connection.sendall(codec.frame("CONNECT", hello))
        assert connection.recv(4) == codec.connack()
        connection.sendall(codec.publish(topic, payload))
        connection.sendall(codec.frame("DISCONNECT"))
        assert connection.recv(1) == b""


def is_connected(state: Any) -> bool:
    return bool(state["connected"])


@contextlib.contextmanager
def running_demo(broker_port: int) -> Iterator[Demo]:
    demo = Demo(broker_port)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop()


@pytest.fixture(scope="module")
def demo(broker: Mosquitto) -> Iterator[Demo]:
    with running_demo(broker.port) as running, running.events() as events:
        find(events, "state", is_connected)
        yield running


@pytest.mark.smoke
def test_a_published_message_arrives_in_the_stream(demo: Demo) -> None:
    with demo.events() as events:
        assert demo.post("subscribe", {"topic": "page/+/in", "qos": 1}) == {"ok": True, "note": ""}
        find(events, "state", lambda state: {"topic": "page/+/in", "qos": 1} in state["topics"])
        demo.post("publish", {"topic": "page/a/in", "payload": HOSTILE, "qos": 1})
        message = find_message(events, "page/a/in")
    assert message["body"] == HOSTILE
    assert (message["encoding"], message["qos"], message["retain"]) == ("text", 1, False)


def test_nothing_arrives_after_unsubscribing(demo: Demo) -> None:
    with demo.events() as events:
        demo.post("subscribe", {"topic": "page/gone"})
        demo.post("publish", {"topic": "page/gone", "payload": "first"})
        find_message(events, "page/gone")
        demo.post("unsubscribe", {"topic": "page/gone"})
        demo.post("publish", {"topic": "page/gone", "payload": "second"})
        # Messages of one client keep their order, so this one would come after "second".
        demo.post("publish", {"topic": "demo/after", "payload": ""})
        batch = find(events, "messages")
    assert [message["topic"] for message in batch] == ["demo/after"]


def test_a_payload_that_is_not_utf_8_is_shown_as_hexadecimal_digits(
    demo: Demo, broker: Mosquitto
) -> None:
    with demo.events() as events:
        find(events, "state", is_connected)
        publish_from_outside(broker, "demo/binary", b"\x00\xff\xfe")
        message = find_message(events, "demo/binary")
    assert (message["body"], message["encoding"], message["size"]) == ("00 ff fe", "hex", 3)


@pytest.mark.parametrize(
    ("action", "body", "reason"),
    [
        ("subscribe", {"topic": "a/#/b"}, "filter"),
        ("subscribe", {"topic": "a", "qos": 3}, "QoS"),
        ("publish", {"topic": "a/#", "payload": ""}, "wildcard"),
        ("publish", {"topic": "a", "payload": 5}, "payload must be a text"),
        ("publish", ["a"], "a JSON object is expected"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    demo: Demo, action: str, body: object, reason: str
) -> None:
    answer = demo.post(action, body)
    assert answer["ok"] is False
    assert reason.lower() in answer["note"].lower()


def test_the_example_device_publishes_until_it_is_switched_off(demo: Demo) -> None:
    with demo.events() as events:
        demo.post("device", {"running": True})
        assert find_message(events, "demo/temperature")["body"].endswith("°C")
        demo.post("device", {"running": False})
        assert find(events, "state", lambda state: not state["device"])


def test_a_browser_that_reads_too_slowly_loses_the_oldest_messages_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    from demo import hub

    feed = hub.Hub()
    stream = feed.stream({"connected": True})
    assert next(stream).startswith("event: state\n")
    for number in range(hub.QUEUE_LENGTH + 5):
        feed.add(hub.Message("t", str(number).encode(), 0, retain=False))
    bodies: list[str] = []
    dropped = 0
    while not dropped:
        name, data = next(stream).strip().split("\ndata: ")
        if name == "event: messages":
            bodies += [message["body"] for message in json.loads(data)]
        elif name == "event: beat":
            dropped = json.loads(data)["dropped"]
    feed.close()
    assert list(stream) == []
    assert dropped == 5
    assert bodies == [str(number) for number in range(5, hub.QUEUE_LENGTH + 5)]


def test_the_page_says_when_the_broker_goes_away_and_comes_back(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo, demo.events() as events:
        find(events, "state", is_connected)
        broker.stop()
        find(events, "state", lambda state: not state["connected"])
        answer = demo.post("publish", {"topic": "demo/lost", "payload": "", "qos": 0})
        assert not answer["ok"]
        assert "no connection" in answer["note"]
        broker.start()
        find(events, "state", is_connected)


def test_without_a_broker_the_demo_brings_one_and_ends_promptly_on_ctrl_c() -> None:
    with running_demo(free_port()) as demo, demo.events() as events:
        assert "embedded" in demo.greeting
        find(events, "state", is_connected)
        demo.post("publish", {"topic": "demo/hello", "payload": "hello"})
        assert find_message(events, "demo/hello")["body"] == "hello"
        began = time.monotonic()
        assert demo.stop() == 0
        assert time.monotonic() - began < 3


def test_a_port_that_is_taken_is_named(broker: Mosquitto) -> None:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT / "examples"),
        "PORT": str(broker.port),
        "MQTT_BROKER_PORT": str(broker.port),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert f"error: port {broker.port} is taken" in ended.stderr


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "no-first-run",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        f"user-data-dir={tmp_path}",
    ):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options, webdriver.ChromeService(chromedriver))
    try:
        yield driver
    finally:
        driver.quit()


def test_a_browser_shows_a_message_as_text_and_nothing_but_text(
    browser: Any, demo: Demo, broker: Mosquitto
) -> None:
    browser.get(demo.url)
    status = browser.find_element("id", "status-text")
    wait_until(lambda: status.text == "Connected", 10, "the page is connected")
    topic = browser.find_element("css selector", "#publish-form [name=topic]")
    topic.clear()
    topic.send_keys(f"demo/{HOSTILE.replace('#', '')}")
    payload = browser.find_element("css selector", "#publish-form [name=payload]")
    payload.clear()
    payload.send_keys(HOSTILE)
    browser.find_element("css selector", "#publish-form button").click()

    def shown() -> list[str]:
        rows = browser.find_elements("css selector", "#messages .payload")
        return [row.text for row in rows if row.text == HOSTILE]

    assert wait_until(shown, 10, "the message is on the page") == [HOSTILE]
    assert browser.title == "MQTT live"
    assert not browser.find_elements("css selector", "#messages img, #messages script")
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert errors == []
