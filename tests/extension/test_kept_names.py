"""Names with one underscore that published programs use: on the client and on the extension."""

from __future__ import annotations

import re
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from flask import current_app

from flask_mqtt import (
    CallbackAPIVersion,
    Client,
    Mqtt,
    MQTTErrorCode,
    MQTTProtocolVersion,
    MQTTv5,
    Properties,
    TopicQos,
)
from flask_mqtt.client.kept_names import KeptNames
from support.apps import app_for, make_app
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

#: What a new client of paho's has.
NEW: dict[str, Any] = {
    "_bind_address": "",
    "_callback_api_version": CallbackAPIVersion.VERSION1,
    "_clean_session": True,
    "_client_id": b"",
    "_connect_properties": None,
    "_connect_timeout": 5.0,
    "_host": "",
    "_keepalive": 60,
    "_max_inflight_messages": 20,
    "_max_queued_messages": 0,
    "_password": None,
    "_port": 1883,
    "_protocol": MQTTProtocolVersion.MQTTv311,
    "_reconnect_max_delay": 120,
    "_reconnect_min_delay": 1,
    "_reconnect_on_failure": True,
    "_ssl": False,
    "_ssl_context": None,
    "_thread": None,
    "_tls_insecure": False,
    "_transport": "tcp",
    "_userdata": None,
    "_username": None,
    "_websocket_extra_headers": None,
    "_websocket_path": "/mqtt",
    "_will": False,
    "_will_payload": b"",
    "_will_properties": None,
    "_will_qos": 0,
    "_will_retain": False,
    "_will_topic": b"",
} | {
    f"_on_{name}": None
    for name in (
        "connect", "connect_fail", "disconnect", "log", "message", "pre_connect", "publish",
        "subscribe", "unsubscribe",
    )
}  # fmt: skip

#: What is assigned, and what is read then.
ASSIGNED: list[tuple[str, Any, Any]] = [
    ("_client_id", b"me", b"me"),
    ("_client_id", "me", b"me"),
    ("_client_id", "ümläut", "ümläut".encode()),
    ("_userdata", [1], [1]),
    ("_host", "127.0.0.1", "127.0.0.1"),
    ("_port", 1884, 1884),
    ("_keepalive", 7, 7),
    ("_username", b"ann", b"ann"),
    ("_username", "ann", b"ann"),
    ("_password", b"hunter2", b"hunter2"),
    ("_password", "hunter2", b"hunter2"),
    ("_protocol", 5, MQTTv5),
    ("_clean_session", False, False),
    ("_transport", "websockets", "websockets"),
    ("_bind_address", "127.0.0.1", "127.0.0.1"),
    ("_connect_timeout", 2.5, 2.5),
    ("_reconnect_min_delay", 2, 2),
    ("_reconnect_max_delay", 9, 9),
    ("_reconnect_on_failure", False, False),
    ("_max_inflight_messages", 3, 3),
    ("_max_queued_messages", 4, 4),
    ("_websocket_path", "/ws", "/ws"),
    ("_on_message", print, print),
    ("_on_log", print, print),
]


@pytest.mark.parametrize(("name", "value"), NEW.items())
def test_a_new_client_has_pahos_values(name: str, value: Any) -> None:
    found = getattr(Client(), name)
    assert found == value
    assert type(found) is type(value) or isinstance(found, (int, float))


@pytest.mark.parametrize(("name", "value", "read"), ASSIGNED)
def test_what_is_assigned_is_read(name: str, value: Any, read: Any) -> None:
    client = Client()
    setattr(client, name, value)
    assert getattr(client, name) == read


def test_values_of_the_constructor_and_of_methods_are_read() -> None:
    client: Any = Client(client_id="me", userdata="data", protocol=MQTTv5)
    client.username_pw_set("ann", "hunter2")
    client.will_set("w", "gone", 1, retain=True, properties=Properties(WillDelayInterval=3))
    client.tls_set()
    assert (client._client_id, client._userdata, client._protocol) == (b"me", "data", MQTTv5)
    assert (client._username, client._password) == (b"ann", b"hunter2")
    assert (client._will, client._will_topic, client._will_payload) == (True, b"w", b"gone")
    assert (client._will_qos, client._will_retain) == (1, True)
    assert client._will_properties.WillDelayInterval == 3
    assert client._ssl is True
    assert isinstance(client._ssl_context, ssl.SSLContext)


def test_the_context_is_the_one_that_was_set() -> None:
    client = Client()
    context = ssl.create_default_context()
    client.tls_set_context(context)
    assert client._ssl_context is context


