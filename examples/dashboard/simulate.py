"""Stands in for three sensors, until Ctrl-C: python simulate.py

Each begins with what it has recorded while it was offline, and then sends a reading as often as the
dashboard says.
"""

from __future__ import annotations

import json
import math
import os
import random
import threading
import time
from datetime import datetime, timezone

from flask_mqtt import Client, MQTTMessage


class Sensor(Client):
    def __init__(self, room: str, number: int, celsius: float) -> None:
        super().__init__(client_id=f"sensor-{room}-{number}")
        self.room, self.number, self.celsius = room, number, celsius
        self.seconds = 1.0
        self.told = threading.Event()
        base = f"sensors/{room}/{number}"
        self.reading, interval = f"{base}/reading", f"{base}/interval"
        self.message_callback_add(interval, self.set_interval)
        self.connect(
            os.environ.get("MQTT_BROKER_URL", "localhost"),
            int(os.environ.get("MQTT_BROKER_PORT", "1883")),
        )
        self.subscribe(interval, qos=1)
        self.loop_start()

    def set_interval(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self.seconds = float(json.loads(message.payload)["seconds"])
        self.told.set()

    def measure(self, at: float) -> float:
        return round(self.celsius + 2 * math.sin(at / 10) + random.uniform(-0.2, 0.2), 2)

    def send_history(self) -> None:
        now = time.time()
        for at in range(int(now) - 60, int(now)):
            record = {"room": self.room, "sensor": self.number, "celsius": self.measure(at)}
            record["at"] = datetime.fromtimestamp(at, timezone.utc).isoformat()
            self.publish("history", json.dumps(record), qos=1)

    def run(self) -> None:
        self.send_history()
        while True:
            self.publish(self.reading, json.dumps({"celsius": self.measure(time.time())}), qos=1)
            self.told.wait(self.seconds)
            self.told.clear()


if __name__ == "__main__":
    for sensor in (Sensor("kitchen", 1, 21), Sensor("kitchen", 2, 22), Sensor("cellar", 1, 12)):
        threading.Thread(target=sensor.run, daemon=True).start()
    threading.Event().wait()
