"""A view that sends a request to a device over MQTT 5 and returns the response.

    python examples/ask.py
    curl http://127.0.0.1:5000/ask/clock

The device "clock" is part of the application. The status is 503 if the broker cannot be reached,
and 504 if no device with this name responds within a second.
Every configuration key, such as MQTT_BROKER_URL, and the port (PORT) can be set in the environment.
"""

import os
import queue
import uuid
from datetime import datetime, timezone

from flask import Flask

from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt, MQTTMessage, MQTTv5

# The topic for responses to this process. CorrelationData matches a response to its request.
ANSWERS = f"answers/{uuid.uuid4().hex}"
waiting: dict[bytes, queue.SimpleQueue[str]] = {}

app = Flask(__name__)
app.config.update({key: value for key, value in os.environ.items() if key.startswith("MQTT_")})
app.config["MQTT_PROTOCOL_VERSION"] = MQTTv5
mqtt = Mqtt(app)
mqtt.subscribe([("devices/clock", 1), (ANSWERS, 1)])


@mqtt.on_topic("devices/clock")
def answer(client: Client, userdata: object, message: MQTTMessage) -> None:
    now = datetime.now(timezone.utc).isoformat()
    asked = message.properties
    properties = {"CorrelationData": asked.CorrelationData}
    mqtt.publish(asked.ResponseTopic, now, qos=1, properties=properties)


@mqtt.on_topic(ANSWERS)
def handle_answer(client: Client, userdata: object, message: MQTTMessage) -> None:
    asker = waiting.get(message.properties.CorrelationData)
    if asker is not None:
        asker.put(message.payload.decode())


@app.get("/ask/<device>")
def ask(device: str) -> tuple[str, int]:
    question = uuid.uuid4().bytes
    waiting[question] = queue.SimpleQueue()
    properties = {
        "ResponseTopic": ANSWERS,
        "CorrelationData": question,
        "MessageExpiryInterval": 1,
    }
    try:
        rc, _ = mqtt.publish(f"devices/{device}", qos=1, properties=properties)
        if rc != MQTT_ERR_SUCCESS:
            return "the broker cannot be reached", 503
        return waiting[question].get(timeout=1), 200
    except queue.Empty:
        return f"{device} does not answer", 504
    finally:
        del waiting[question]


if __name__ == "__main__":
    app.run(port=int(os.environ.get("PORT", "5000")))
