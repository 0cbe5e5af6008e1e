"""The demo, run as a process of its own against a real broker, over HTTP and in a browser."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.packets import MQTT311
from support.ports import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
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
        wait_until(lambda: any(text in line for line in self.lines), 10, f"printed: {text}")

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


def publish_from_outside(broker: Mosquitto, topic: str, payload: bytes) -> None:
    """Publish what the page cannot: bytes that are no text."""
    with socket.create_connection((broker.host, broker.port), timeout=5) as connection:
        connection.sendall(MQTT311.connect(""))
        assert connection.recv(4) == MQTT311.connack()
        connection.sendall(MQTT311.publish(topic, payload))
        connection.sendall(MQTT311.disconnect())
        assert connection.recv(1) == b""


def is_connected(state: Any) -> bool:
    return bool(state["connected"])


@contextlib.contextmanager
def running_demo(broker_port: int = 0, settings: dict[str, str] | None = None) -> Iterator[Demo]:
    usual = {"MQTT_BROKER_URL": "127.0.0.1", "MQTT_BROKER_PORT": str(broker_port)}
    demo = Demo(usual if settings is None else settings)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.stop()


@pytest.fixture(scope="module")
def demo(broker: Mosquitto) -> Iterator[Demo]:
    with running_demo(broker.port) as running, running.events() as events:
        find(events, "state", is_connected)
        # Its messages would come between those of the tests.
        running.post("device", {"running": False})
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


def test_the_page_begins_with_the_messages_of_a_device_that_can_be_switched_off_and_on(
    broker: Mosquitto,
) -> None:
    with running_demo(broker.port) as demo, demo.events() as events:
        assert find_message(events, "demo/temperature")["body"].endswith("°C")
        demo.post("device", {"running": False})
        find(events, "state", lambda state: not state["device"])
        demo.post("device", {"running": True})
        find(events, "state", lambda state: state["device"])
        assert find_message(events, "demo/temperature")


def test_a_broker_elsewhere_gets_no_message_that_nobody_asked_for() -> None:
    # An address that is kept for documentation: nobody answers there.
    with (
        running_demo(settings={"MQTT_BROKER_URL": "192.0.2.1"}) as demo,
        demo.events() as events,
    ):
        assert find(events, "state")["device"] is False


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_that_the_client_is_done_with_is_confirmed(demo: Demo, qos: int) -> None:
    with demo.events() as events:
        find(events, "state", is_connected)
        answer = demo.post("publish", {"topic": "page/confirmed", "payload": "", "qos": qos})
        assert answer["ok"]
        assert find(events, "confirmed", lambda mids: answer["mid"] in mids)


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
        kept = demo.post("publish", {"topic": "demo/kept", "payload": "safe", "qos": 1})
        # Nothing is lost, so it is no error.
        assert (kept["ok"], kept["waits"]) == (True, True)
        assert "is kept" in kept["note"]
        broker.start()
        find(events, "state", is_connected)
        find(events, "confirmed", lambda mids: kept["mid"] in mids)
        demo.wait_for_line("Connected again: ")


def test_what_is_unsubscribed_from_without_a_connection_is_gone_with_the_next_one(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo, demo.events() as events:
        find(events, "state", is_connected)
        broker.stop()
        find(events, "state", lambda state: not state["connected"])
        answer = demo.post("unsubscribe", {"topic": "demo/#"})
        assert answer["ok"]
        assert "The next one is without the subscription" in answer["note"]
        assert find(events, "state")["topics"] == []
        broker.start()
        assert find(events, "state", is_connected)["topics"] == []


@pytest.mark.parametrize(
    "settings",
    [
        {"MQTT_BROKER_URL": "mqtt://localhost:{port}"},
        {"MQTT_BROKER_URL": "mqtt://127.0.0.1:{port}"},
        {"MQTT_BROKER_URL": "localhost", "MQTT_BROKER_PORT": "{port}"},
        {"MQTT_BROKER_PORT": "{port}"},
    ],
    ids=str,
)
def test_the_broker_that_the_environment_names_is_used_and_shown(
    broker: Mosquitto, settings: dict[str, str]
) -> None:
    named = {key: value.format(port=broker.port) for key, value in settings.items()}
    with running_demo(settings=named) as demo, demo.events() as events:
        assert f":{broker.port}" in demo.greeting
        assert "embedded" not in demo.greeting
        assert str(find(events, "state", is_connected)["broker"]).endswith(f":{broker.port}")


def test_the_demo_takes_every_key_from_the_environment(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    settings = {
        "MQTT_BROKER_URL": f"wss://localhost:{tls_broker.listeners['mutual_wss'].port}",
        "MQTT_TLS_CA_CERTS": str(certificates.ca),
        "MQTT_TLS_CERTFILE": str(certificates.client_combined),
    }
    with running_demo(settings=settings) as demo, demo.events() as events:
        find(events, "state", is_connected)


def test_without_a_broker_the_demo_brings_one_and_ends_promptly_on_ctrl_c() -> None:
    url = f"mqtt://localhost:{free_port()}"
    with running_demo(settings={"MQTT_BROKER_URL": url}) as demo, demo.events() as events:
        assert "embedded" in demo.greeting
        find(events, "state", is_connected)
        demo.post("publish", {"topic": "demo/hello", "payload": "hello"})
        assert find_message(events, "demo/hello")["body"] == "hello"
        began = time.monotonic()
        assert demo.stop() == 0
        assert time.monotonic() - began < 3


def ended(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a demo that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "demo", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "examples"), **settings},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_a_port_that_is_taken_is_named(broker: Mosquitto) -> None:
    done = ended(PORT=str(broker.port), MQTT_BROKER_PORT=str(broker.port))
    assert done.returncode == 1
    assert f"error: port {broker.port} is taken" in done.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"MQTT_BROKER_URL": "localhost:1884"}, "MQTT_BROKER_PORT"),
        ({"MQTT_BROKER_URL": "http://localhost"}, "MQTT_BROKER_URL"),
        ({"MQTT_BROKER_PORT": "many"}, "MQTT_BROKER_PORT"),
        ({"MQTT_BROKER_PORT": "0"}, "MQTT_BROKER_PORT"),
    ],
)
def test_a_broker_that_makes_no_sense_is_refused_in_one_line(
    settings: dict[str, str], said: str
) -> None:
    done = ended(**settings)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [["./scripts/demo"], [sys.executable, "-m", "demo"]])
def test_help_is_printed_and_nothing_started(command: list[str]) -> None:
    done = subprocess.run(
        [*command, "--help"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "examples")},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "MQTT_BROKER_URL" in done.stdout
    assert "Page" not in done.stdout
    assert done.stderr == ""


def test_an_argument_that_there_is_not_is_refused() -> None:
    assert "unrecognized arguments: --port" in ended("--port", "5001").stderr


# --- colours ---------------------------------------------------------------------------------

CSS = (ROOT / "examples" / "demo" / "static" / "demo.css").read_text()
#: Light, and dark over it.
THEMES = [
    dict(re.findall(r"--(\w[\w-]*): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
]


def luminance(colour: str) -> float:
    """Return the relative luminance of #rrggbb (WCAG 2.2)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("least", "front", "grounds"),
    [
        (4.5, "ink", ["page", "card", "accent-tint", "bad-tint"]),
        (4.5, "soft", ["page", "card"]),
        (4.5, "accent", ["accent-tint"]),
        (4.5, "accent-ink", ["accent"]),
        (4.5, "bad", ["card"]),
        # Borders of what can be used, and marks that say something: 1.4.11.
        (3, "edge", ["page", "card"]),
        (3, "accent", ["page", "card"]),
        (3, "good", ["page"]),
        (3, "wait", ["page"]),
        (3, "bad", ["page"]),
    ],
)
def test_what_is_shown_stands_out(theme: int, least: float, front: str, grounds: list[str]) -> None:
    colours = THEMES[0] | THEMES[theme]
    for ground in grounds:
        assert contrast(colours[front], colours[ground]) >= least, (front, ground)


