"""Prints the messages that arrive, and publishes from a view.

    python examples/quickstart.py
    curl -X POST http://127.0.0.1:5000/say/hello

Every configuration key, such as MQTT_BROKER_URL, and the port (PORT) can be set in the environment.
"""

import os

from flask import Flask

from flask_mqtt import Client, Mqtt, MQTTMessage

app = Flask(__name__)
app.config.update({key: value for key, value in os.environ.items() if key.startswith("MQTT_")})
mqtt = Mqtt(app)


@mqtt.on_connect()
def handle_connect(client: Client, userdata: object, flags: dict[str, int], rc: int) -> None:
    if rc == 0:
        mqtt.subscribe("quickstart/#")
    else:
        print("the broker refused the connection with code", rc)


@mqtt.on_message()
def handle_message(client: Client, userdata: object, message: MQTTMessage) -> None:
    print(message.topic, message.payload.decode(), flush=True)


@app.post("/say/<word>")
def say(word: str) -> dict[str, int]:
    rc, mid = mqtt.publish("quickstart/said", word)
    return {"rc": rc, "mid": mid}


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
