"""docs/asyncapi.md: its application, and what it shows of the document."""

from __future__ import annotations

import json
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.cli import mqtt as group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker

PAGE = (Path(__file__).parents[2] / "docs" / "asyncapi.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def module(scripted: ScriptedBroker) -> Iterator[Any]:
    """The page's application."""
    address = f"app.config.update(MQTT_BROKER_URL='127.0.0.1', MQTT_BROKER_PORT={scripted.port})"
    made: Any = types.ModuleType("snippet")
    sys.modules["snippet"] = made
    code = "\n".join(blocks("python"))
    try:
        exec(code.replace("mqtt = Mqtt(app)", f"{address}\nmqtt = Mqtt(app)"), vars(made))
        with made.mqtt:
            yield made
    finally:
        del sys.modules["snippet"]


def test_the_document_has_what_is_shown(module: Any) -> None:
    [shown] = map(json.loads, blocks("json"))
    made = module.app.test_client().get("/asyncapi.json").json
    for part, entries in shown.items():
        for name, entry in entries.items():
            assert made[part][name].items() >= entry.items()


def test_the_command_writes_it(
    module: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [command] = re.findall(r"^\$ flask --app app (.+)$", PAGE, re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    arguments = [one.strip('"') for one in command.split(" ")]
    result = module.app.test_cli_runner().invoke(group, arguments[1:])
    assert result.exit_code == 0, result.output
    made = json.loads((tmp_path / "asyncapi.json").read_text())
    assert made["info"] == {"title": "Sensors", "version": "2.1.0"}
    assert "send_sensors_id_state" in made["operations"]
