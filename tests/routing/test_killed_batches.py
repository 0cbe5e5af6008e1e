"""Processes that are killed in the middle of a batch: with QoS 1, no message is lost."""

from __future__ import annotations

import random
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from support.running import closing
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

KILLS = 6
MESSAGES = 6_000

#: It says when each batch begins, is half done, and is done.
RECORDER = """
    from flask_mqtt import MQTTMessage

    name, topic, path = sys.argv[2:5]
    app.config["MQTT_CLIENT_ID"] = name
    app.config["MQTT_CLEAN_SESSION"] = False
    app.config["MQTT_HANDLER_THREADS"] = int(sys.argv[5])
    mqtt, record = Mqtt(), os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    @mqtt.batch(f"{topic}/+", qos=1, max=300, wait=0.05)
    def handle(client, messages: list[MQTTMessage]):
        lines = [message.payload + b"\\n" for message in messages]
        say("begins")
        os.write(record, b"".join(lines[: len(lines) // 2]))
        say("half")
        # Time for the process to be killed between the halves.
        time.sleep(0.01)
        os.write(record, b"".join(lines[len(lines) // 2 :]))
        say("done")

    @mqtt.on_subscribe()
    def subscribed(*_):
        say("subscribed")

    mqtt.init_app(app)
    sys.stdin.readline()
    mqtt.close()
    end()
"""


def numbers(path: Path) -> Counter[int]:
    """Return how often each number was written. A kill may leave half a line."""
    return Counter(int(line) for line in path.read_text().splitlines(keepends=True) if line[-1:])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("window", ["", "max_inflight_messages 1000"], ids=["20", "1000"])
def test_none_is_lost(
    broker_factory: Callable[..., Any], tmp_path: Path, window: str, threads: int
) -> None:
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    broker = broker_factory(options=("max_queued_messages 0", *filter(None, [window])))
    path, topic = tmp_path / "numbers", f"killed/{uuid.uuid4()}"
    path.touch()
    recorder = ("recorder", topic, path, threads)
    with running(RECORDER, broker.port, *recorder) as script:
        script.expect("subscribed")
        script.process.kill()
    with closing(Client()) as publisher:
        publisher.configure(max_queued=0)
        publisher.connect(broker.host, broker.port)
        publisher.loop_start()
        for number in range(MESSAGES):
            info = publisher.publish(f"{topic}/{number % 5}", str(number), 1)
        info.wait_for_publish(30)
    kills = 0
    for _ in range(KILLS):
        with running(RECORDER, broker.port, *recorder) as script:
            moment = chance.choice(["begins", "half", "done"])
            for _ in range(chance.randrange(1, 4)):
                while script.line() not in (moment, ""):
                    pass
            # A little later, so that it may be anywhere.
            time.sleep(chance.random() * 0.02)
            script.process.kill()
            kills += 1
    with running(RECORDER, broker.port, *recorder) as script:
        wait_until(lambda: len(numbers(path)) == MESSAGES, 60)
        script.go()
        while not script.line().startswith("end"):
            pass
    assert kills == KILLS
    seen = numbers(path)
    assert seen.keys() == set(range(MESSAGES))
    # What was acknowledged does not come again: only what a killed process had.
    assert seen.total() < MESSAGES + KILLS * 2_000