@pytest.mark.parametrize(
    "selector", ["input:not([type]), textarea, select", "button.quiet, button.on"]
)
def test_what_can_be_used_has_a_border_that_stands_out(selector: str) -> None:
    [rule] = re.findall(re.escape(selector) + r" \{(.*?)\}", CSS, re.DOTALL)
    assert "var(--edge)" in rule


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


def test_the_page_confirms_what_was_published_and_forgets_what_waited(
    browser: Any, broker_factory: Callable[..., Mosquitto]
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo:
        browser.get(demo.url)
        status = browser.find_element("id", "status-text")
        answer = browser.find_element("css selector", "#publish-form .answer")
        wait_until(lambda: status.text == "Connected", 10, "the page is connected")
        assert browser.find_element("id", "broker").text == f"127.0.0.1:{broker.port}"
        wait_until(lambda: browser.find_elements("css selector", "#messages li"), 10, "live data")
        qos = browser.find_element("css selector", "#publish-form [name=qos]")
        button = browser.find_element("css selector", "#publish-form button")
        button.click()
        wait_until(lambda: "demo/hello: sent" in answer.text, 10, "QoS 0 is sent")
        qos.send_keys("1")
        button.click()
        wait_until(lambda: "acknowledged by the broker" in answer.text, 10, "QoS 1")

        broker.stop()
        wait_until(lambda: status.text == "No connection", 10, "the page knows")
        button.click()
        wait_until(lambda: "is kept" in answer.text, 10, "the page says what becomes of it")
        assert "bad" not in answer.get_attribute("class").split()
        broker.start()
        wait_until(lambda: "acknowledged by the broker" in answer.text, 15, "sent afterwards")


def test_every_control_has_a_name_and_the_keyboard_keeps_its_place(
    browser: Any, demo: Demo
) -> None:
    browser.get(demo.url)
    status = browser.find_element("id", "status-text")
    wait_until(lambda: status.text == "Connected", 10, "the page is connected")
    controls = browser.find_elements("css selector", "input, textarea, select, button, ol")
    shown = [control for control in controls if control.is_displayed()]
    assert len(shown) > 10
    assert [c.get_attribute("outerHTML") for c in shown if not c.accessible_name] == []

    field = browser.find_element("css selector", "#subscribe-form [name=topic]")
    field.send_keys("page/keyboard\n")
    remove = "#topics [aria-label='Unsubscribe from page/keyboard']"
    wait_until(lambda: browser.find_elements("css selector", remove), 10, "subscribed")
    browser.find_element("css selector", remove).send_keys("\n")
    wait_until(lambda: not browser.find_elements("css selector", remove), 10, "unsubscribed")
    assert browser.switch_to.active_element == field
