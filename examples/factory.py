"""An application factory with two brokers: forwards sensor messages from one to the other.

    flask --app examples/factory.py run

The environment variables MQTT_BROKER_URL and MQTT2_BROKER_URL name the brokers; the default of each
is localhost. Every other configuration key can be set in the environment too.
"""

import os

from flask import Flask, current_app

from flask_mqtt import Client, Mqtt, MQTTMessage

home = Mqtt()
cloud = Mqtt(config_prefix="MQTT2")


def create_app() -> Flask:
    app = Flask(__name__)
    app.config["SITE"] = "site-1"
    keys = {key: value for key, value in os.environ.items() if key.startswith(("MQTT_", "MQTT2_"))}
    app.config.update(keys)
    home.init_app(app)
    cloud.init_app(app)
    app.add_url_rule("/", view_func=state)
    return app


@home.on_connect()
def handle_connect(client: Client, userdata: object, flags: dict[str, int], rc: int) -> None:
    home.subscribe("sensors/#", qos=1)


@home.on_topic("sensors/#")
def forward(client: Client, userdata: object, message: MQTTMessage) -> None:
    # A QoS 1 message survives a lost connection: it is sent on the next one.
    cloud.publish(f"{current_app.config['SITE']}/{message.topic}", message.payload, qos=1)


def state() -> dict[str, bool]:
    return {"home": home.connected, "cloud": cloud.connected}
