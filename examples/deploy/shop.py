"""An application to deploy: workers on any number of hosts share the orders that arrive by MQTT.

It is served as gunicorn.conf.py, uwsgi.ini, shop.service or compose.yaml say. Every configuration
key can be set in the environment, with FLASK_ before its name: FLASK_MQTT_BROKER_URL. A list is
written as JSON: ["mqtts://one.example.com", "mqtts://two.example.com"].
"""

import logging
import socket

from flask import Flask

from flask_mqtt import Client, Mqtt, MQTTMessage
from flask_mqtt.health import blueprint

logging.basicConfig(level=logging.INFO)

app = Flask("shop")
# The broker keeps orders for a worker that is being restarted. The client id has the name of the
# host, so a host needs a name that it keeps; its workers get a number each.
app.config["MQTT_CLIENT_ID"] = f"shop-{socket.gethostname()}"
app.config["MQTT_CLEAN_SESSION"] = False
app.config["MQTT_WORKER_MODE"] = "shared"
app.config.from_prefixed_env()
# Starts without a broker, too. /readyz says when the broker is there.
mqtt = Mqtt(app, connect_async=True)
app.register_blueprint(blueprint(mqtt))


@mqtt.topic("shop/orders/<int:number>", qos=1)
def handle_order(client: Client, message: MQTTMessage, number: int) -> None:
    app.logger.info("order %d: %s", number, message.payload.decode(errors="replace"))
    mqtt.publish(f"shop/done/{number}", message.payload, qos=1)


@app.post("/orders/<int:number>")
def order(number: int) -> tuple[dict[str, int], int]:
    rc, _ = mqtt.publish(f"shop/orders/{number}", "ordered here", qos=1)
    return {"rc": rc}, 202
