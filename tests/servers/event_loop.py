"""An application with async views, which a server runs in its event loop."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from asgiref.wsgi import WsgiToAsgi
from flask import Flask

from flask_mqtt import Mqtt

app = Flask("event_loop")
app.config.update(json.loads(os.environ["CONFIG"]))
mqtt = Mqtt(app)
wsgi: Any = WsgiToAsgi(app)  # type: ignore[no-untyped-call]


@app.get("/publish")
async def publish() -> dict[str, Any]:
    """Publish messages, and wait for room and for the broker; say which loop this is."""
    made = [await asyncio.to_thread(mqtt.publish, "event-loop", str(n), 1) for n in range(3)]
    published = [(await info).is_published() for info in made]
    return {"published": published, "loop": id(asyncio.get_running_loop())}


async def asgi(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer `/loop` in the server's loop, and leave everything else to Flask."""
    if scope["type"] != "http" or scope["path"] != "/loop":
        await wsgi(scope, receive, send)
        return
    body = str(id(asyncio.get_running_loop())).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
