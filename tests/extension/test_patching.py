"""What an application's own tests put in the place of the client, and the calls that they see."""

from __future__ import annotations

import gc
import ssl
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from flask import Flask

import flask_mqtt
from flask_mqtt import CallbackAPIVersion, Client, Mqtt, MQTTv5, TopicQos
from support.apps import app_for, make_app
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker

#: Of an address that nobody has: connecting to it would fail, or take long.
NOWHERE = "192.0.2.1"


@pytest.fixture
def made() -> Any:
    """A class in the place of `flask_mqtt.Client`."""
    with mock.patch("flask_mqtt.Client") as made:
        yield made


def app(**config: Any) -> Flask:
    return make_app(1884, broker_url=NOWHERE, **config)


def test_the_class_is_looked_up_in_the_package(made: mock.MagicMock) -> None:
    mqtt = Mqtt(app())
    made.assert_called_once_with(CallbackAPIVersion.VERSION1)
    assert mqtt.client is made.return_value


def test_an_application_starts_without_a_socket(made: mock.MagicMock) -> None:
    # The clients of earlier tests may open one when they are collected.
    gc.collect()
    with mock.patch("socket.socket", side_effect=AssertionError("a socket is opened")):
        mqtt = Mqtt(app())
    assert made.return_value.method_calls == [
        mock.call.connect(NOWHERE, 1884, keepalive=60),
        mock.call.loop_start(),
    ]
    mqtt.close()


def test_connecting_later(made: mock.MagicMock) -> None:
    Mqtt(app(keepalive=9), connect_async=True, mqtt_logging=True)
    assert made.return_value.method_calls == [
        mock.call.enable_logger(flask_mqtt.logger),
        mock.call.connect_async(NOWHERE, 1884, keepalive=9),
        mock.call.loop_start(),
    ]


def test_what_the_configuration_says_is_said_with_the_calls_of_flask_mqtt(
    made: mock.MagicMock,
) -> None:
    Mqtt(
        app(
            username="me", password="secret", tls_enabled=True, tls_ca_certs="/ca.pem",
            tls_certfile="/cert.pem", tls_keyfile="/key.pem", tls_cert_reqs=ssl.CERT_NONE,
            tls_version=ssl.PROTOCOL_TLSv1_2, tls_ciphers="HIGH", tls_insecure=True,
            last_will_topic="gone", last_will_message="bye", last_will_qos=2,
            last_will_retain=True,
        )
    )  # fmt: skip
    assert made.return_value.method_calls == [
        mock.call.will_set("gone", "bye", 2, True),
        mock.call.username_pw_set("me", "secret"),
        mock.call.tls_set(
            ca_certs="/ca.pem",
            certfile="/cert.pem",
            keyfile="/key.pem",
            cert_reqs=ssl.CERT_NONE,
            tls_version=ssl.PROTOCOL_TLSv1_2,
            ciphers="HIGH",
        ),
        mock.call.tls_insecure_set(True),
        mock.call.connect(NOWHERE, 1884, keepalive=60),
        mock.call.loop_start(),
    ]


def test_attributes_and_handlers_are_those_of_flask_mqtt(made: mock.MagicMock) -> None:
    mqtt = Mqtt(app(client_id="me", clean_session=False, transport="websockets"))
    client = made.return_value
    assert client._client_id == b"me"
    assert (client.transport, client.protocol, client.clean_session) == ("websockets", 4, False)
    assert client.on_connect == mqtt._handle_connect
    assert client.on_disconnect == mqtt._handle_disconnect
    for name in ("message", "publish", "subscribe", "unsubscribe", "log"):
        handler = mock.Mock()
        assert getattr(mqtt, f"on_{name}")()(handler) is handler
        assert getattr(client, f"on_{name}") is handler
    mqtt.on_topic("a/#")(print)
    client.message_callback_add.assert_called_once_with("a/#", print)


def test_what_flask_mqtt_has_no_method_for_goes_through_configure(made: mock.MagicMock) -> None:
    Mqtt(app(max_inflight=7, tcp_nodelay=False))
    made.return_value.configure.assert_called_once_with(max_inflight=7, tcp_nodelay=False)


