"""Tests of the dashboard, against a broker of their own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from models import latest
from sensors import Reading, Record, mqtt

from dashboard import create_app
from flask_mqtt import Client, MQTTMessage

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


def eventually(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not become true in time"
        time.sleep(0.01)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def broker() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    with subprocess.Popen([MOSQUITTO, "-p", str(port)]) as mosquitto:
        eventually(lambda: accepts(port))
        yield port
        mosquitto.terminate()


@pytest.fixture
def app(broker: int, tmp_path: Path) -> Iterator[Flask]:
    app = create_app(
        TESTING=True,
        MQTT_BROKER_URL="127.0.0.1",
        MQTT_BROKER_PORT=broker,
        MQTT_CLEAN_SESSION=True,
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/test.db",
    )
    with mqtt:
        eventually(lambda: mqtt.connected)
        yield app


@pytest.fixture
def page(app: Flask) -> FlaskClient:
    return app.test_client()


def listen(topic: str) -> list[tuple[str, bytes]]:
    """Return a list that gets what is published on a topic."""
    heard: list[tuple[str, bytes]] = []

    @mqtt.on_topic(topic)
    def handle(client: Client, userdata: object, message: MQTTMessage) -> None:
        heard.append((message.topic, message.payload))

    mqtt.subscribe(topic, qos=1)
    return heard


def send(reading: object, room: str = "hall", sensor: int = 1) -> None:
    topic = mqtt.topic_for("save", room=room, sensor=sensor)
    mqtt.publish(topic, reading, qos=1).wait_for_publish(5)


def test_a_reading_is_shown(page: FlaskClient) -> None:
    assert "No sensor has sent anything yet." in page.get("/").text
    send(Reading(celsius=21.5))
    eventually(lambda: "21.5 °C" in page.get("/").text)
    send({"celsius": 3}, room="cellar", sensor=2)
    eventually(lambda: "cellar 2" in page.get("/").text)
    assert "hall 1" in page.get("/").text


def test_a_history_is_stored(page: FlaskClient, app: Flask) -> None:
    for second in range(60):
        record = Record(
            "attic", 3, second / 2, datetime(2026, 1, 31, 12, 0, second, tzinfo=timezone.utc)
        )
        mqtt.publish("history", record, qos=1)
    with app.app_context():
        eventually(lambda: len(latest("attic", 3)) == 60)
        assert latest("attic", 3)[-1].at.second == 59
    assert "29.5 °C" in page.get("/").text


def test_what_is_no_reading_is_kept_apart(page: FlaskClient) -> None:
    errors = listen("errors/#")
    send({"celsius": "warm"})
    send({"celsius": 19.0})
    eventually(lambda: "19.0 °C" in page.get("/").text)
    eventually(lambda: errors == [("errors/sensors/hall/1/reading", b'{"celsius": "warm"}')])


def test_a_sensor_is_told_how_often_to_measure(page: FlaskClient) -> None:
    told = listen("sensors/hall/1/interval")
    assert page.post("/sensors/hall/1/interval", data={"seconds": "0.2"}).status_code == 302
    eventually(lambda: told == [("sensors/hall/1/interval", b'{"seconds": 0.2}')])
