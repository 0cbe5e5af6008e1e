"""A burst of messages of QoS 1 from one thread, beside Flask-MQTT: how many `publish` refuses.

    ./scripts/bench burst

or, with an interpreter that has Flask-MQTT 1.3.0 and paho-mqtt 2.2.0 installed:

    FLASK_MQTT_ORIGINAL_PYTHON=path/to/python python benchmarks/behaviour/burst.py

The broker is a mosquitto of its own, or the one on this machine that `--port` names.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from _sides import sides

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPIC = "bench/burst"
PAYLOAD = b"x" * 64


@contextlib.contextmanager
def mosquitto() -> Iterator[int]:
    """Run a broker with its default configuration; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    quiet = subprocess.DEVNULL
    with subprocess.Popen(["mosquitto", "-p", str(port)], stdout=quiet, stderr=quiet) as broker:
        try:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                assert broker.poll() is None, "mosquitto did not start"
                time.sleep(0.05)
            yield port
        finally:
            broker.terminate()


def publish(port: int, messages: int) -> dict[str, object]:
    """Run the application; return how `publish` answered, how long it took, what was confirmed."""
    from flask import Flask

    from flask_mqtt import Mqtt

    # Flask-MQTT has a line for each message that is refused.
    logging.disable()
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    connected = threading.Event()
    confirmed = 0

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        connected.set()

    @mqtt.on_publish()
    def handle_publish(client: object, userdata: object, mid: int) -> None:
        nonlocal confirmed
        confirmed += 1

    mqtt.init_app(app)
    connected.wait()
    codes: dict[int, int] = {}
    started = time.monotonic()
    for _ in range(messages):
        rc = int(mqtt.publish(TOPIC, PAYLOAD, 1)[0])
        codes[rc] = codes.get(rc, 0) + 1
    published = time.monotonic() - started
    before = -1
    while before != confirmed < codes[0]:
        before = confirmed
        time.sleep(3)
    mqtt._disconnect()
    return {
        "publish_returned": codes,
        "publishing_took_s": round(published, 2),
        "confirmed": confirmed,
    }


def measure(python: str, port: int, messages: int) -> str:
    """Measure in a process of its own."""
    sizes = ["--port", str(port), "--messages", str(messages)]
    command = [python, __file__, "--task", "publish", *sizes]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=["publish"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--messages", type=int, default=100_000)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(publish(arguments.port, arguments.messages)), flush=True)
        return
    with contextlib.nullcontext(arguments.port) if arguments.port else mosquitto() as port:
        for side, python in sides().items():
            print(f"{side:13} {measure(python, port, arguments.messages)}", flush=True)


if __name__ == "__main__":
    main()
