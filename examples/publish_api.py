"""An HTTP API for a broker: POST /publish sends a message.

    python examples/publish_api.py
    curl -H 'Content-Type: application/json' http://127.0.0.1:5000/publish \
         -d '{"topic": "lamp/set", "payload": "on", "qos": 1}'

The response has the return code and the packet identifier. The status is 400 if MQTT does not allow
the message, and 503 if the broker cannot be reached. Messages that arrive below lamp/ are printed.
Every configuration key, such as MQTT_BROKER_URL, and the port (PORT) can be set in the environment.
"""

import os
from typing import Any

from flask import Flask, request

from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt, MQTTMessage

app = Flask(__name__)
app.config.update({key: value for key, value in os.environ.items() if key.startswith("MQTT_")})
app.config["MQTT_KEEPALIVE"] = 30
mqtt = Mqtt(app)


@mqtt.on_connect()
def handle_connect(client: Client, userdata: object, flags: dict[str, int], rc: int) -> None:
    if rc == 0:
        mqtt.subscribe("lamp/#")
    else:
        print("the broker refused the connection with code", rc)


@mqtt.on_message()
def handle_message(client: Client, userdata: object, message: MQTTMessage) -> None:
    print(f"{message.topic}: {message.payload.decode(errors='replace')}", flush=True)


@app.post("/publish")
def publish() -> tuple[dict[str, Any], int]:
    body = request.get_json()
    try:
        rc, mid = mqtt.publish(
            body["topic"], body["payload"], body.get("qos", 0), body.get("retain", False)
        )
    except (KeyError, TypeError, ValueError) as error:
        return {"error": str(error)}, 400
    return {"rc": rc, "mid": mid}, 200 if rc == MQTT_ERR_SUCCESS else 503


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
