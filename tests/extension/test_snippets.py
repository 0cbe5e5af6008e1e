"""The shapes of code that Flask-MQTT's documentation and tutorials show, each as it stands there.

The code is our own; the calls, their order and their arguments are those of the documents. The
broker's address is what differs, and topics, since the tests share a broker. More with TLS and
websockets is in test_snippets_tls.py.
"""

from __future__ import annotations

import io
import logging
import os
import ssl
import sys
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, current_app, jsonify, request

from flask_mqtt import (
    MQTT_LOG_DEBUG,
    MQTT_LOG_ERR,
    MQTT_LOG_INFO,
    MQTT_LOG_NOTICE,
    MQTT_LOG_WARNING,
    Mqtt,
)
from support.apps import make_app
from support.ports import closed_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask.typing import ResponseReturnValue

    from support.mosquitto import Mosquitto

    Keep = Callable[[Mqtt], Mqtt]


@pytest.fixture
def app(broker: Mosquitto) -> Flask:
    return make_app(broker.port)


@pytest.fixture
def keep() -> Iterator[Keep]:
    """Have an extension closed after the test."""
    kept: list[Mqtt] = []

    def add(mqtt: Mqtt) -> Mqtt:
        kept.append(mqtt)
        return mqtt

    yield add
    for mqtt in kept:
        mqtt.close()


def wait_connected(mqtt: Mqtt) -> None:
    wait_until(lambda: mqtt.connected, what="connected")


# --- connecting and configuration ------------------------------------------------------------


