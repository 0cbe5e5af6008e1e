"""Celery: the children of a worker publish, each on a connection of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow

TASKS = 30

APPLICATION = """\
import json, os, threading
from celery import Celery
from flask import Flask
from flask_mqtt import Mqtt

site = Flask("tasks")
site.config.update(
    MQTT_BROKER_URL="127.0.0.1", MQTT_BROKER_PORT=int(os.environ["PORT"]), MQTT_CLIENT_ID="site"
)
mqtt = Mqtt(site)
celery = Celery("tasks", broker="filesystem://")
folder = os.environ["FOLDER"]
celery.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder},
    worker_send_task_events=False,
)


@mqtt.on_connect()
def subscribe(*_):
    mqtt.subscribe("commands/#")


@celery.task
def send(number):
    rc = mqtt.publish("sent", str(number), number % 3).rc
    threads = [each.name for each in threading.enumerate() if each.name.startswith("mqtt-")]
    with open(os.path.join(folder, "..", "done"), "a") as file:
        file.write(json.dumps([number, rc, threads]) + "\\n")
"""


def test_tasks_publish(scripted: ScriptedBroker, tmp_path: Path) -> None:
    queue, done = tmp_path / "queue", tmp_path / "done"
    queue.mkdir()
    (tmp_path / "tasks.py").write_text(APPLICATION)
    environment = os.environ | {
        "PORT": str(scripted.port),
        "FOLDER": str(queue),
        "TMPDIR": str(tmp_path),
        "PYTHONWARNINGS": "ignore",
    }
    send = f"import tasks; [tasks.send.delay(number) for number in range({TASKS})]"
    options = "-A tasks worker --pool=prefork --concurrency=2"
    command = [sys.executable, "-m", "celery", *options.split()]
    with (tmp_path / "output").open("wb") as output:
        worker = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=output
        )
        try:
            scripted.wait_for("SUBSCRIBE", timeout=30)
            subprocess.run([sys.executable, "-c", send], cwd=tmp_path, env=environment, check=True)
            wait_until(
                lambda: done.exists() and done.read_bytes().count(b"\n") >= TASKS,
                60,
                "all tasks are done",
            )
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(60) == 0
        finally:
            worker.kill()
            worker.wait()
    lines = [json.loads(line) for line in done.read_text().splitlines()]
    assert sorted(lines) == [[number, 0, []] for number in range(TASKS)]
    sent = scripted.of("PUBLISH")
    assert sorted(int(packet.payload) for packet in sent) == list(range(TASKS))
    connects = {
        packet.connection: packet.connect.client_id
        for packet in scripted.of("CONNECT")
        if packet.connect is not None
    }
    # That of the worker itself, and for a moment that of the program that has sent the tasks.
    publishing = {packet.connection for packet in sent}
    assert 1 <= len(publishing) <= 2
    assert not {connects[number] for number in publishing} & {"site"}
    assert not publishing & {packet.connection for packet in scripted.of("SUBSCRIBE")}
    # Whoever connects says goodbye, also before a child's `os._exit`.
    assert len(scripted.of("DISCONNECT")) == len(connects)
