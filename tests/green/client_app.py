"""The SocketIO client of Flask-MQTT's documentation, in own words, without its page.

The scripts beside it import this first and patch afterwards, in the order that the documentation
has and many applications copied: flask_mqtt is imported before anything is patched.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from flask import Flask
from flask_socketio import SocketIO

from flask_mqtt import Mqtt

if TYPE_CHECKING:
    from flask_mqtt import Client, MQTTMessage


def create(**options: Any) -> tuple[Flask, Any]:
    """Make the application and its SocketIO, connected to the broker of the environment."""
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "not secret"
    app.config["MQTT_BROKER_URL"] = "127.0.0.1"
    app.config["MQTT_BROKER_PORT"] = os.environ["BROKER_PORT"]
    app.config["MQTT_CLIENT_ID"] = os.environ["CLIENT_ID"]
    app.config["MQTT_USERNAME"] = ""
    app.config["MQTT_PASSWORD"] = ""
    app.config["MQTT_KEEPALIVE"] = 5
    app.config["MQTT_TLS_ENABLED"] = False
    app.config["MQTT_HANDLER_THREADS"] = int(os.environ.get("HANDLER_THREADS", "1"))

    mqtt = Mqtt(app)
    socketio = SocketIO(app, **options)

    @app.route("/")
    def index() -> str:
        return "ready"

    @app.route("/publish/<topic>")
    def publish(topic: str) -> str:
        return str(int(mqtt.publish(topic)[0]))

    @app.route("/subscribe/<topic>")
    def subscribe(topic: str) -> str:
        mqtt.subscribe(topic)
        return "subscribed"

    @socketio.on("publish")  # type: ignore[untyped-decorator]
    def handle_publish(text: str) -> None:
        data = json.loads(text)
        mqtt.publish(data["topic"], data["message"])

    @socketio.on("subscribe")  # type: ignore[untyped-decorator]
    def handle_subscribe(text: str) -> None:
        mqtt.subscribe(json.loads(text)["topic"])

    @socketio.on("unsubscribe_all")  # type: ignore[untyped-decorator]
    def handle_unsubscribe_all() -> None:
        mqtt.unsubscribe_all()

    @mqtt.on_message()
    def handle_message(client: Client, userdata: Any, message: MQTTMessage) -> None:
        data = {"topic": message.topic, "payload": message.payload.decode()}
        socketio.emit("mqtt_message", data=data)

    @mqtt.on_log()
    def handle_log(client: Client, userdata: Any, level: int, buf: str) -> None:
        print(level, buf, flush=True)

    return app, socketio


def serve(app: Flask, socketio: Any, **options: Any) -> None:
    """Serve on the port of the environment."""
    socketio.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), use_reloader=False, **options)
