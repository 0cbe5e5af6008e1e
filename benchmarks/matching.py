"""What topic filters cost: 10, 1,000 and 10,000 of them, beside Flask-MQTT on paho in the same run.

    ./scripts/bench matching

or, with an interpreter that has Flask-MQTT 1.3.0 and paho-mqtt 2.2.0 installed:

    FLASK_MQTT_ORIGINAL_PYTHON=path/to/python python benchmarks/matching.py

A third of the filters is exact, a third has a `+` and a third a `#`; each message matches one.
"hot" are 30 topics again and again, "new" are 100,000 different ones. The runs of the two packages
alternate; the figures are medians.

receive: messages per second with an `on_topic` handler for each filter (see throughput.py)
match:   look-ups per second in an MQTTMatcher
add:     handlers registered per second
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import threading
import time
from typing import Any

from _sides import ORIGINAL, sides
from throughput import PAYLOAD, CostlessBroker

FILTERS = (10, 1_000, 10_000)
TASKS = ("receive hot", "receive new", "match hot", "match new", "add")
HOT, NEW = 30, 100_000


def filters(count: int) -> list[str]:
    """Return the filters."""
    return [("lamp/{}", "door/{}/+", "room/{}/#")[i % 3].format(i // 3) for i in range(count)]


def topics(count: int, kind: str) -> list[str]:
    """Return topics, each of which matches one of the filters."""
    places = count // 3
    if kind == "hot":
        forms = itertools.cycle(("lamp/{}", "door/{}/x", "room/{}/x/y"))
        return [next(forms).format(i % places) for i in range(HOT)]
    forms = itertools.cycle(("door/{}/{}", "room/{}/{}/y"))
    return [next(forms).format(i % places, i) for i in range(NEW)]


def encoded(names: list[str]) -> bytes:
    """Return a message on each topic."""
    bodies = (len(name).to_bytes(2, "big") + name.encode() + PAYLOAD for name in names)
    return b"".join(bytes([0x30, len(body)]) + body for body in bodies)


def receive(count: int, messages: int, port: int) -> float:
    """Run the application that receives; return messages per second."""
    from flask import Flask

    from flask_mqtt import Mqtt

    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    done = threading.Event()
    times: list[float] = []
    left = iter(range(messages - 1, -1, -1))

    def handle_message(client: object, userdata: object, message: object) -> None:
        if not next(left):
            done.set()

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        mqtt.subscribe("#")

    @mqtt.on_subscribe()
    def handle_subscribe(client: object, userdata: object, mid: int, granted: object) -> None:
        times.append(time.monotonic())

    for filter_ in filters(count):
        mqtt.on_topic(filter_)(handle_message)
    mqtt.init_app(app)
    done.wait()
    elapsed = time.monotonic() - times[0]
    mqtt._disconnect()
    return messages / elapsed


def match(count: int, messages: int, kind: str) -> float:
    """Return look-ups per second."""
    matcher = new_matcher()
    for filter_ in filters(count):
        matcher[filter_] = filter_
    names = topics(count, kind)
    started = time.monotonic()
    for name in itertools.islice(itertools.cycle(names), messages):
        for _ in matcher.iter_match(name):
            pass
    return messages / (time.monotonic() - started)


def new_matcher() -> Any:
    """Return ours, or paho's where Flask-MQTT itself is installed."""
    try:
        from flask_mqtt._core import MQTTMatcher
    except ImportError:
        from paho.mqtt.matcher import MQTTMatcher  # type: ignore[no-redef,import-untyped]
    return MQTTMatcher()


def add(count: int) -> float:
    """Return handlers registered per second."""
    from flask_mqtt import Mqtt

    mqtt = Mqtt()
    names = filters(count)
    started = time.monotonic()
    for filter_ in names:
        mqtt.on_topic(filter_)(print)
    return count / (time.monotonic() - started)


def work(task: str, count: int, messages: int, port: int) -> float:
    """Do what a process of its own is started for."""
    name, _, kind = task.partition(" ")
    if name == "receive":
        return receive(count, messages, port)
    return add(count) if name == "add" else match(count, messages, kind)


def measure(python: str, task: str, count: int, messages: int) -> float:
    """Measure in a process of its own."""
    command = [python, __file__, "--task", task, "--filters", str(count)]
    name, _, kind = task.partition(" ")
    if name == "receive":
        names = topics(count, kind)
        names *= 3_000 // len(names) or 1
        messages = max(1, messages // len(names)) * len(names)
        broker = CostlessBroker(messages, encoded(names), len(names))
        command += ["--port", str(broker.port)]
    command += ["--messages", str(messages)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout))


def main() -> None:
    """Print a line for each task and number of filters."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=TASKS)
    parser.add_argument("--filters", type=int, default=10)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.task:
        result = work(arguments.task, arguments.filters, arguments.messages, arguments.port)
        print(json.dumps(result), flush=True)
        return
    original = sides().get(ORIGINAL)
    for task, count in itertools.product(TASKS, FILTERS):
        ours, theirs = [], []
        for _ in range(arguments.runs):
            ours.append(measure(sys.executable, task, count, arguments.messages))
            if original:
                theirs.append(measure(original, task, count, arguments.messages // 10))
        line = f"{task:12} {count:6,} filters   flask-mqtt-rs {statistics.median(ours):10,.0f}/s"
        if theirs:
            ratio = statistics.median(ours) / statistics.median(theirs)
            line += f"   Flask-MQTT {statistics.median(theirs):9,.0f}/s   ratio {ratio:5.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
