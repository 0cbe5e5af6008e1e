"""A burst of messages of QoS 1 from one thread: how many `publish` refuses, and how many arrive.

    python benchmarks/burst.py --port 1883
    path/to/python benchmarks/burst.py --port 1883    # with Flask-MQTT, to compare

A broker has to run on the port of this machine, as mosquitto does with its default configuration.
"""

from __future__ import annotations

import argparse
import json
import threading
import time

from flask import Flask

from flask_mqtt import Mqtt

TOPIC = "bench/burst"
PAYLOAD = b"x" * 64


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--messages", type=int, default=100_000)
    arguments = parser.parse_args()
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = arguments.port
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
    for _ in range(arguments.messages):
        rc = int(mqtt.publish(TOPIC, PAYLOAD, 1)[0])
        codes[rc] = codes.get(rc, 0) + 1
    published = time.monotonic() - started
    before = -1
    while before != confirmed < codes[0]:
        before = confirmed
        time.sleep(3)
    figures = {
        "publish_returned": codes,
        "publishing_took_s": round(published, 2),
        "confirmed": confirmed,
    }
    print(json.dumps(figures), flush=True)
    mqtt._disconnect()


if __name__ == "__main__":
    main()
