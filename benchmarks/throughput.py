"""Messages per second, received and published, beside Flask-MQTT on paho in the same run.

    ./scripts/bench throughput

or, with an interpreter that has Flask-MQTT 1.3.0 and paho-mqtt 2.2.0 installed:

    FLASK_MQTT_ORIGINAL_PYTHON=path/to/python python benchmarks/throughput.py

The broker is costless: it sends packets that were encoded beforehand, and counts bytes. The runs of
the two packages alternate; the figures are medians. QoS 0, 64 bytes of payload, an empty handler.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

from _sides import ORIGINAL, sides

TOPIC = "bench/topic"
PAYLOAD = b"x" * 64
BODY = len(TOPIC).to_bytes(2, "big") + TOPIC.encode() + PAYLOAD
PACKET = bytes([0x30, len(BODY)]) + BODY
CONNACK = b"\x20\x02\x00\x00"
BLOCK = PACKET * 2_000


class CostlessBroker:
    """Accepts one client. Sends it messages when it subscribes; counts what it publishes.

    messages: how many. block: some of them, encoded; it is sent so often that all are.
    """

    def __init__(self, messages: int, block: bytes = BLOCK, in_block: int = 2_000) -> None:
        self.messages = messages
        self._block = block
        self._blocks = messages // in_block
        self.finished_at = 0.0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        self._listener.close()
        with client:
            client.recv(4096)
            client.sendall(CONNACK)
            first = client.recv(1 << 20)
            if first[0] == 0x82:
                client.sendall(bytes([0x90, 3]) + first[2:4] + b"\x00")
                for _ in range(self._blocks):
                    client.sendall(self._block)
                client.recv(1)
            else:
                missing = self.messages * len(PACKET) - len(first)
                buffer = bytearray(1 << 20)
                while missing > 0:
                    missing -= client.recv_into(buffer)
                self.finished_at = time.monotonic()


def receive(port: int, messages: int) -> float:
    """Run the application that receives; return messages per second."""
    from flask import Flask

    from flask_mqtt import Mqtt

    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    done = threading.Event()
    times = []

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        mqtt.subscribe(TOPIC)

    left = iter(range(messages - 1, -1, -1))

    @mqtt.on_message()
    def handle_message(client: object, userdata: object, message: object) -> None:
        # As near to empty as can be: the last message stops the clock.
        if not next(left):
            done.set()

    @mqtt.on_subscribe()
    def handle_subscribe(client: object, userdata: object, mid: int, granted: object) -> None:
        times.append(time.monotonic())

    mqtt.init_app(app)
    done.wait()
    elapsed = time.monotonic() - times[0]
    mqtt._disconnect()
    return messages / elapsed


def publish(port: int, messages: int) -> float:
    """Run the application that publishes; return the moment of the first call."""
    from flask import Flask

    from flask_mqtt import Mqtt

    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = port
    mqtt = Mqtt()
    connected = threading.Event()

    @mqtt.on_connect()
    def handle_connect(client: object, userdata: object, flags: object, rc: int) -> None:
        connected.set()

    mqtt.init_app(app)
    connected.wait()
    started = time.monotonic()
    call = mqtt.publish
    for _ in range(messages):
        call(TOPIC, PAYLOAD)
    print(json.dumps(started), flush=True)
    sys.stdin.read(1)
    os._exit(0)


def measure(python: str, task: str, messages: int) -> float:
    broker = CostlessBroker(messages)
    command = [
        python,
        __file__,
        "--task",
        task,
        "--port",
        str(broker.port),
        "--messages",
        str(messages),
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdin is not None
        value = float(json.loads(worker.stdout.readline()))
        broker.join()
        worker.stdin.close()
        worker.wait()
    return value if task == "receive" else messages / (broker.finished_at - value)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--task", choices=["receive", "publish"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.task:
        work = {"receive": receive, "publish": publish}[arguments.task]
        print(json.dumps(work(arguments.port, arguments.messages)), flush=True)
        return
    original = sides().get(ORIGINAL)
    for task in ("receive", "publish"):
        ours, theirs = [], []
        for _ in range(arguments.runs):
            ours.append(measure(sys.executable, task, arguments.messages))
            if original:
                theirs.append(measure(original, task, arguments.messages // 20))
        line = f"{task:8} flask-mqtt-rs {statistics.median(ours):12,.0f} msg/s"
        if theirs:
            ratio = statistics.median(ours) / statistics.median(theirs)
            line += f"   Flask-MQTT {statistics.median(theirs):9,.0f} msg/s   ratio {ratio:5.1f}"
        print(line)


if __name__ == "__main__":
    main()
