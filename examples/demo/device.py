"""An example device, for those who have no device at hand: a thermometer that publishes."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask_mqtt import Mqtt


class ExampleDevice:
    """Publishes a temperature every second while it runs."""

    TOPIC = "demo/temperature"
    INTERVAL = 1.0  # seconds

    def __init__(self, mqtt: Mqtt) -> None:
        """Prepare a device that publishes through `mqtt`."""
        self._mqtt = mqtt
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None

    @property
    def running(self) -> bool:
        """Whether the device is on."""
        return self._stop is not None

    def start(self) -> None:
        """Switch the device on. No effect if it is."""
        with self._lock:
            if self._stop is None:
                self._stop = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._stop,), name="example-device", daemon=True
                ).start()

    def stop(self) -> None:
        """Switch the device off. No effect if it is."""
        with self._lock:
            if self._stop is not None:
                self._stop.set()
                self._stop = None

    def _run(self, stop: threading.Event) -> None:
        celsius = 21.0
        while True:
            celsius += random.uniform(-0.3, 0.3) + (21.0 - celsius) * 0.05  # noqa: S311 - weather
            # A temperature of some time ago is worth nothing to those who come later.
            if self._mqtt.connected:
                self._mqtt.publish(self.TOPIC, f"{celsius:.1f} °C")
            if stop.wait(self.INTERVAL):
                return
