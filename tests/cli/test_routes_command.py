"""``flask mqtt routes``."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MqttBlueprint
from flask_mqtt.cli import mqtt as group
from support.running import connected

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from support.scripted import ScriptedBroker


@dataclass
class Reading:
    value: float


def temperature(client: Any, message: Any, id: int, reading: Reading) -> None:  # noqa: A002
    """Take a reading."""


def names(client: Any, message: Any, name: str) -> None:
    """Take a name."""


def shown(app: Flask, *arguments: str) -> list[str]:
    result = app.test_cli_runner().invoke(group, ["routes", *arguments])
    assert result.exit_code == 0, result.output
    lines: list[str] = result.output.splitlines()
    return lines


@pytest.fixture
def routed(app: Flask) -> Any:
    with connected(app) as mqtt:
        mqtt.topic("sensors/<int(min=1):id>", qos=2)(temperature)
        blueprint = MqttBlueprint("home", prefix="home")
        blueprint.topic("<name>", share="g", name="who")(names)
        blueprint.on_topic("log/#")(print_log)
        blueprint.batch("<name>/many", qos=1)(many)
        mqtt.register_blueprint(blueprint)
        yield app


def many(client: Any, readings: list[Reading]) -> None:
    """Take some readings."""


def print_log(client: Any, userdata: Any, message: Any) -> None:
    """Print nothing."""


# As if they were in a module with a short name.
for _handler in (temperature, names, many, print_log):
    _handler.__module__ = "shown"

TABLE = """\
Topic                    QoS  Converters      Payload        Handler            Name
-----------------------  ---  --------------  -------------  -----------------  -----------
$share/g/home/<name>     0    name: str                      shown.names        home.who
home/<name>/many         1    name: str       list[Reading]  shown.many         home.many
home/log/#                                                   shown.print_log
sensors/<int(min=1):id>  2    id: int(min=1)  Reading        shown.temperature  temperature
"""


def test_the_table(routed: Flask) -> None:
    assert shown(routed) == TABLE.splitlines()


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("name", [2, 1, 0, 3]),
        ("qos", [2, 0, 1, 3]),
        ("handler", [1, 0, 2, 3]),
        ("registration", [3, 0, 2, 1]),
    ],
)
def test_the_order(routed: Flask, sort: str, order: list[int]) -> None:
    rows = TABLE.splitlines()[2:]
    assert shown(routed, "--sort", sort)[2:] == [rows[place] for place in order]


def test_several_extensions(scripted: ScriptedBroker, routed: Flask) -> None:
    routed.config["OTHER_BROKER_URL"] = "127.0.0.1"
    routed.config["OTHER_BROKER_PORT"] = scripted.port
    with Mqtt(routed, config_prefix="OTHER") as other:
        other.topic("a")(lambda *_: None)
        headers, _, *rows = shown(routed)
    assert headers.split()[-1] == "Keys"
    assert [row.split()[-1] for row in rows] == ["MQTT", "OTHER", "MQTT", "MQTT", "MQTT"]


def test_no_routes(app: Flask) -> None:
    assert shown(app) == ["No routes were registered."]
    with connected(app):
        assert shown(app) == ["No routes were registered."]


APPLICATION = """\
from flask import Flask
from flask_mqtt import Mqtt

app = Flask(__name__)
app.config.update(MQTT_BROKER_URL="127.0.0.1", MQTT_BROKER_PORT={port})
mqtt = Mqtt(app)


@mqtt.topic("a/<int:x>", qos=1)
def numbers(client, message, x):
    pass
"""


@pytest.mark.slow
def test_flask_has_the_command_without_a_line_of_code(
    scripted: ScriptedBroker, tmp_path: Path
) -> None:
    (tmp_path / "application.py").write_text(APPLICATION.format(port=scripted.port))
    command = [sys.executable, "-m", "flask", "--app", "application", "mqtt", "routes"]
    result = subprocess.run(
        [*command, "-s", "name"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[2:] == [
        "a/<int:x>  1    x: int               application.numbers  numbers"
    ]
