"""What MQTT_PERSISTENCE costs: QoS 1 messages per second that `publish` accepts.

    ./scripts/bench persistence --directory /where/the/file/is

The broker confirms everything at once and keeps nothing. 64 bytes of payload.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from flask import Flask

from flask_mqtt import Mqtt

TOPIC = "bench/topic"
PAYLOAD = b"x" * 64
#: A PUBLISH of QoS 1: two bytes of header, the topic, the identifier, the payload.
SIZE = 2 + 2 + len(TOPIC) + 2 + len(PAYLOAD)
IDENTIFIER = 4 + len(TOPIC)


class Broker:
    """Accepts clients one after the other, and confirms what they publish."""

    def __init__(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                client.recv(4096)
                client.sendall(b"\x20\x02\x00\x00")
                self._confirm(client)

    def _confirm(self, client: socket.socket) -> None:
        waiting = b""
        while received := client.recv(1 << 16):
            waiting += received
            answers = bytearray()
            count = len(waiting) // SIZE
            for start in range(0, count * SIZE, SIZE):
                identifier = start + IDENTIFIER
                answers += b"\x40\x02" + waiting[identifier : identifier + 2]
            waiting = waiting[count * SIZE :]
            client.sendall(answers)


def rate(broker: Broker, threads: int, seconds: float, **config: Any) -> float:
    """Publish from some threads for some time; return messages per second."""
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = broker.port
    app.config.update(config)
    counts: list[int] = []
    with Mqtt(app) as mqtt:
        end = time.monotonic() + seconds

        def publish() -> None:
            count = 0
            while time.monotonic() < end:
                assert mqtt.publish(TOPIC, PAYLOAD, qos=1)[0] == 0
                count += 1
            counts.append(count)

        running = [threading.Thread(target=publish) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    return sum(counts) / seconds


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--directory", type=Path)
    given = parser.parse_args()
    broker = Broker()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        file = {"MQTT_PERSISTENCE": str(Path(directory, "messages.db"))}
        kinds: dict[str, dict[str, str]] = {
            "no file": {},
            "normal": file,
            "always": {**file, "MQTT_PERSISTENCE_FSYNC": "always"},
        }
        for threads in (1, 8, 32):
            for name, config in kinds.items():
                rates = [rate(broker, threads, given.seconds, **config) for _ in range(given.runs)]
                print(f"{name}, {threads} threads: {statistics.median(rates):,.0f} msg/s")


if __name__ == "__main__":
    main()
