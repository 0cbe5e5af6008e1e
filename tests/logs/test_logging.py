"""What is written to the log, and what the on_log handler gets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from flask import request

import flask_mqtt
from flask_mqtt import MQTT_LOG_DEBUG, Mqtt
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged to the package's logger."""
    return [record.getMessage() for record in caplog.records if record.name == "flask_mqtt"]


def test_on_log_gets_the_texts_that_people_search_for(scripted: ScriptedBroker) -> None:
    seen: list[tuple[Any, ...]] = []
    mqtt = Mqtt()
    mqtt.on_log()(lambda *arguments: seen.append(arguments))
    mqtt.init_app(make_app(scripted.port, client_id="me"))
    with mqtt:
        wait_until(lambda: mqtt.connected)
        mqtt.publish("topic", "12345")
        wait_until(lambda: any("PUBLISH" in arguments[3] for arguments in seen))
    assert all(arguments[:2] == (mqtt.client, None) for arguments in seen)
    assert all(arguments[2] == MQTT_LOG_DEBUG for arguments in seen)
    texts = [arguments[3] for arguments in seen]
    assert texts[0].startswith("Sending CONNECT (")
    assert "client_id=b'me'" in texts[0]
    assert texts[1] == "Received CONNACK (0, 0)"
    assert texts[2] == "Sending PUBLISH (d0, q0, r0, m1), 'b'topic'', ... (5 bytes)"


def test_mqtt_logging_writes_the_same_to_the_logger(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_mqtt")
    with connected(make_app(scripted.port), mqtt_logging=True):
        wait_until(lambda: "Received CONNACK (0, 0)" in lines(caplog))


def test_without_mqtt_logging_packets_are_not_logged(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_mqtt")
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.subscribe("t")
        scripted.wait_for("SUBSCRIBE")
    assert not any("CONNACK" in line or "SUBSCRIBE" in line for line in lines(caplog))


def test_on_log_can_be_switched_off_again(scripted: ScriptedBroker) -> None:
    seen: list[str] = []
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_log()(lambda _client, _userdata, _level, text: seen.append(text))
        mqtt.publish("t")
        wait_until(lambda: any("PUBLISH" in text for text in seen))
        mqtt.client.on_log = None
        mqtt.publish("t", qos=1)
        scripted.wait_for("PUBLISH", count=2)
    assert len(seen) == 1


def test_a_handler_of_logs_that_publishes_does_not_hang_the_client(
    scripted: ScriptedBroker,
) -> None:
    with connected(make_app(scripted.port)) as mqtt:

        @mqtt.on_log()
        def handler(client: Any, userdata: Any, level: int, text: str) -> None:
            if "m1)" in text:
                client.publish("log", text)

        mqtt.publish("t")
        scripted.wait_for("PUBLISH", count=2)


def test_the_password_is_in_no_log(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    app = make_app(scripted.port, username="me", password="hunter2")
    with connected(app, mqtt_logging=True):
        wait_until(lambda: "Received CONNACK (0, 0)" in lines(caplog))
    assert "hunter2" not in caplog.text


def test_the_logger_has_the_name_of_the_module() -> None:
    assert flask_mqtt.logger is logging.getLogger("flask_mqtt")


def needs_a_request(record: logging.LogRecord) -> bool:
    """Be the filter of an application that notes who asked."""
    record.path = request.path
    return True


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["filter", "none"])
def test_a_logger_that_fails_ends_no_thread(
    scripted: ScriptedBroker, capsys: pytest.CaptureFixture[str], kind: str, threads: int
) -> None:
    app = make_app(scripted.port, handler_threads=threads, reconnect_delay_min=0.1)
    loggers = [logging.getLogger("flask_mqtt")]
    if kind == "none":
        app.logger = None  # type: ignore[assignment]
    else:
        loggers.append(app.logger)
    got: list[bytes] = []
    connections: list[int] = []
    with connected(app) as mqtt:
        mqtt.on_connect()(lambda *_: connections.append(1))

        @mqtt.on_message()
        def handle_message(client: Any, userdata: Any, message: Any) -> None:
            got.append(message.payload)
            raise ValueError(message.topic)

        for logger in loggers:
            logger.addFilter(needs_a_request)
        try:
            scripted.publish("a", b"1")
            scripted.publish("a", b"2")
            wait_until(lambda: got == [b"1", b"2"])
            scripted.drop()
            wait_until(lambda: len(connections) == 2)
            scripted.publish("a", b"3")
            wait_until(lambda: got == [b"1", b"2", b"3"])
        finally:
            for logger in loggers:
                logger.removeFilter(needs_a_request)
    # What was to be logged is not lost with it.
    assert "ValueError: a" in capsys.readouterr().err