def test_further_arguments_come_only_where_there_are_some(made: mock.MagicMock) -> None:
    context = ssl.create_default_context()
    Mqtt(app(tls_context=context, tls_enabled=True, bind_address="127.0.0.1", protocol_version=5))
    client = made.return_value
    client.tls_set_context.assert_called_once_with(context)
    client.connect.assert_called_once_with(
        NOWHERE, 1884, keepalive=60, bind_address="127.0.0.1", clean_start=True
    )
    assert client.protocol == MQTTv5


def test_calls_have_the_arguments_of_flask_mqtt(made: mock.MagicMock) -> None:
    client = made.return_value
    client.subscribe.return_value = client.unsubscribe.return_value = (0, 1)
    client.publish.return_value = (0, 2)
    mqtt = Mqtt(app())
    client.reset_mock()
    assert mqtt.subscribe("a", 1) == (0, 1)
    assert mqtt.topics == {"a": TopicQos("a", 1)}
    assert mqtt.unsubscribe("a") == (0, 1)
    assert mqtt.publish("b", b"1", 2, True) == (0, 2)
    mqtt._disconnect()
    assert client.method_calls == [
        mock.call.subscribe(topic="a", qos=1),
        mock.call.unsubscribe("a"),
        mock.call.publish("b", b"1", 2, True),
        mock.call.loop_stop(),
        mock.call.disconnect(),
    ]
    assert not mqtt.topics


def test_a_failure_that_a_mock_returns_is_logged(
    made: mock.MagicMock, caplog: pytest.LogCaptureFixture
) -> None:
    made.return_value.connect.return_value = 0
    made.return_value.subscribe.return_value = (1, None)
    mqtt = Mqtt(app())
    mqtt.subscribe("a")
    assert caplog.messages == ["Subscribing to 'a' failed: MQTT_ERR_NOMEM"]
    assert not mqtt.topics


def test_topics_are_subscribed_to_when_a_mock_connects(made: mock.MagicMock) -> None:
    client = made.return_value
    client.subscribe.return_value = (0, 1)
    mqtt = Mqtt(app())
    mqtt.subscribe("a", 1)
    mqtt.topics["b"] = TopicQos("b", 2)
    client.reset_mock()
    connected: list[bool] = []
    for rc in (5, 0):
        client.on_connect(client, None, {"session present": 0}, rc)
        connected.append(mqtt.connected)
    assert connected == [False, True]
    assert client.method_calls == [
        mock.call.subscribe(topic="a", qos=1),
        mock.call.subscribe(topic="b", qos=2),
    ]


class Fake:
    """A client that somebody wrote for tests, with no more than Flask-MQTT calls."""

    def __init__(self, version: CallbackAPIVersion) -> None:
        self.calls: list[Any] = [version]

    def connect(self, host: str, port: int, keepalive: int) -> int:
        self.calls.append((host, port, keepalive))
        return 0

    def loop_start(self) -> None:
        self.calls.append("loop_start")

    def loop_stop(self) -> None:
        self.calls.append("loop_stop")

    def disconnect(self) -> None:
        self.calls.append("disconnect")


def test_a_client_without_properties_gets_its_old_attributes() -> None:
    class Old(Fake):
        @property
        def protocol(self) -> int:
            return 4

    with mock.patch("flask_mqtt.Client", Old):
        client: Any = Mqtt(app(protocol_version=3)).client
    assert (client._transport, client._protocol, client._clean_session) == ("tcp", 3, True)


def test_a_client_written_for_tests_need_not_have_more() -> None:
    with mock.patch("flask_mqtt.Client", Fake):
        mqtt = Mqtt(app(max_inflight=9))
    mqtt.close()
    fake: Any = mqtt.client
    version = CallbackAPIVersion.VERSION1
    start = [version, (NOWHERE, 1884, 60), "loop_start"]
    assert fake.calls == [*start, "loop_stop", "disconnect"]


def test_a_mock_with_a_specification_is_a_mock() -> None:
    with mock.patch("flask_mqtt.Client", autospec=True):
        mqtt = Mqtt(app(username="me"))
    client: Any = mqtt.client
    client.username_pw_set.assert_called_once_with("me", None)
    client.connect.assert_called_once_with(NOWHERE, 1884, keepalive=60)
    mqtt.close()


