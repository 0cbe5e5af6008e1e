"""The attributes of a client: what they are, when they can be assigned, and what they refuse."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    CallbackAPIVersion,
    Client,
    Mqtt,
    MQTTProtocolVersion,
    MQTTv5,
    MQTTv31,
    MQTTv311,
)
from support.apps import make_app
from support.ports import closed_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import ScriptedBroker

DEFAULTS: dict[str, Any] = {
    "host": "",
    "port": 1883,
    "keepalive": 60,
    "transport": "tcp",
    "protocol": MQTTv311,
    "connect_timeout": 5.0,
    "username": None,
    "password": None,
    "max_inflight_messages": 20,
    "max_queued_messages": 0,
    "will_topic": "",
    "will_payload": b"",
    "logger": None,
    "callback_api_version": CallbackAPIVersion.VERSION1,
}

OTHERS: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 1884,
    "keepalive": 7,
    "transport": "websockets",
    "connect_timeout": 2.5,
    "username": "ann",
    "password": "hunter2",
    "max_inflight_messages": 3,
    "max_queued_messages": 9,
}


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_a_new_client_has_pahos_values(name: str, value: object) -> None:
    assert getattr(Client(), name) == value


@pytest.mark.parametrize(("name", "value"), OTHERS.items())
def test_what_was_assigned_can_be_read(name: str, value: object) -> None:
    client = Client()
    setattr(client, name, value)
    assert getattr(client, name) == value


@pytest.mark.parametrize("name", ["protocol", "will_topic", "will_payload", "callback_api_version"])
def test_some_can_only_be_read(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(Client(), name, DEFAULTS[name])


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("port", 0, ValueError, "broker_port = 0"),
        ("port", 65_536, ValueError, "broker_port = 65536"),
        ("keepalive", -1, ValueError, "keepalive = -1"),
        ("keepalive", None, TypeError, "keepalive = None"),
        ("transport", "smoke", ValueError, "transport = 'smoke'"),
        ("connect_timeout", 0, ValueError, "connection_timeout = 0"),
        ("max_inflight_messages", -1, ValueError, "max_inflight = -1"),
        ("max_queued_messages", -1, ValueError, "max_queued = -1"),
        ("username", 1.5, TypeError, "username = 1.5"),
        ("password", ["hunter2"], TypeError, "password = <hidden>"),
        ("host", "", ValueError, "host ''"),
    ],
)
def test_what_is_not_allowed_is_named(
    name: str, value: Any, error: type[Exception], text: str
) -> None:
    client = Client()
    with pytest.raises(error, match=text) as caught:
        setattr(client, name, value)
    assert "hunter2" not in str(caught.value)
    assert getattr(client, name) == DEFAULTS[name]


@pytest.mark.parametrize(("name", "value"), OTHERS.items())
def test_nothing_is_assigned_while_there_is_a_connection(
    scripted: ScriptedBroker, name: str, value: object
) -> None:
    client = Client()
    client.connect("127.0.0.1", scripted.port)
    before = getattr(client, name)
    with pytest.raises(RuntimeError, match=f"{name} cannot be assigned while there is"):
        setattr(client, name, value)
    assert getattr(client, name) == before
    client.disconnect()
    setattr(client, name, value)
    assert getattr(client, name) == value


def test_nothing_is_assigned_between_two_attempts_either() -> None:
    client = Client()
    client.connect_async("127.0.0.1", closed_port())
    with pytest.raises(RuntimeError, match="host"):
        client.host = "elsewhere"
    client.loop_start()
    with pytest.raises(RuntimeError, match="host"):
        client.host = "elsewhere"
    client.loop_stop()
    client.disconnect()
    client.host = "elsewhere"
    assert client.host == "elsewhere"


def test_what_was_assigned_holds_for_the_connection(scripted: ScriptedBroker) -> None:
    client = Client(client_id="me")
    client.host, client.port, client.keepalive = "127.0.0.1", scripted.port, 7
    client.username, client.password = "ann", "hunter2"
    client.reconnect()
    connect = scripted.wait_for("CONNECT").connect
    client.close()
    assert connect is not None
    assert (connect.username, connect.password, connect.keepalive) == ("ann", b"hunter2", 7)


def test_a_url_shows_its_parts(scripted: ScriptedBroker) -> None:
    client = Client()
    client.connect(f"mqtt://ann:hunter2@127.0.0.1:{scripted.port}")
    assert (client.host, client.port) == ("127.0.0.1", scripted.port)
    assert (client.username, client.password) == ("ann", "hunter2")
    client.close()
    assert "hunter2" not in f"{client!r} {client._parts.settings.config!r}"


def test_the_client_of_an_extension_shows_the_configuration(scripted: ScriptedBroker) -> None:
    app = make_app(
        scripted.port, keepalive=9, last_will_topic="w", last_will_message="gone", max_queued=5
    )
    assert Mqtt().client.host == ""
    with Mqtt(app) as mqtt:
        client = mqtt.client
        assert (client.host, client.port, client.keepalive) == ("127.0.0.1", scripted.port, 9)
        assert (client.will_topic, client.will_payload) == ("w", b"gone")
        assert client.max_queued_messages == 5


@pytest.mark.parametrize("protocol", [MQTTv31, MQTTv311, MQTTv5])
def test_the_protocol_is_a_member(protocol: int) -> None:
    assert Client(protocol=protocol).protocol is MQTTProtocolVersion(protocol)


def test_a_will_is_set_and_cleared() -> None:
    client = Client()
    client.will_set("w", 5, 1, retain=True)
    assert (client.will_topic, client.will_payload) == ("w", b"5")
    client.will_clear()
    assert (client.will_topic, client.will_payload) == ("", b"")
    with pytest.raises(ValueError, match="a will needs a topic"):
        client.will_set(None)  # type: ignore[arg-type]


def test_limits_have_methods_too() -> None:
    client = Client()
    client.max_inflight_messages_set(4)
    assert client.max_queued_messages_set(6) is client
    assert (client.max_inflight_messages, client.max_queued_messages) == (4, 6)
    with pytest.raises(TypeError, match="max_queued"):
        client.max_queued_messages_set(None)  # type: ignore[arg-type]


def test_the_logger_is_enabled_and_disabled() -> None:
    client = Client()
    loggers: list[logging.Logger | None] = []
    client.enable_logger(logging.getLogger("mine"))
    client.enable_logger()
    loggers.append(client.logger)
    client.disable_logger()
    loggers.append(client.logger)
    client.enable_logger()
    loggers.append(client.logger)
    assert loggers == [logging.getLogger("mine"), None, logging.getLogger("flask_mqtt")]


def test_what_is_written_to_an_assigned_logger(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.logger = logging.getLogger("mine")
    with caplog.at_level(logging.DEBUG, "mine"):
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(lambda: "Received CONNACK (0, 0)" in caplog.text)
    client.loop_stop()
    client.close()
    told = [record for record in caplog.records if "CONNACK" in record.getMessage()]
    assert {record.name for record in told} == {"mine"}


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"clean_session": False}, ValueError, "it needs a client_id"),
        ({"clean_session": False, "client_id": None}, ValueError, "it needs a client_id"),
        ({"clean_session": True, "protocol": MQTTv5}, ValueError, "clean_start in its place"),
        ({"client_id": 1.5}, TypeError, "client_id = 1.5"),
        ({"transport": "smoke"}, ValueError, "transport = 'smoke'"),
        ({"reconnect_on_failure": "perhaps"}, ValueError, "reconnect_on_failure = 'perhaps'"),
    ],
)
def test_the_constructor_refuses(
    arguments: dict[str, Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Client(**arguments)


def test_a_client_id_may_be_bytes(scripted: ScriptedBroker) -> None:
    client = Client(client_id="ümläut".encode())
    client.connect("127.0.0.1", scripted.port)
    connect = scripted.wait_for("CONNECT").connect
    client.close()
    assert connect is not None
    assert connect.client_id == "ümläut"


@pytest.mark.parametrize("attempt", range(20))
def test_the_host_is_assigned_right_after_disconnect(
    scripted: ScriptedBroker, attempt: int
) -> None:
    client = Client()
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    if attempt % 2:
        wait_until(client.is_connected)
    client.disconnect()
    client.host = "elsewhere"
    assert client.host == "elsewhere"
    client.loop_stop()


def test_no_client_id_is_an_empty_one(scripted: ScriptedBroker) -> None:
    client = Client(client_id=None)
    client.connect("127.0.0.1", scripted.port)
    connect = scripted.wait_for("CONNECT").connect
    client.close()
    assert connect is not None
    assert (connect.client_id, connect.clean_session) == ("", True)


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.message_callback_remove(None),
        lambda client: client.message_callback_add(None, print),
    ],
)
def test_a_handler_of_a_topic_needs_the_topic(call: Callable[[Client], Any]) -> None:
    with pytest.raises(ValueError, match=r"filter|sub is None"):
        call(Client())
