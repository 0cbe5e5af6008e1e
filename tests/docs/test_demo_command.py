"""The demo's command: what it takes from the environment, and how it ends and refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from support.demo import ROOT, find, find_message, is_connected, running_demo
from support.ports import free_port

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow


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
        assert time.monotonic() - began < 5


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