def test_what_was_assigned_holds_for_the_connection(scripted: ScriptedBroker) -> None:
    client: Any = Client()
    client._host, client._port, client._keepalive = "127.0.0.1", scripted.port, 7
    client._client_id, client._clean_session = b"device", False
    client._username, client._password = "ann", b"hunter2"
    with closing(client):
        client.reconnect()
        connect = scripted.wait_for("CONNECT").connect
    assert connect is not None
    assert (connect.client_id, connect.clean_session, connect.keepalive) == ("device", False, 7)
    assert (connect.username, connect.password) == ("ann", b"hunter2")


@pytest.mark.parametrize("value", [b"device", "device"])
def test_a_client_identifier_is_assigned_before_the_extension_connects(
    scripted: ScriptedBroker, value: Any
) -> None:
    mqtt = Mqtt()
    client: Any = mqtt.client
    client._client_id = value
    with mqtt:
        mqtt.init_app(make_app(scripted.port))
        connect = scripted.wait_for("CONNECT").connect
        assert client._client_id == b"device"
    assert connect is not None
    assert connect.client_id == "device"


def test_what_is_assigned_while_connected_holds_for_the_next_connection(
    scripted: ScriptedBroker,
) -> None:
    with Mqtt(make_app(scripted.port, client_id="one")) as mqtt:
        client: Any = mqtt.client
        assert client._client_id == b"one"
        client._client_id = b"two"
        scripted.wait_for("CONNECT")
        client.reconnect()
        connect = scripted.wait_for("CONNECT", 2).connect
    assert connect is not None
    assert connect.client_id == "two"


def test_what_is_assigned_on_the_client_outlives_another_connect_of_the_extension(
    scripted: ScriptedBroker,
) -> None:
    keys: dict[str, Any] = {"client_id": "key", "last_will_topic": "will", "username": "ann"}
    with Mqtt(make_app(scripted.port, **keys)) as mqtt:
        client: Any = mqtt.client
        scripted.wait_for("CONNECT")
        mqtt._disconnect()
        client._client_id, client._clean_session = b"assigned", False
        client.will_set("another", "gone")
        client.username_pw_set("bob")
        mqtt._connect()
        connect = scripted.wait_for("CONNECT", 2).connect
        assert connect is not None
        # Flask-MQTT's `_connect` sets the user name again, and nothing else of these.
        assert (connect.client_id, connect.clean_session) == ("assigned", False)
        assert (client._will_topic, connect.username) == (b"another", "ann")
        mqtt._disconnect()
        mqtt.client_id = "attribute"
        mqtt._connect()
        connect = scripted.wait_for("CONNECT", 3).connect
    assert connect is not None
    assert connect.client_id == "attribute"


def test_the_client_of_an_extension_shows_the_configuration(scripted: ScriptedBroker) -> None:
    config: dict[str, Any] = {
        "username": "ann",
        "password": "hunter2",
        "keepalive": 9,
        "clean_session": True,
    }
    with Mqtt(make_app(scripted.port, **config)) as mqtt:
        client: Any = mqtt.client
        assert (client._host, client._port, client._keepalive) == ("127.0.0.1", scripted.port, 9)
        assert (client._username, client._password) == (b"ann", b"hunter2")
        assert client._clean_session is True


def test_a_url_shows_its_parts() -> None:
    with mock.patch.object(Client, "connect"), Mqtt(app_for("mqtts://ann:pw@192.0.2.1")) as mqtt:
        client: Any = mqtt.client
        client._parts.connection.host_given()
        assert (client._host, client._port, client._ssl) == ("192.0.2.1", 8883, True)
        assert (client._username, client._password) == (b"ann", b"pw")


def test_the_thread_is_there_while_the_loop_runs() -> None:
    client = Client()
    client.loop_start()
    thread = client._thread
    assert isinstance(thread, threading.Thread)
    assert thread.is_alive()
    assert thread.daemon
    client.loop_stop()
    assert client._thread is None
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("_port", "x", "broker_port = 'x'"),
        ("_keepalive", -1, "keepalive = -1"),
        ("_protocol", 9, "protocol_version = 9"),
        ("_transport", "smoke", "transport = 'smoke'"),
        ("_on_message", 5, "on_message 5"),
    ],
)
def test_what_is_not_allowed_is_refused(name: str, value: Any, text: str) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        setattr(Client(), name, value)


def test_the_page_of_the_client_has_every_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text()
    told = set(re.findall(r"`(_[a-z_]+)`", page.partition("## Names with an underscore")[2]))
    ours = {name for name in vars(KeptNames) if re.fullmatch(r"_[a-z]\w*", name)}
    assert ours <= NEW.keys()
    assert told == ours | {"_connect_handler", "_disconnect_handler"}


# -- the extension ----------------------------------------------------------------------------


@pytest.fixture
def unconnected() -> Mqtt:
    """An extension with an application, and without a connection."""
    with mock.patch.object(Client, "connect"), mock.patch.object(Client, "loop_start"):
        return Mqtt(make_app(1884))