@pytest.mark.smoke
def test_the_extension_is_given_the_application(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    wait_connected(mqtt)


def test_a_factory_initialises_the_extension(broker: Mosquitto, keep: Keep) -> None:
    mqtt = keep(Mqtt())

    def create_app() -> Flask:
        app = make_app(broker.port)
        mqtt.init_app(app)
        return app

    assert create_app().extensions["mqtt"]["MQTT"] is mqtt
    wait_connected(mqtt)


def test_empty_credentials_a_short_keepalive_and_tls_switched_off(
    broker: Mosquitto, keep: Keep
) -> None:
    app = Flask(__name__)
    app.config["MQTT_BROKER_URL"] = broker.host
    app.config["MQTT_BROKER_PORT"] = broker.port
    app.config["MQTT_USERNAME"] = ""
    app.config["MQTT_PASSWORD"] = ""
    app.config["MQTT_KEEPALIVE"] = 5
    app.config["MQTT_TLS_ENABLED"] = False
    app.config["MQTT_CLEAN_SESSION"] = True
    mqtt = keep(Mqtt(app))
    wait_connected(mqtt)
    assert (mqtt.keepalive, mqtt.tls_enabled) == (5, False)


def test_a_key_that_means_nothing_is_ignored(app: Flask, keep: Keep) -> None:
    app.config["MQTT_REFRESH_TIME"] = 1.0
    wait_connected(keep(Mqtt(app)))


def test_credentials_are_sent(broker_factory: Callable[..., Mosquitto], keep: Keep) -> None:
    app = make_app(broker_factory(users={"me": "secret"}).port)
    app.config["MQTT_USERNAME"] = "me"
    app.config["MQTT_PASSWORD"] = "secret"
    wait_connected(keep(Mqtt(app)))


def test_tls_switched_on_without_a_broker_that_speaks_it_names_the_key(app: Flask) -> None:
    app.config["MQTT_TLS_ENABLED"] = True
    with pytest.raises(ssl.SSLError, match="MQTT_TLS_ENABLED"):
        Mqtt(app)


def test_several_brokers_with_keys_half_in_lower_case(
    broker_factory: Callable[..., Mosquitto], keep: Keep, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = broker_factory(), broker_factory()
    app = Flask(__name__)
    app.config["MQTT_broker_url"] = first.host
    app.config["MQTT_broker_port"] = first.port
    mqtt = keep(Mqtt(app))
    app.config["MQTT2_broker_url"] = second.host
    app.config["MQTT2_broker_port"] = second.port
    mqtt2 = keep(Mqtt(app, config_prefix="MQTT2"))
    wait_connected(mqtt)
    wait_connected(mqtt2)
    assert (mqtt.broker_port, mqtt2.broker_port) == (first.port, second.port)
    assert "MQTT2_BROKER_PORT is spelled MQTT2_broker_port" in caplog.text


@pytest.mark.parametrize("debugging", ["", "1"])
def test_the_extension_is_initialised_only_where_nobody_debugs(
    app: Flask, keep: Keep, monkeypatch: pytest.MonkeyPatch, debugging: str
) -> None:
    monkeypatch.setenv("FLASK_DEBUG", debugging)
    mqtt = keep(Mqtt())
    if not os.environ.get("FLASK_DEBUG"):
        mqtt.init_app(app)
    assert ("mqtt" in app.extensions) is not bool(debugging)


def test_an_application_starts_without_its_broker_where_the_error_is_caught(
    caplog: pytest.LogCaptureFixture, keep: Keep
) -> None:
    app = make_app(closed_port())
    mqtt = keep(Mqtt())
    try:
        mqtt.init_app(app)
    except Exception as error:
        app.logger.warning(f"no MQTT: {error}")  # noqa: G004 - the documents' way
    assert "no MQTT: " in caplog.text
    assert "Connection refused" in caplog.text


# --- subscribing and messages ----------------------------------------------------------------


def test_a_subscription_right_after_the_constructor(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    mqtt.subscribe("snippet/early")
    payloads: list[bytes] = []

    @mqtt.on_message()
    def handle_mqtt_message(client: Any, userdata: Any, message: Any) -> None:
        payloads.append(message.payload)

    mqtt.publish("snippet/early", "hello world")
    wait_until(lambda: payloads == [b"hello world"])


def test_handlers_come_first_and_on_connect_subscribes(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt())
    received: list[dict[str, str]] = []

    @mqtt.on_connect()
    def handle_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        mqtt.subscribe("snippet/first")
        mqtt.publish("snippet/first", "hello world")

    @mqtt.on_message()
    def handle_mqtt_message(client: Any, userdata: Any, message: Any) -> None:
        received.append(dict(topic=message.topic, payload=message.payload.decode()))  # noqa: C408

    mqtt.init_app(app)
    wait_until(lambda: received == [{"topic": "snippet/first", "payload": "hello world"}])


def test_one_handler_tells_topics_apart(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    lines: list[str] = []

    @mqtt.on_connect()
    def handle_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        mqtt.subscribe("snippet/temperature")
        mqtt.subscribe("snippet/many/#")
        mqtt.subscribe("snippet/+/level")
        for topic in ("snippet/temperature", "snippet/many/a/b", "snippet/7/level", "snippet/8"):
            mqtt.publish(topic, "5")

    @mqtt.on_message()
    def handle_mqtt_message(client: Any, userdata: Any, message: Any) -> None:
        topic = message.topic
        payload = message.payload.decode()
        if topic == "snippet/temperature":
            lines.append(f"temperature {payload}")
        elif topic.startswith("snippet/many/"):
            lines.append(f"many {payload}")
        else:
            lines.append(f"{topic.split('/')[1]} {payload}")

    wait_until(lambda: lines == ["temperature 5", "many 5", "7 5"])


def test_on_message_with_a_topic(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    mqtt.subscribe("snippet/split/#")
    lines: list[str] = []

    @mqtt.on_message("snippet/split/temperature")
    def handle_temperature(client: Any, userdata: Any, message: Any) -> None:
        lines.append(f"temperature {message.payload.decode()}")

    @mqtt.on_message("snippet/split/humidity")
    def handle_humidity(client: Any, userdata: Any, message: Any) -> None:
        lines.append(f"humidity {message.payload.decode()}")

    mqtt.publish("snippet/split/humidity", "40")
    mqtt.publish("snippet/split/temperature", "21")
    wait_until(lambda: lines == ["humidity 40", "temperature 21"])


def test_on_topic_beside_a_subscription(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    mqtt.subscribe("snippet/topic")
    texts: list[str] = []

    @mqtt.on_topic("snippet/topic")
    def handle_mytopic(client: Any, userdata: Any, message: Any) -> None:
        texts.append(f"{message.topic}: {message.payload.decode()}")

    mqtt.publish("snippet/topic", "x")
    wait_until(lambda: texts == ["snippet/topic: x"])


def test_unsubscribing_from_one_topic_and_from_all(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    mids: list[int] = []

    @mqtt.on_unsubscribe()
    def handle_unsubscribe(client: Any, userdata: Any, mid: int) -> None:
        mids.append(mid)

    for topic in ("snippet/a", "snippet/b", "snippet/c"):
        mqtt.subscribe(topic)
    mqtt.unsubscribe("snippet/a")
    assert list(mqtt.topics) == ["snippet/b", "snippet/c"]
    mqtt.unsubscribe_all()
    assert not mqtt.topics
    wait_until(lambda: len(mids) == 3)


def test_publishing_and_subscribing_are_confirmed(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    published: list[int] = []
    subscribed: list[tuple[int, tuple[int, ...]]] = []

    @mqtt.on_publish()
    def handle_publish(client: Any, userdata: Any, mid: int) -> None:
        published.append(mid)

    @mqtt.on_subscribe()
    def handle_subscribe(
        client: Any, userdata: Any, mid: int, granted_qos: tuple[int, ...]
    ) -> None:
        subscribed.append((mid, granted_qos))

    result, mid = mqtt.publish("snippet/sent", "hello world", qos=1)
    assert result == 0
    _, sub_mid = mqtt.subscribe("snippet/sent", qos=2)
    wait_until(lambda: published == [mid] and subscribed == [(sub_mid, (2,))])


# --- logging and contexts --------------------------------------------------------------------


def test_on_log_tells_errors_by_their_level(app: Flask, keep: Keep) -> None:
    mqtt = keep(Mqtt(app))
    lines: list[str] = []
    errors: list[str] = []

    @mqtt.on_log()
    def handle_logging(client: Any, userdata: Any, level: int, buf: str) -> None:
        lines.append(f"MQTT Log [{level}]: {buf}")
        if level == MQTT_LOG_ERR:
            errors.append(f"Error: {buf}")

    mqtt.publish("snippet/logged", "hello")
    expected = "PUBLISH (d0, q0, r0, m1), 'b'snippet/logged'', ... (5 bytes)"
    wait_until(lambda: any(expected in line for line in lines))
    assert errors == []


def test_the_levels_have_the_numbers_of_the_documents() -> None:
    levels = MQTT_LOG_INFO, MQTT_LOG_NOTICE, MQTT_LOG_WARNING, MQTT_LOG_ERR, MQTT_LOG_DEBUG
    assert levels == (0x01, 0x02, 0x04, 0x08, 0x10)


def test_handlers_use_current_app(app: Flask, keep: Keep, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, app.logger.name)
    mqtt = keep(Mqtt())

    @mqtt.on_connect()
    def handle_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        if rc == 0:
            current_app.logger.info("the broker is there")
            mqtt.subscribe("snippet/context")
            mqtt.publish("snippet/context", "x")
        else:
            current_app.logger.error(f"refused with {rc}")  # noqa: G004 - the documents' way

    @mqtt.on_message()
    def handle_mqtt_message(client: Any, userdata: Any, message: Any) -> None:
        current_app.logger.debug(f"message on {message.topic}")  # noqa: G004 - the documents' way

    mqtt.init_app(app)
    wait_until(lambda: "message on snippet/context" in caplog.text)
    assert "the broker is there" in caplog.text


def test_on_connect_is_told_why_the_broker_refuses(
    broker_factory: Callable[..., Mosquitto], keep: Keep
) -> None:
    app = make_app(broker_factory(users={"me": "secret"}).port)
    app.config["MQTT_USERNAME"] = "me"
    app.config["MQTT_PASSWORD"] = "wrong"
    mqtt = keep(Mqtt(app))
    codes: list[int] = []

    @mqtt.on_connect()
    def handle_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        if rc == 0:
            mqtt.subscribe("snippet/never")
        else:
            codes.append(rc)

    wait_until(lambda: codes)
    assert codes[0] in (4, 5)


# --- a whole application ---------------------------------------------------------------------


@pytest.mark.smoke
def test_a_blog_application_prints_messages_and_publishes_what_is_posted(
    app: Flask, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.config["MQTT_USERNAME"] = ""
    app.config["MQTT_PASSWORD"] = ""
    app.config["MQTT_KEEPALIVE"] = 5
    app.config["MQTT_TLS_ENABLED"] = False
    topic = "/snippet/blog"
    # Not `capsys`, which may lose what a thread prints while it is read.
    printed = io.StringIO()
    monkeypatch.setattr(sys, "stdout", printed)

    mqtt_client = keep(Mqtt(app))

    @mqtt_client.on_connect()
    def handle_connect(client: Any, userdata: Any, flags: Any, rc: int) -> None:
        if rc == 0:
            print("the connection is there")
            mqtt_client.subscribe(topic)
        else:
            print("refused:", rc)

    @mqtt_client.on_message()
    def handle_mqtt_message(client: Any, userdata: Any, message: Any) -> None:
        data = dict(topic=message.topic, payload=message.payload.decode())  # noqa: C408
        print("on {topic}: {payload}".format(**data))

    @app.route("/publish", methods=["POST"])
    def publish_message() -> ResponseReturnValue:
        request_data = request.get_json()
        publish_result = mqtt_client.publish(request_data["topic"], request_data["msg"])
        return jsonify({"code": publish_result[0]})

    def has_printed(line: str) -> bool:
        return line in printed.getvalue().splitlines()

    wait_until(lambda: has_printed("the connection is there"))
    wait_until(lambda: topic in mqtt_client.topics)
    answer = app.test_client().post("/publish", json={"topic": topic, "msg": "from a view"})
    assert answer.json == {"code": 0}
    wait_until(lambda: has_printed("on /snippet/blog: from a view"))
