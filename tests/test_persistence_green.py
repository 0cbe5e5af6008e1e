"""MQTT_PERSISTENCE under eventlet and gevent: who waits for the file holds nobody up."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

EVENTLET = """
import eventlet
eventlet.monkey_patch()
from eventlet import sleep, spawn
"""

GEVENT = """
from gevent import monkey
monkey.patch_all()
from gevent import sleep, spawn
"""

PROGRAM = """
import sys
from flask import Flask
from flask_mqtt import Mqtt

app = Flask("green")
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = int(sys.argv[1])
app.config["MQTT_PERSISTENCE"] = sys.argv[2]
app.config["MQTT_PERSISTENCE_FSYNC"] = "always"
mqtt = Mqtt(app)
finished = []
turns = 0


def publish():
    for _ in range(50):
        assert mqtt.publish("green/t", "x", qos=1)[0] == 0
    finished.append(1)


for _ in range(4):
    spawn(publish)
while len(finished) < 4:
    turns += 1
    sleep(0)
mqtt.close()
print(turns)
"""


@pytest.mark.parametrize("hub", [EVENTLET, GEVENT], ids=["eventlet", "gevent"])
def test_other_green_threads_run_while_a_message_is_stored(
    broker: Mosquitto, tmp_path: Path, hub: str
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", hub + PROGRAM, str(broker.port)]
    file = str(tmp_path / "messages.db")
    result = subprocess.run(
        [*command, file], check=True, capture_output=True, text=True, timeout=30
    )
    # More often than messages were published: the loop ran while they waited.
    assert int(result.stdout) > 200
