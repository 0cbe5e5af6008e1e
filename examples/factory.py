"""An application factory with two brokers: what sensors say at home goes on to a second broker.

    flask --app examples/factory.py run

The first broker is MQTT_BROKER_URL and MQTT_BROKER_PORT, the second MQTT2_BROKER_URL and
MQTT2_BROKER_PORT; each is localhost:1883 where the environment does not say otherwise.
"""

import os

from flask import Flask, current_app

from flask_mqtt import Client, Mqtt, MQTTMessage

home = Mqtt()
cloud = Mqtt(config_prefix="MQTT2")


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SITE"] = "site-1"
    for prefix in ("MQTT", "MQTT2"):
        app.config[f"{prefix}_BROKER_URL"] = os.environ.get(f"{prefix}_BROKER_URL", "localhost")
        app.config[f"{prefix}_BROKER_PORT"] = os.environ.get(f"{prefix}_BROKER_PORT", "1883")
    home.init_app(app)
    cloud.init_app(app)
    app.add_url_rule("/", view_func=state)
    return app


@home.on_connect()
def handle_connect(client: Client, userdata: object, flags: dict[str, int], rc: int) -> None:
    home.subscribe("sensors/#", qos=1)


@home.on_topic("sensors/#")
def forward(client: Client, userdata: object, message: MQTTMessage) -> None:
    # QoS 1 outlives a connection that is lost: it is sent with the next one.
    cloud.publish(f"{current_app.config['SITE']}/{message.topic}", message.payload, qos=1)


def state() -> dict[str, bool]:
    return {"home": home.connected, "cloud": cloud.connected}
