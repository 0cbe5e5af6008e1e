"""What is compared: packages, each in an interpreter of its own."""

from __future__ import annotations

import os
import sys

OURS, ORIGINAL = "flask-mqtt-rs", "Flask-MQTT"


def sides() -> dict[str, str]:
    """Return the interpreters by what they have: this one, and the original's if there is one."""
    original = os.environ.get("FLASK_MQTT_ORIGINAL_PYTHON")
    return {OURS: sys.executable} | ({ORIGINAL: original} if original else {})
