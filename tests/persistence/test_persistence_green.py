"""MQTT_PERSISTENCE under eventlet and gevent: who waits for the file holds nobody up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]

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

BEGINNING = """
import sys
from flask import Flask
from flask_mqtt import Mqtt

app = Flask("green")
app.config["MQTT_BROKER_URL"] = "127.0.0.1"
app.config["MQTT_BROKER_PORT"] = int(sys.argv[1])
app.config["MQTT_PERSISTENCE"] = sys.argv[2]
app.config["MQTT_PERSISTENCE_FSYNC"] = "always"
mqtt = Mqtt(app)
"""

PROGRAM = f"""{BEGINNING}
finished = []
turns = 0


def publish():
    for _ in range(50):
        assert mqtt.publish("green/t", "x", qos=1)[0] == 0
    finished.append(1)


for _ in range(4):
    spawn(publish)
# Turns are counted, and each sleep is one.
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


WITHOUT_DESCRIPTORS = f"""{BEGINNING}
import resource
from support.wait import wait_until
wait_until(lambda: mqtt.connected)
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
turns = 0

def turn():
    global turns
    while True:
        turns += 1
        sleep(0)  # as above

spawn(turn)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
try:
    infos = [mqtt.publish("green/t", str(number), qos=1) for number in range(20)]
    for info in infos:
        info.wait_for_publish(20)
    told = [info.rc for info in infos], all(info.is_published() for info in infos)
    mqtt.close()
finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)
print(set(map(int, told[0])), told[1], turns > 20)
"""


@pytest.mark.parametrize("hub", [EVENTLET, GEVENT], ids=["eventlet", "gevent"])
def test_waiting_needs_no_descriptor_for_what_is_accepted(
    scripted: ScriptedBroker, tmp_path: Path, hub: str
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", hub + WITHOUT_DESCRIPTORS, str(scripted.port)]
    file = str(tmp_path / "messages.db")
    result = subprocess.run(
        [*command, file], cwd=TESTS, check=False, capture_output=True, text=True, timeout=30
    )
    assert result.stdout == "{0} True True\n", result.stderr
    expected = [str(number).encode() for number in range(20)]
    assert [packet.payload for packet in scripted.of("PUBLISH")] == expected
