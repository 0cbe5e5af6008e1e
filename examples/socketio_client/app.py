"""A publish and subscribe client in the browser, with Flask-SocketIO.

    pip install flask-socketio
    python examples/socketio_client/app.py

All open pages show the same messages. SOCKETIO_MODE selects the server: "threading" (the default),
"eventlet" or "gevent"; the last two must be installed. Every configuration key, such as
MQTT_BROKER_URL, and the port (PORT) can be set in the environment.
"""

import os

MODE = os.environ.get("SOCKETIO_MODE", "threading")

# Patch before all other imports, so that they get the patched modules.
if MODE == "eventlet":
    import eventlet

    eventlet.monkey_patch()
elif MODE == "gevent":
    from gevent import monkey

    monkey.patch_all()

from flask import Flask, render_template  # noqa: E402
from flask_socketio import SocketIO  # noqa: E402

from flask_mqtt import Client, Mqtt, MQTTMessage  # noqa: E402

app = Flask(__name__)
app.config.update({key: value for key, value in os.environ.items() if key.startswith("MQTT_")})
mqtt = Mqtt(app)
socketio = SocketIO(app, async_mode=MODE)


@app.get("/")
def page() -> str:
    return render_template("index.html")


@socketio.on("subscribe")  # type: ignore[untyped-decorator]
def subscribe(data: dict[str, str]) -> None:
    mqtt.subscribe(data["topic"])


@socketio.on("unsubscribe_all")  # type: ignore[untyped-decorator]
def unsubscribe_all() -> None:
    mqtt.unsubscribe_all()


@socketio.on("publish")  # type: ignore[untyped-decorator]
def publish(data: dict[str, str]) -> None:
    mqtt.publish(data["topic"], data["payload"])


@mqtt.on_message()
def forward(client: Client, userdata: object, message: MQTTMessage) -> None:
    data = {"topic": message.topic, "payload": message.payload.decode(errors="replace")}
    socketio.emit("message", data)


if __name__ == "__main__":
    # Werkzeug's server is enough for an example; eventlet and gevent bring their own.
    options = {"allow_unsafe_werkzeug": True} if MODE == "threading" else {}
    socketio.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "5000")), **options)