def test_a_mock_may_take_the_place_of_the_client_later(scripted: ScriptedBroker) -> None:
    with Mqtt(make_app(scripted.port)) as mqtt:
        real, mqtt.client = mqtt.client, mock.MagicMock()
        client: Any = mqtt.client
        client.publish.return_value = (4, 1)
        assert mqtt.publish("a", "1") == (4, 1)
        client.publish.assert_called_once_with("a", "1", 0, False)
        mqtt.client = real


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("autospec", [False, True])
def test_one_method_is_patched(later: bool, autospec: bool) -> None:
    name = "connect_async" if later else "connect"
    with mock.patch.object(Client, name, autospec=autospec) as connect:
        mqtt = Mqtt(app(), connect_async=later)
    me = (mqtt.client,) if autospec else ()
    connect.assert_called_once_with(*me, NOWHERE, 1884, keepalive=60)
    assert not mqtt.client.is_connected()
    mqtt.close()


@pytest.mark.parametrize("name", ["loop_start", "username_pw_set", "will_set", "tls_set"])
def test_every_method_is_called_through_its_class(name: str, scripted: ScriptedBroker) -> None:
    config = {"username": "me", "last_will_topic": "gone"}
    with mock.patch.object(Client, name) as method, mock.patch.object(Client, "connect"):
        mqtt = Mqtt(make_app(scripted.port, tls_enabled=name == "tls_set", **config))
    method.assert_called_once()
    mqtt.close()


class Watched(Client):
    """A subclass that sees all calls."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.calls: list[str] = []
        super().__init__(*arguments, **options)


def _watch(name: str) -> Any:
    def method(self: Watched, *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        return getattr(Client, name)(self, *arguments, **options)

    return method


SEEN = (
    "username_pw_set", "will_set", "configure", "connect", "loop_start", "subscribe", "publish",
    "unsubscribe", "loop_stop", "disconnect", "close",
)  # fmt: skip
for _name in SEEN:
    setattr(Watched, _name, _watch(_name))


def test_the_methods_of_a_subclass_see_the_calls(scripted: ScriptedBroker) -> None:
    with mock.patch("flask_mqtt.Client", Watched):
        mqtt = Mqtt()
    mqtt.init_app(make_app(scripted.port, username="me", last_will_topic="w", max_queued=3))
    wait_until(lambda: mqtt.connected)
    mqtt.subscribe("a", 1)
    scripted.wait_for("SUBSCRIBE")
    scripted.drop()
    scripted.wait_for("SUBSCRIBE", 2)
    wait_until(lambda: mqtt.connected)
    mqtt.publish("b")
    mqtt.unsubscribe("a")
    mqtt.close()
    client: Any = mqtt.client
    assert set(client.calls) == set(SEEN)
    assert client.calls.count("subscribe") == 2, "once by the application, once by the extension"
    assert len(scripted.of("SUBSCRIBE")) == 2, "and only once for each connection"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"clean_session": "perhaps"}, "MQTT_CLEAN_SESSION = 'perhaps'"),
        ({"tls_enabled": True, "tls_version": 0}, "MQTT_TLS_VERSION = 0"),
        ({"last_will_topic": "a/#"}, "MQTT_LAST_WILL_TOPIC: invalid topic"),
        ({"keepalive": -1}, "MQTT_KEEPALIVE = -1"),
    ],
)
@pytest.mark.parametrize("mocked", [False, True])
def test_errors_name_the_key(config: dict[str, Any], text: str, mocked: bool) -> None:
    target = mock.patch("flask_mqtt.Client") if mocked else mock.patch("flask_mqtt.Client", Client)
    with target, pytest.raises((TypeError, ValueError), match=text):
        Mqtt(app(**config))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("clean_session", "perhaps", "MQTT_CLEAN_SESSION = 'perhaps'"),
        ("broker_url", "a:b", "MQTT_BROKER_URL = 'a:b'"),
        ("keepalive", "x", "MQTT_KEEPALIVE = 'x'"),
    ],
)
def test_errors_of_what_was_assigned_name_the_key(name: str, value: Any, text: str) -> None:
    mqtt = Mqtt()
    setattr(mqtt, name, value)
    with pytest.raises((TypeError, ValueError), match=text):
        mqtt.init_app(Flask("tests"))


def test_a_url_goes_to_connect_as_it_is(made: mock.MagicMock) -> None:
    Mqtt(app_for("mqtts://192.0.2.1:8884"))
    made.return_value.connect.assert_called_once_with("mqtts://192.0.2.1:8884", 1883, keepalive=60)
