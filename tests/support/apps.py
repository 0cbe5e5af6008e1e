"""Flask applications for tests."""

from __future__ import annotations

import threading
from typing import Any

from flask import Flask

#: Flask parses code for its rules, and in CPython 3.11 two threads that parse at the same time may
#: fail with "AST constructor recursion depth mismatch".
_PARSING = threading.Lock()


def make_app(port: int, config_prefix: str = "MQTT", **config: Any) -> Flask:
    """Make an application for the broker on `port` of 127.0.0.1.

    Keys in `config` go without the prefix and in lower case: make_app(port, client_id="me").
    """
    with _PARSING:
        app = Flask("tests")
    app.testing = True
    app.config[f"{config_prefix}_BROKER_URL"] = "127.0.0.1"
    app.config[f"{config_prefix}_BROKER_PORT"] = port
    for key, value in config.items():
        app.config[f"{config_prefix}_{key.upper()}"] = value
    return app


def app_for(broker_url: str | list[str], **config: Any) -> Flask:
    """Make an application for a URL or several, with keys as those of `make_app`."""
    app = make_app(1883, broker_url=broker_url, **config)
    if "broker_port" not in config:
        del app.config["MQTT_BROKER_PORT"]
    return app
