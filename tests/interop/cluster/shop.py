"""The application on the hosts. It notes each order that it has handled, and who handled it."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Flask

from flask_mqtt import Mqtt

app = Flask("shop")
app.config.from_prefixed_env()
#: Without a broker it starts all the same: a node may be away while a worker is restarted.
mqtt = Mqtt(app, connect_async=True)
book = os.open(os.environ["SHOP_BOOK"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@mqtt.topic("orders/<number>", qos=1)
def order(_client: Any, message: Any, number: str) -> None:
    """Note the order, and take a moment, so that others are on their way meanwhile."""
    line = f"{number} {os.environ['SHOP_HOST']} {os.getpid()} {time.monotonic()}"
    os.write(book, f"{line}\n".encode())
    time.sleep(0.002)
