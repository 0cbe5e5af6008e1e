"""An application that real servers serve. What it handles goes to the file `LINES`.

A line has the process, the client and the number that was published: `4711 served-1 17`.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

from asgiref.wsgi import WsgiToAsgi
from flask import Flask

from flask_mqtt import Mqtt, health

if TYPE_CHECKING:
    from flask_mqtt import Client, MQTTMessage

LINES = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
#: Seconds that a request takes, so that other workers get the next ones.
TURN = 0.02

app = Flask("serving")
app.config.update(json.loads(os.environ["CONFIG"]))
mqtt = Mqtt(app)
app.register_blueprint(health.blueprint(mqtt, max_age=1, timeout=1))
asgi = WsgiToAsgi(app)  # type: ignore[no-untyped-call]


@mqtt.on_connect()
def subscribe(*_: Any) -> None:
    mqtt.subscribe("numbered", 1)


@mqtt.on_message()
def note(client: Client, _userdata: Any, message: MQTTMessage) -> None:
    name = client._client_id.decode()
    # One write, so that the lines of several processes do not mix.
    os.write(LINES, f"{os.getpid()} {name} {message.payload.decode()}\n".encode())


@app.get("/")
def serve() -> str:
    time.sleep(TURN)
    return str(os.getpid())


@app.post("/publish/<int:first>/<int:count>")
def publish(first: int, count: int) -> list[int]:
    """Publish numbers, wait until the broker has them, and return the results."""
    made = [mqtt.publish(f"requested/{first + more}", qos=1) for more in range(count)]
    for info in made:
        info.wait_for_publish(30)
    return [info.rc if info.is_published() else -1 for info in made]
