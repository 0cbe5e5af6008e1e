"""What handlers are called with: both versions of paho's callback API, MQTT 3.1.1 and 5."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    CallbackAPIVersion,
    Client,
    ConnackCode,
    ConnectFlags,
    DisconnectFlags,
    LogLevel,
    MQTTErrorCode,
    MQTTv5,
    MQTTv311,
    Properties,
    ReasonCode,
)
from support.packets import MQTT5, MQTT311
from support.running import closing
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto

VERSION1, VERSION2 = CallbackAPIVersion.VERSION1, CallbackAPIVersion.VERSION2


class Calls:
    """A client whose handlers take whatever comes, and write it down."""

    def __init__(self, version: CallbackAPIVersion, protocol: int) -> None:
        self.client = Client(version, protocol=protocol)
        self.seen: dict[str, tuple[Any, ...]] = {}
        self.client.on_connect = self._note("connect")
        self.client.on_disconnect = self._note("disconnect")
        self.client.on_subscribe = self._note("subscribe")
        self.client.on_unsubscribe = self._note("unsubscribe")
        self.client.on_publish = self._note("publish")

    def _note(self, name: str) -> Any:
        def handler(*arguments: Any) -> None:
            assert arguments[0] is self.client
            assert arguments[1] is None
            self.seen[name] = arguments[2:]

        return handler

    def wait(self, name: str) -> tuple[Any, ...]:
        """Wait until a handler was called, and return the arguments after the first two."""
        return wait_until(lambda: self.seen.get(name), what=name) or ()


@contextlib.contextmanager
def connected(version: CallbackAPIVersion, protocol: int, port: int) -> Iterator[Calls]:
    calls = Calls(version, protocol)
    calls.client.connect("127.0.0.1", port)
    calls.client.loop_start()
    with closing(calls.client):
        yield calls


def shape(arguments: tuple[Any, ...]) -> list[str]:
    return [type(argument).__name__ for argument in arguments]


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_version_2_always_gives_five_arguments(broker: Mosquitto, protocol: int) -> None:
    topic = f"versions/{uuid.uuid4()}"
    with connected(VERSION2, protocol, broker.port) as calls:
        client = calls.client
        flags, code, properties = calls.wait("connect")
        assert (flags, code, str(code)) == (ConnectFlags(session_present=False), 0, "Success")
        assert isinstance(flags, ConnectFlags)
        assert isinstance(code, ReasonCode)
        assert isinstance(properties, Properties)
        _, mid = client.subscribe([(topic, 1), (f"{topic}/b", 2)])
        assert calls.wait("subscribe")[:2] == (mid, [1, 2])
        assert [str(code) for code in calls.seen["subscribe"][1]] == [
            "Granted QoS 1",
            "Granted QoS 2",
        ]
        assert shape(calls.seen["subscribe"]) == ["int", "list", "Properties"]
        for qos in (0, 1, 2):
            _, mid = client.publish(topic, "x", qos)
            wait_until(lambda: calls.wait("publish")[0] == mid)  # noqa: B023 - used at once
            assert calls.seen["publish"][1] == 0
            assert shape(calls.seen["publish"]) == ["int", "ReasonCode", "Properties"]
        _, mid = client.unsubscribe([topic, f"{topic}/b"])
        codes = [0, 0] if protocol == MQTTv5 else []
        assert calls.wait("unsubscribe")[:2] == (mid, codes)
        assert shape(calls.seen["unsubscribe"]) == ["int", "list", "Properties"]
        client.disconnect()
        flags, code, _ = calls.wait("disconnect")
    assert (flags, str(code)) == (DisconnectFlags(False), "Normal disconnection")
    assert shape(calls.seen["disconnect"]) == ["DisconnectFlags", "ReasonCode", "Properties"]


def test_version_1_gives_plain_numbers_before_mqtt_5(broker: Mosquitto) -> None:
    with connected(VERSION1, MQTTv311, broker.port) as calls:
        client = calls.client
        assert calls.wait("connect") == ({"session present": 0}, 0)
        assert shape(calls.seen["connect"]) == ["dict", "int"]
        topic = f"versions/{uuid.uuid4()}"
        _, mid = client.subscribe(topic, 1)
        assert calls.wait("subscribe") == (mid, (1,))
        _, mid = client.publish(topic, "x", 1)
        assert calls.wait("publish") == (mid,)
        _, mid = client.unsubscribe(topic)
        assert calls.wait("unsubscribe") == (mid,)
        client.disconnect()
        assert calls.wait("disconnect") == (0,)
    assert shape(calls.seen["disconnect"]) == ["MQTTErrorCode"]


def test_version_1_gives_reason_codes_and_properties_with_mqtt_5(broker: Mosquitto) -> None:
    with connected(VERSION1, MQTTv5, broker.port) as calls:
        client = calls.client
        calls.wait("connect")
        assert shape(calls.seen["connect"]) == ["dict", "ReasonCode", "Properties"]
        topic = f"versions/{uuid.uuid4()}"
        client.subscribe(topic, 1)
        calls.wait("subscribe")
        assert shape(calls.seen["subscribe"]) == ["int", "tuple", "Properties"]
        assert shape(calls.seen["subscribe"][1]) == ["ReasonCode"]
        _, mid = client.publish(topic, "x", 1)
        # A handler that takes any number of arguments gets what it always got.
        assert calls.wait("publish")[0] == mid


REFUSALS = [
    (ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION, 132, "Unsupported protocol version"),
    (ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED, 133, "Client identifier not valid"),
    (ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE, 136, "Server unavailable"),
    (ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD, 134, "Bad user name or password"),
    (ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED, 135, "Not authorized"),
]


@pytest.mark.parametrize(("code", "reason", "name"), REFUSALS)
def test_a_refusal_is_a_reason_code_in_version_2_and_a_number_in_version_1(
    scripted: ScriptedBroker, code: int, reason: int, name: str
) -> None:
    scripted.connack = int(code)
    with connected(VERSION1, MQTTv311, scripted.port) as calls:
        assert calls.wait("connect") == ({"session present": 0}, code)
        assert isinstance(calls.wait("disconnect")[0], MQTTErrorCode)
    with connected(VERSION2, MQTTv311, scripted.port) as calls:
        flags, refusal, _ = calls.wait("connect")
        assert (flags, refusal) == (ConnectFlags(False), reason)
        assert refusal == name
        assert refusal.is_failure
        assert calls.wait("disconnect")[0] == DisconnectFlags(False)


@pytest.mark.parametrize("version", [VERSION1, VERSION2])
def test_a_refusal_of_mqtt_5_is_the_same_in_both(version: CallbackAPIVersion) -> None:
    with (
        ScriptedBroker(connack=135, version=MQTT5) as broker,
        connected(version, MQTTv5, broker.port) as calls,
    ):
        assert str(calls.wait("connect")[1]) == "Not authorized"


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_a_session_that_there_is_is_a_flag(protocol: int) -> None:
    version = MQTT5 if protocol == MQTTv5 else MQTT311
    with (
        ScriptedBroker(session_present=True, version=version) as broker,
        connected(VERSION2, protocol, broker.port) as calls,
    ):
        assert calls.wait("connect")[0] == ConnectFlags(session_present=True)


def test_a_lost_connection_and_the_brokers_own_disconnect_differ() -> None:
    with ScriptedBroker(version=MQTT5) as broker:
        with connected(VERSION2, MQTTv5, broker.port) as calls:
            calls.wait("connect")
            broker.send(MQTT5.disconnect(0x8B))
            flags, code, _ = calls.wait("disconnect")
            assert (flags, str(code)) == (DisconnectFlags(True), "Server shutting down")
        with connected(VERSION2, MQTTv5, broker.port) as calls:
            calls.wait("connect")
            broker.drop()
            flags, code, _ = calls.wait("disconnect")
            assert (flags, str(code)) == (DisconnectFlags(False), "Unspecified error")


def test_a_refused_message_and_a_refused_subscription_say_why() -> None:
    with (
        ScriptedBroker(version=MQTT5, withhold={"PUBACK", "SUBACK"}) as broker,
        connected(VERSION2, MQTTv5, broker.port) as calls,
    ):
        calls.wait("connect")
        calls.client.publish("a", "x", 1)
        broker.send(MQTT5.ack("PUBACK", broker.wait_for("PUBLISH").mid, 0x87))
        assert [str(part) for part in calls.wait("publish")[1:2]] == ["Not authorized"]
        calls.client.subscribe("a")
        broker.send(MQTT5.suback(broker.wait_for("SUBSCRIBE").mid, 0x87))
        assert [str(code) for code in calls.wait("subscribe")[1]] == ["Not authorized"]


def test_a_refused_subscription_before_mqtt_5(scripted: ScriptedBroker) -> None:
    scripted.withhold = {"SUBACK"}
    with connected(VERSION2, MQTTv311, scripted.port) as calls:
        calls.wait("connect")
        calls.client.subscribe("a")
        scripted.send(scripted.version.suback(scripted.wait_for("SUBSCRIBE").mid, 0x80))
        assert [str(code) for code in calls.wait("subscribe")[1]] == ["Unspecified error"]


def test_a_handler_with_other_parameters_is_refused() -> None:
    def on_connect(client: Client, userdata: Any, flags: Any, rc: Any) -> None: ...

    with pytest.raises(TypeError, match=r"flags, reason_code, properties\), so it must have these"):
        Client(VERSION2).on_connect = on_connect


def test_the_level_of_on_log_has_a_name(broker: Mosquitto) -> None:
    levels: list[LogLevel] = []
    with closing(Client()) as client:
        client.on_log = lambda _client, _userdata, level, _text: levels.append(level)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(lambda: levels)
    assert levels[0].name == "MQTT_LOG_DEBUG"


class Foreign:
    """The same enumeration, as another package has it."""

    value = 2


def test_the_version_of_the_api_is_checked_as_paho_does() -> None:
    with pytest.raises(TypeError, match="the client identifier comes second"):
        Client("me")  # type: ignore[arg-type]
    for wrong in (None, 3, 0.5):
        with pytest.raises(ValueError, match=r"must be CallbackAPIVersion\.VERSION1"):
            Client(wrong)  # type: ignore[arg-type]
    assert Client(Foreign()).callback_api_version is VERSION2  # type: ignore[arg-type]
    assert Client().callback_api_version is VERSION1
    with pytest.raises(AttributeError):
        Client().callback_api_version = VERSION2  # type: ignore[misc]