FLAGS = {"session present": 0}


def test_a_handler_is_read_and_assigned(unconnected: Mqtt) -> None:
    assert (unconnected._connect_handler, unconnected._disconnect_handler) == (None, None)
    connected, disconnected = mock.Mock(), mock.Mock()
    unconnected.on_connect()(connected)
    unconnected._disconnect_handler = disconnected
    assert unconnected._connect_handler is connected
    assert unconnected.client.on_disconnect == unconnected._handle_disconnect
    client: Any = object()
    unconnected._handle_connect(client, "data", FLAGS, 0)
    unconnected._handle_disconnect(client, "data", MQTTErrorCode(7))
    connected.assert_called_once_with(client, "data", FLAGS, 0)
    disconnected.assert_called_once_with(client, "data", 7)


@pytest.mark.parametrize(("rc", "connected"), [(0, True), (5, False)])
def test_called_directly_they_say_whether_there_is_a_connection(
    unconnected: Mqtt, rc: int, connected: bool
) -> None:
    unconnected._handle_connect(unconnected.client, None, FLAGS, rc)
    assert unconnected.connected is connected
    unconnected.connected = True
    unconnected._handle_disconnect(unconnected.client, None, rc)
    assert unconnected.connected is False


def test_called_directly_a_handler_gets_what_it_takes_and_has_a_context(
    unconnected: Mqtt,
) -> None:
    seen: list[Any] = []
    unconnected.on_disconnect()(lambda: seen.append(current_app.name))
    unconnected.on_connect()(lambda client, userdata, flags, rc: seen.append((flags, rc)))
    unconnected._handle_disconnect(unconnected.client, None, 0)
    unconnected._handle_connect(unconnected.client, None, FLAGS, 0)
    assert seen == ["tests", (FLAGS, 0)]


def test_called_directly_what_a_handler_raises_is_the_callers(unconnected: Mqtt) -> None:
    unconnected.on_connect()(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        unconnected._handle_connect(unconnected.client, None, FLAGS, 0)


def test_called_directly_topics_are_subscribed_to(unconnected: Mqtt) -> None:
    unconnected.topics["a"] = TopicQos("a", 1)
    with mock.patch.object(Client, "subscribe", return_value=(0, 1)) as subscribe:
        unconnected._handle_connect(unconnected.client, None, FLAGS, 0)
    subscribe.assert_called_once_with(topic="a", qos=1)


def test_the_client_shows_the_extension_as_its_handler(unconnected: Mqtt) -> None:
    assert Mqtt().client.on_connect is None
    client: Any = unconnected.client
    handler = mock.Mock()
    unconnected.on_connect()(handler)
    for name in ("connect", "disconnect"):
        assert getattr(client, f"on_{name}") == getattr(unconnected, f"_handle_{name}")
        assert getattr(client, f"_on_{name}") == getattr(unconnected, f"_handle_{name}")
    client.on_connect(client, None, FLAGS, 0)
    handler.assert_called_once_with(client, None, FLAGS, 0)
    assert unconnected.connected
    client.on_connect = print
    assert client.on_connect is print


@pytest.mark.slow
@pytest.mark.parametrize("decorated", [False, True])
def test_a_handler_may_call_the_one_that_was_there(
    scripted: ScriptedBroker, decorated: bool
) -> None:
    seen: list[str] = []
    mqtt = Mqtt()
    if decorated:
        mqtt.on_connect()(lambda *_: seen.append("inner"))
    with mock.patch.object(Client, "connect"):
        mqtt.init_app(make_app(scripted.port))
    before: Any = mqtt.client.on_connect

    def outer(client: Client, userdata: Any, flags: Any, rc: int) -> None:
        seen.append("outer")
        before(client, userdata, flags, rc)

    mqtt.client.on_connect = outer
    mqtt.topics["a"] = TopicQos("a", 0)
    with mqtt:
        mqtt.client.connect("127.0.0.1", scripted.port)
        # `connected` is true before it.
        scripted.wait_for("SUBSCRIBE")
        scripted.drop()
        wait_until(lambda: seen.count("outer") == 2)
        scripted.wait_for("SUBSCRIBE", 2)
    assert seen == (["outer", "inner"] * 2 if decorated else ["outer"] * 2)


def test_an_assigned_handler_is_called_for_connections(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    with Mqtt(make_app(scripted.port)) as mqtt:
        mqtt._connect_handler = lambda client, userdata, flags, rc: seen.append(("up", rc))
        mqtt._disconnect_handler = lambda client, userdata, rc: seen.append(
            ("down", mqtt.connected)
        )
        wait_until(lambda: seen == [("up", 0)])
        scripted.drop()
        wait_until(lambda: len(seen) == 3)
        mqtt._connect_handler = None
    assert seen[:3] == [("up", 0), ("down", False), ("up", 0)]
