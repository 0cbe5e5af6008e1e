"""An application factory with two brokers: what sensors say at home goes on to a second broker.

    flask --app examples/factory.py run

The first broker is MQTT_BROKER_URL of the environment, the second MQTT2_BROKER_URL; each is
localhost where there is none. Every other key of the configuration may be there too.
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
    # QoS 1 outlives a connection that is lost: it is sent with the next one.
    cloud.publish(f"{current_app.config['SITE']}/{message.topic}", message.payload, qos=1)


def state() -> dict[str, bool]:
    return {"home": home.connected, "cloud": cloud.connected}
