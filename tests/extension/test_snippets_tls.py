"""The shapes of code that documents show for TLS and websockets, each as it stands there.

As in test_snippets.py the code is our own; the broker's address is what differs.
"""

from __future__ import annotations

import os
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import Client, Mqtt
from support.mosquitto import Listener, Mosquitto
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.certificates import Certificates, KeyPair

USERS = {"your_username": "your_password"}


@pytest.fixture
def start(broker_factory: Callable[..., Mosquitto]) -> Callable[[KeyPair], int]:
    """Start a broker with a certificate, which wants a user; return its port."""

    def start(pair: KeyPair) -> int:
        listener = Listener(certificate=pair.certificate, key=pair.key)
        broker = broker_factory(users=USERS, listeners={"tls": listener})
        return broker.listeners["tls"].port

    return start


def test_a_cloud_broker_whose_certificate_the_system_knows(
    start: Callable[[KeyPair], int], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", os.fspath(certificates.ca))
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_BROKER_PORT"] = start(certificates.server)
    app.config["MQTT_USERNAME"] = "your_username"
    app.config["MQTT_PASSWORD"] = "your_password"
    app.config["MQTT_KEEPALIVE"] = 60
    app.config["MQTT_TLS_ENABLED"] = True
    app.config["MQTT_TLS_VERSION"] = ssl.PROTOCOL_TLSv1_2
    app.config["MQTT_TLS_INSECURE"] = False
    with Mqtt(app) as mqtt:
        wait_until(lambda: mqtt.connected)


def test_a_broker_with_an_authority_of_ones_own_and_another_name(
    start: Callable[[KeyPair], int], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(certificates.directory)
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_BROKER_PORT"] = start(certificates.wrong_host)
    app.config["MQTT_USERNAME"] = "your_username"
    app.config["MQTT_PASSWORD"] = "your_password"
    app.config["MQTT_TLS_ENABLED"] = True
    app.config["MQTT_TLS_INSECURE"] = True
    app.config["MQTT_TLS_CA_CERTS"] = "ca.pem"
    with Mqtt(app) as mqtt:
        wait_until(lambda: mqtt.connected)


def test_a_client_for_one_command_sets_tls_in_the_way_of_paho(
    start: Callable[[KeyPair], int], certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(certificates.directory)
    published = threading.Event()
    client = Client()
    client.username_pw_set("your_username", password="your_password")
    client.tls_set(
        ca_certs="ca.pem",
        certfile=None,
        keyfile=None,
        cert_reqs=ssl.CERT_REQUIRED,
        tls_version=ssl.PROTOCOL_TLSv1_2,
        ciphers=None,
    )
    client.on_publish = lambda client, userdata, mid: published.set()
    client.connect("localhost", port=start(certificates.server))
    client.loop_start()
    client.publish("snippet/command", "on", qos=1)
    assert published.wait(20)
    client.disconnect()
    client.loop_stop()
    client.close()


def test_a_websocket_by_its_key(tls_broker: Mosquitto) -> None:
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_BROKER_PORT"] = tls_broker.listeners["ws"].port
    app.config["MQTT_TRANSPORT"] = "websockets"
    messages: list[bytes] = []
    with Mqtt(app) as mqtt:

        @mqtt.on_message()
        def handle_message(client: Any, userdata: Any, message: Any) -> None:
            messages.append(message.payload)

        mqtt.subscribe("snippet/websocket")
        mqtt.publish("snippet/websocket", "hello")
        wait_until(lambda: messages == [b"hello"])
