"""The snippets of docs/routes.md, run as they stand there."""

from __future__ import annotations

import contextlib
import inspect
import logging
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from flask import render_template_string

from flask_mqtt import BuildError, Mqtt
from flask_mqtt.cli import mqtt as group
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "routes.md").read_text()
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.split("\n## ")}
FIRST = next(iter(SECTIONS))


def snippets(section: str, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, SECTIONS[section], re.MULTILINE | re.DOTALL)


@contextlib.contextmanager
def running(section: str, broker: ScriptedBroker) -> Iterator[Any]:
    """Run the snippet of a section as the module `app`, with its application's broker."""
    [code] = snippets(section, "python")
    address = f"app.config.update(MQTT_BROKER_URL='{broker.host}', MQTT_BROKER_PORT={broker.port})"
    module: Any = types.ModuleType("app")
    sys.modules["app"] = module
    try:
        exec(code.replace("mqtt = Mqtt(app)", f"{address}\nmqtt = Mqtt(app)"), vars(module))
        module.app.logger.setLevel("INFO")
        with module.mqtt:
            wait_until(lambda: module.mqtt.connected)
            yield module
    finally:
        del sys.modules["app"]


def after(broker: ScriptedBroker, topic: str, payload: bytes) -> None:
    """Have a message handled."""
    before = len(broker.of("PUBACK"))
    broker.publish(topic, payload, qos=1)
    wait_until(lambda: len(broker.of("PUBACK")) > before)


def test_every_snippet_is_run() -> None:
    """By a test below, for each section that has one."""
    assert [name for name in SECTIONS if snippets(name, "python")] == [
        FIRST,
        "Rules",
        "Handlers are checked",
        "Topics of routes",
        "Blueprints",
    ]


def test_the_first_routes_and_the_picture(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with running(FIRST, scripted):
        after(scripted, "sensors/7/temperature", b"21")
        after(scripted, "sensors/roof/state", b"on")
        after(scripted, "logs/hall/door", b"open")
        after(scripted, "sensors/roof/temperature", b"21")
        expected = ["sensor 7: 21", "roof is on", "hall/door says open"]
        assert [text for text in caplog.messages if text in expected] == expected
        assert len([record for record in caplog.records if record.name == "app"]) == 3


def test_the_picture_is_well_formed_and_has_the_topics() -> None:
    picture = ET.parse(ROOT / "docs" / "_static" / "routes.svg").getroot()
    texts = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"sensors/7/temperature", "sensors/roof/state", "logs/hall/door"} < set(texts)


def test_a_converter(scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    with running("Rules", scripted) as module:
        after(scripted, "rooms/B12/door", b"open")
        after(scripted, "rooms/12/door", b"open")
        assert [t for t in caplog.messages if "the door" in t] == ["the door of B12 is open"]
        assert module.mqtt.stats()["routes"]["not_converted"] == 1


def test_the_table_of_converters_is_that_of_the_package() -> None:
    rows = re.findall(r"^\| `(\w+)`", SECTIONS["Rules"], re.MULTILINE)
    # Flask's names for a text are `default` and `string`.
    assert {*rows, "default", "string"} == set(_converters())


def test_the_table_of_options_is_that_of_the_package() -> None:
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", SECTIONS["Options"], re.MULTILINE)
    options = set(inspect.signature(Mqtt.topic).parameters) - {"self", "rule"}
    assert {name.strip("`") for row in rows for name in row.split(", ")} == options


def _converters() -> dict[str, Any]:
    return dict(Mqtt().converters)


def test_the_error_is_as_shown() -> None:
    [code] = snippets("Handlers are checked", "python")
    [shown] = snippets("Handlers are checked", "text")
    with pytest.raises(TypeError) as caught:
        exec(code, {"__name__": "app"})
    assert f"TypeError: {caught.value}" == shown.strip()


def test_topics_of_routes(scripted: ScriptedBroker) -> None:
    with running("Topics of routes", scripted) as module:
        assert module.app.test_client().get("/lamps/hall/on").status_code == 204
        packet = scripted.wait_for("PUBLISH")
        assert (packet.topic, packet.payload) == ("lamps/hall/1/set", b"on")
        with module.app.app_context():
            template = "{{ topic_for('lamp', room='hall', number=2) }}"
            assert render_template_string(template) == "lamps/hall/2/set"
        for room in ("a/b", "+", "#", "\0"):
            with pytest.raises(BuildError):
                module.mqtt.topic_for("lamp", room=room, number=1)


def test_a_blueprint(scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    with running("Blueprints", scripted) as module:
        after(scripted, "sites/roof/sensors/7/temperature", b"21")
        after(scripted, "sites/yard/sensors/8/temperature", b"21")
        with caplog.at_level(logging.WARNING):
            after(scripted, "sites/roof/sensors/9/temperature", b"")
        assert module.sensors_seen == [("roof", 7)]
        assert "sites/roof/sensors/9/temperature: no payload" in caplog.messages
        [call] = re.findall(r"`(mqtt\.topic_for\(\"sensors.*?\))`", SECTIONS["Blueprints"])
        assert eval(call, vars(module)) == "sites/roof/sensors/7/temperature"


def test_the_table_is_as_shown(scripted: ScriptedBroker) -> None:
    [shown] = snippets("The table of routes", "console")
    with running(FIRST, scripted) as module:
        result = module.app.test_cli_runner().invoke(group, ["routes"])
    assert result.output == shown.removeprefix("$ flask mqtt routes\n")
