"""Commands of ``flask``: which of them connect to the broker."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
import uuid
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.peer import Peer
from support.ports import free_port
from support.server import HOST
from support.server_process import ServerProcess
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

#: Longer than a command takes, in seconds.
PATIENCE = 40.0

APP = """\
import os

import click
from flask import Flask
from flask.cli import FlaskGroup
from flask_mqtt import Mqtt
from flask_multimqtt import MultiMQTT

mqtt = Mqtt()
multi = MultiMQTT()


def create_app():
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = app.config["MQTT_HOST"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = app.config["MQTT_PORT"] = int(os.environ["BROKER_PORT"])
    app.config["MQTT_CLIENT_ID"] = os.environ["CLIENT_ID"]
    app.config["MQTT_CLEAN_SESSION"] = False
    app.config["MQTT_LAST_WILL_TOPIC"] = os.environ["CLIENT_ID"] + "/will"
    app.config.from_prefixed_env()
    if "MULTI" in os.environ:
        multi.init_app(app)
        multi.connect()
    mqtt.init_app(app)
    mqtt.subscribe("a/topic", 1)
    mqtt.topic("rooms/<room>", qos=1)(handle)
    app.cli.add_command(nothing)
    app.cli.add_command(publish)
    app.cli.add_command(webhook)
    app.cli.add_command(listen)
    app.cli.add_command(visit)
    app.get("/")(lambda: str(mqtt.connected))
    return app


def handle(client, message, room):
    print("handled", message.payload.decode(), flush=True)
    client.disconnect()


@click.command()
def nothing():
    print("connected", mqtt.connected)


@click.command()
@click.argument("topic")
def publish(topic):
    for number in range(3):
        assert mqtt.publish(topic, str(number), qos=1)[0] == 0


@click.command()
@click.argument("topic")
def webhook(topic):
    with mqtt:
        mqtt.publish(topic, "sent", qos=1).wait_for_publish(20)


@click.command()
def listen():
    mqtt.on_connect()(lambda *_: mqtt.publish("rooms/kitchen", "it"))
    mqtt.client.loop_forever()


@click.command()
def visit():
    from flask import current_app
    print(current_app.test_client().get("/").text)


@click.group(cls=FlaskGroup, create_app=create_app)
def manage():
    pass


if __name__ == "__main__":
    manage()
"""

#: Another package's, which Flask finds by its entry point.
COMPANION = """\
import click
from flask.cli import with_appcontext


@click.group()
def db():
    pass


@db.command()
@with_appcontext
def upgrade():
    print("upgraded")
"""


class Project:
    """A directory with the application, and another package that has commands."""

    def __init__(self, directory: Path, broker: Mosquitto) -> None:
        self.client_id = f"command-{uuid.uuid4().hex}"
        self.log = BrokerLog(broker, self.client_id)
        self._directory = directory
        (directory / "app.py").write_text(APP)
        (directory / "companion.py").write_text(COMPANION)
        info = directory / "companion-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: companion\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[flask.commands]\ndb = companion:db\n")
        self.environment = os.environ | {
            "PYTHONPATH": str(directory),
            "PYTHONUNBUFFERED": "1",
            "TMPDIR": str(directory),
            "BROKER_PORT": str(broker.port),
            "CLIENT_ID": self.client_id,
        }

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "flask", "--app", str(self._directory / "app.py"), *arguments]

    def run(self, *arguments: str, given: str = "", **environment: str) -> str:
        """Run a command of ``flask``, and return what it has printed."""
        return self.run_program(*self.command(*arguments), given=given, **environment)

    def run_program(self, *words: str, given: str = "", **environment: str) -> str:
        result = subprocess.run(
            words,
            cwd=self._directory,
            env=self.environment | environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert "ERROR" not in result.stderr, result.stderr
        return result.stdout

    def connects(self) -> list[str]:
        return [name for _, name in self.log.connects()]


class Served(ServerProcess):
    """``flask run``, or something like it."""

    start_timeout = PATIENCE

    def __init__(self, directory: Path, project: Project, *words: str) -> None:
        super().__init__(directory)
        self.port = free_port()
        self._project = project
        self._words = [*words, "--port", str(self.port)]

    def _command(self) -> list[str]:
        return self._words

    def _environment(self) -> dict[str, str]:
        return self._project.environment

    def _accepts(self) -> bool:
        return self.page() is not None

    def page(self) -> str | None:
        """Return what the application answers, once it does."""
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/", timeout=5) as response:
                text: str = response.read().decode()
        except OSError:
            return None
        return text


@pytest.fixture
def project(tmp_path: Path, broker: Mosquitto) -> Project:
    return Project(tmp_path, broker)


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        (["--help"], "", "Commands:"),
        (["shell"], "from app import mqtt; print('is', mqtt.connected)", "is False"),
        (["routes"], "", "static"),
        (["mqtt", "routes"], "", "rooms/<room>"),
        (["mqtt", "asyncapi"], "", '"asyncapi"'),
        (["db", "upgrade"], "", "upgraded"),
        (["nothing"], "", "connected False"),
        (["visit"], "", "False"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_a_command_does_not_connect(
    project: Project, arguments: list[str], given: str, expected: str
) -> None:
    assert expected in project.run(*arguments, given=given)
    assert project.connects() == []


def test_a_command_does_not_connect_flask_multimqtt_either(project: Project) -> None:
    project.run("nothing", MULTI="1")
    assert project.connects() == []


def test_one_connects_if_the_configuration_says_so(project: Project) -> None:
    project.run("nothing", FLASK_MQTT_CONNECT_IN_CLI="true")
    assert project.connects() == [project.client_id]


@pytest.mark.parametrize("command", ["publish", "webhook"])
def test_a_command_that_publishes_connects(
    project: Project, broker: Mosquitto, command: str
) -> None:
    """Its messages arrive, and neither its will nor anything else."""
    sent = ["0", "1", "2"] if command == "publish" else ["sent"]
    topic = project.client_id
    with Peer(broker.port, topic, f"{topic}/will") as peer:
        project.run(command, topic)
        for payload in sent:
            assert peer.receive(PATIENCE).payload == payload.encode()
        assert peer.nothing_came_before(topic)
    assert len(project.connects()) == 1


def test_one_that_handles_messages_connects(project: Project) -> None:
    assert project.run("listen") == "handled it\n"
    assert project.connects() == [project.client_id]


def test_one_that_publishes_leaves_the_session_of_the_server_alone(
    project: Project, broker: Mosquitto
) -> None:
    topic = project.client_id
    # It has a session, in which a message waits.
    project.run("webhook", topic)
    assert project.connects() == [project.client_id]
    with Peer(broker.port) as peer:
        peer.publish("rooms/kitchen", b"waits", qos=1)
    project.run("publish", topic)
    assert project.connects()[1:] == [f"{project.client_id}-1"]
    assert project.run("listen", FLASK_MQTT_CONNECT_IN_CLI="true").startswith("handled waits")


@pytest.mark.parametrize(
    "words", [["flask", "--app", "app", "run"], ["app.py", "run"]], ids=["flask", "FlaskGroup"]
)
def test_flask_run_connects(project: Project, tmp_path: Path, words: list[str]) -> None:
    program = [sys.executable, "-m"] if words[0] == "flask" else [sys.executable]
    path = words if words[0] == "flask" else [str(tmp_path / "app.py"), *words[1:]]
    with Served(tmp_path / "served", project, *program, *path) as server:
        wait_until(lambda: server.page() == "True", PATIENCE, "the server is connected")
        assert project.connects() == [project.client_id]


def test_a_command_of_a_group_of_the_applications_does_not_connect(
    project: Project, tmp_path: Path
) -> None:
    program = [sys.executable, str(tmp_path / "app.py")]
    assert project.run_program(*program, "nothing") == "connected False\n"
    assert project.connects() == []
