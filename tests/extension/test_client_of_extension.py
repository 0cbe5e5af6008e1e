"""What is set on the client of an extension, beside what the configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Mqtt
from support.apps import make_app
from support.wait import wait_until

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto


def test_tls_set_on_the_client_holds_for_every_init_app(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    app = make_app(tls_broker.listeners["tls"].port)
    mqtt = Mqtt()
    mqtt.client.tls_set(str(certificates.ca))
    for _ in range(3):
        mqtt.init_app(app)
        wait_until(lambda: mqtt.connected)
        mqtt.close()


def test_a_key_wins_over_what_was_set_on_the_client(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    port = tls_broker.listeners["tls"].port
    mqtt = Mqtt()
    mqtt.client.tls_set(str(certificates.other_ca))
    with mqtt:
        mqtt.init_app(make_app(port, tls_enabled=True, tls_ca_certs=str(certificates.ca)))
        wait_until(lambda: mqtt.connected)


def test_a_password_set_on_the_client_does_not_go_with_the_user_of_a_key() -> None:
    mqtt = Mqtt(connect_async=True)
    mqtt.client.username_pw_set("own", "hunter2")
    with mqtt:
        mqtt.init_app(make_app(1, username="me"))
        assert (
            mqtt.client._parts.settings.config.username,
            mqtt.client._parts.settings.config.password,
        ) == ("me", None)


def test_tls_set_on_the_client_and_a_url_without_tls_contradict_each_other() -> None:
    app = make_app(1)
    app.config["MQTT_BROKER_URL"] = "mqtt://localhost"
    mqtt = Mqtt()
    mqtt.client.tls_set()
    with pytest.raises(ValueError, match="MQTT_TLS_ENABLED = True and MQTT_BROKER_URL"):
        mqtt.init_app(app)
