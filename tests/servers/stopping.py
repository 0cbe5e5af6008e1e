"""An application that real servers serve, with a handler that takes as long as a test wants.

It notes in the file `LINES` when it begins and when it is done, and waits for the file `GO`. It
also notes when it is the last one: no further handler begins.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asgiref.wsgi import WsgiToAsgi
from flask import Flask

from flask_mqtt import Mqtt

if TYPE_CHECKING:
    from flask_mqtt import MQTTMessage

LINES = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
GO = Path(os.environ["GO"])

if "HANDLES_SIGTERM" in os.environ:
    # What the documentation tells users of such a server.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())

app = Flask("stopping")
app.config.update(json.loads(os.environ["CONFIG"]))
mqtt = Mqtt(app)
requests = WsgiToAsgi(app)  # type: ignore[no-untyped-call]
mqtt.subscribe("work", 1)


@mqtt.on_message()
def work(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
    os.write(LINES, b"begun\n")
    is_last = False
    while not GO.exists():
        if not is_last and mqtt.client._thread is None:
            is_last = True
            os.write(LINES, b"last\n")
        # How often it looks for the file, with which the test lets it end.
        time.sleep(0.01)
    mqtt.publish("done", message.payload, qos=1)
    os.write(LINES, b"done\n")


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Close at the end, as the documentation tells users of uvicorn."""
    if scope["type"] != "lifespan":
        await requests(scope, receive, send)
        return
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await asyncio.to_thread(mqtt.close)
    await send({"type": "lifespan.shutdown.complete"})


@app.get("/")
def serve() -> str:
    return "ready"


@app.get("/slow")
def serve_slowly() -> str:
    os.write(LINES, b"asked\n")
    while not GO.exists():
        # As above.
        time.sleep(0.01)
    return "slow"
