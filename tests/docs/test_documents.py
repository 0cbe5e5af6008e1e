"""The code in the README and in docs/."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from flask import Flask

from flask_mqtt import Mqtt
from flask_mqtt.config import read
from support.apps import make_app
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

ROOT = Path(__file__).parents[2]
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONFIGURATION_LINE = re.compile(r"\| `(MQTT_\w+) = (.+)` \|")
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.stem)
def test_the_code_of_the_documentation_compiles(page: Path) -> None:
    for code in PYTHON_BLOCK.findall(page.read_text()):
        compile(code, page.name, "exec")


def test_each_way_to_a_broker_in_the_readme_is_read(caplog: pytest.LogCaptureFixture) -> None:
    lines = CONFIGURATION_LINE.findall((ROOT / "README.md").read_text())
    assert len(lines) == 8
    for key, value in lines:
        read({key: ast.literal_eval(value)}, "MQTT").connect_options()
    assert caplog.records == []


@pytest.mark.parametrize(
    "code", PYTHON_BLOCK.findall((ROOT / "docs" / "connecting.md").read_text())
)
def test_the_recipes_for_reaching_a_broker_are_configurations(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", "secret")
    monkeypatch.setenv("PROXY_PASSWORD", "p@ss:/")
    app = Flask("recipe")
    app.config["MQTT_BROKER_URL"] = "wss://www.example.com"
    exec(code, {"app": app, "os": os, "quote": quote, "fetch_token": lambda: "token"})
    brokers = read(app.config, "MQTT").connect_options().brokers
    hosts = ("example.com", ".lan", ".sock")
    assert all(broker.host.endswith(hosts) for broker in brokers)


def test_the_links_of_the_readme_lead_to_files() -> None:
    links = LINK.findall((ROOT / "README.md").read_text())
    assert "docs/usage.md" in links
    assert [link for link in links if not (ROOT / link).is_file()] == []


@pytest.mark.smoke
def test_the_example_of_the_readme_works_as_printed(broker: Mosquitto) -> None:
    [code] = PYTHON_BLOCK.findall((ROOT / "README.md").read_text())
    address = f"app.config.update(MQTT_BROKER_URL='{broker.host}', MQTT_BROKER_PORT={broker.port})"
    names: dict[str, Any] = {"__name__": "readme"}
    exec(code.replace("mqtt = Mqtt(app)", f"{address}\nmqtt = Mqtt(app)"), names)
    # Not `capsys`, which may lose what a thread prints while it is read.
    with contextlib.redirect_stdout(io.StringIO()) as printed, names["mqtt"] as mqtt:
        wait_until(lambda: "home/#" in mqtt.topics)
        assert names["app"].test_client().post("/lamp/on").json == {"rc": 0}
        wait_until(lambda: "home/lamp on" in printed.getvalue())


def test_a_script_that_waits_knows_that_its_message_arrived(scripted: ScriptedBroker) -> None:
    with Mqtt(make_app(scripted.port)) as mqtt:
        mqtt.publish("documents/script", "on", qos=1).wait_for_publish(20)
        assert scripted.of("PUBLISH")[0].payload == b"on"
    scripted.wait_for("DISCONNECT")
