"""A burst of messages with `on_publish`, beside Flask-MQTT: calls, their order, and memory.

    ./scripts/bench reports

or, with an interpreter that has Flask-MQTT 1.3.0 and paho-mqtt 2.2.0 installed:

    FLASK_MQTT_ORIGINAL_PYTHON=path/to/python python benchmarks/behaviour/reports.py

The broker is a mosquitto of its own, or the one on this machine that `--port` names. With `--held`
the first call of the handler takes until everything is published and written.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import subprocess
import threading
import time
from array import array
from pathlib import Path

from _sides import sides
from burst import mosquitto

TOPIC = "bench/reports"
PAYLOAD = b"x" * 64

#: By QoS. paho takes 65,535 messages of QoS 1 at a time, and refuses the others.
MESSAGES = {0: 1_000_000, 1: 200_000}


def memory(name: str) -> float:
    """Return a figure of this process in MB."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(rf"{name}:\s+(\d+) kB", status)[0]) / 1024


def publish(port: int, qos: int, messages: int, *, held: bool) -> dict[str, object]:
    """Run the application; return how `publish` answered, and what `on_publish` was called for."""
    from flask import Flask

    from flask_mqtt import Mqtt

    # Flask-MQTT has a line for each message that is refused.
    logging.disable()
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    connected, released = threading.Event(), threading.Event()
    accepted, called = array("H"), array("H")
    codes: dict[int, int] = {}

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        connected.set()

    @mqtt.on_publish()
    def handle_publish(client: object, userdata: object, mid: int) -> None:
        released.wait()
        called.append(mid)

    if not held:
        released.set()
    mqtt.init_app(app)
    connected.wait()
    idle = memory("VmRSS")
    started = time.monotonic()
    for _ in range(messages):
        rc, mid = mqtt.publish(TOPIC, PAYLOAD, qos)
        codes[int(rc)] = codes.get(int(rc), 0) + 1
        if rc == 0:
            accepted.append(mid)
    published = time.monotonic() - started
    if held:
        time.sleep(1)
        released.set()
    before = -1
    while before != len(called) < len(accepted):
        before = len(called)
        time.sleep(2)
    took = time.monotonic() - started
    mqtt._disconnect()
    return {
        "qos": qos,
        "publish_returned": codes,
        "calls": len(called),
        "in_order": accepted == called,
        "publishing_took_s": round(published, 2),
        "all_took_s_at_most": round(took, 1),
        "most_memory_mb": round(memory("VmHWM") - idle, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=["publish"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--qos", type=int, choices=MESSAGES)
    parser.add_argument("--messages", type=int)
    parser.add_argument("--held", action="store_true")
    arguments = parser.parse_args()
    if arguments.task:
        sizes = (arguments.port, arguments.qos, arguments.messages)
        print(json.dumps(publish(*sizes, held=arguments.held)), flush=True)
        return
    wanted = MESSAGES if arguments.qos is None else {arguments.qos: MESSAGES[arguments.qos]}
    with contextlib.nullcontext(arguments.port) if arguments.port else mosquitto() as port:
        for qos, messages in wanted.items():
            for side, python in sides().items():
                command = [python, __file__, "--task", "publish", "--port", str(port)]
                command += ["--qos", str(qos), "--messages", str(arguments.messages or messages)]
                command += ["--held"] * arguments.held
                found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                print(f"{side:13} {found.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
