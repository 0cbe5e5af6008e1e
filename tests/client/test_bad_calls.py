"""Arguments that make no sense: exactly which exception each gets, and nothing on the wire."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import make_app
from support.running import connected

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import ScriptedBroker

pytestmark = pytest.mark.smoke

PAYLOAD_TYPES = r"^payload must be a string, bytearray, int, float or None\.$"


@pytest.mark.parametrize(
    "payload",
    [{"a": 1}, ["a"], ("a",), object(), {1}, memoryview(b"a"), 1j],
    ids=lambda payload: type(payload).__name__,
)
def test_a_payload_of_another_type_is_a_type_error(payload: Any) -> None:
    with pytest.raises(TypeError, match=PAYLOAD_TYPES):
        Mqtt().publish("t", payload)


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        ("é", "é".encode()),
        (b"\xff", b"\xff"),
        (bytearray(b"ab"), b"ab"),
        (5, b"5"),
        (-2.5, b"-2.5"),
        (True, b"True"),
        (None, b""),
        ("", b""),
    ],
    ids=repr,
)
def test_a_payload_is_sent_as_text_or_bytes(
    scripted: ScriptedBroker, payload: Any, sent: bytes
) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        assert mqtt.publish("t", payload) == (0, 1)
        assert scripted.wait_for("PUBLISH").payload == sent


BAD: dict[str, tuple[type[Exception], Callable[[Mqtt], Any]]] = {
    "publish: an empty topic": (ValueError, lambda mqtt: mqtt.publish("")),
    "publish: #": (ValueError, lambda mqtt: mqtt.publish("a/#")),
    "publish: +": (ValueError, lambda mqtt: mqtt.publish("a/+/b")),
    "publish: a null character": (ValueError, lambda mqtt: mqtt.publish("a\0b")),
    "publish: a surrogate in the topic": (ValueError, lambda mqtt: mqtt.publish("a\ud800")),
    "publish: a surrogate in the payload": (ValueError, lambda mqtt: mqtt.publish("a", "\ud800")),
    "publish: a long topic": (ValueError, lambda mqtt: mqtt.publish("x" * 65_536)),
    "publish: QoS 3": (ValueError, lambda mqtt: mqtt.publish("a", "", 3)),
    "publish: QoS -1": (ValueError, lambda mqtt: mqtt.publish("a", "", -1)),
    "publish: no topic": (ValueError, lambda mqtt: mqtt.publish(None)),  # type: ignore[arg-type]
    "publish: bytes": (TypeError, lambda mqtt: mqtt.publish(b"a")),  # type: ignore[arg-type]
    "publish: a QoS of text": (TypeError, lambda mqtt: mqtt.publish("a", "", "1")),  # type: ignore[arg-type]
    "subscribe: a/#/b": (ValueError, lambda mqtt: mqtt.subscribe("a/#/b")),
    "subscribe: a#": (ValueError, lambda mqtt: mqtt.subscribe("a#")),
    "subscribe: a+/b": (ValueError, lambda mqtt: mqtt.subscribe("a+/b")),
    "subscribe: nothing": (ValueError, lambda mqtt: mqtt.subscribe("")),
    "subscribe: None": (ValueError, lambda mqtt: mqtt.subscribe(None)),
    "subscribe: a number": (ValueError, lambda mqtt: mqtt.subscribe(5)),
    "subscribe: no filters": (ValueError, lambda mqtt: mqtt.subscribe([])),
    "subscribe: QoS 3": (ValueError, lambda mqtt: mqtt.subscribe("a", 3)),
    "subscribe: QoS -1": (ValueError, lambda mqtt: mqtt.subscribe(("a", -1))),
    "subscribe: a bad filter in a list": (
        ValueError,
        lambda mqtt: mqtt.subscribe([("a", 0), ("a/#/b", 0)]),
    ),
    "subscribe: a triple": (ValueError, lambda mqtt: mqtt.subscribe([("a", 0, 1)])),
    "subscribe: a null character": (ValueError, lambda mqtt: mqtt.subscribe("a\0")),
    "subscribe: a surrogate": (ValueError, lambda mqtt: mqtt.subscribe("a\ud800")),
    "subscribe: a long filter": (ValueError, lambda mqtt: mqtt.subscribe("x" * 65_536)),
    "unsubscribe: None of the client's": (
        ValueError,
        lambda mqtt: mqtt.client.unsubscribe(None),  # type: ignore[arg-type]
    ),
    "unsubscribe: no filters": (ValueError, lambda mqtt: mqtt.client.unsubscribe([])),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_call_raises_and_sends_nothing(scripted: ScriptedBroker, name: str) -> None:
    error, call = BAD[name]
    with pytest.raises(error):
        call(Mqtt())
    with connected(make_app(scripted.port)) as mqtt:
        with pytest.raises(error):
            call(mqtt)
        assert mqtt.topics == {}
        assert mqtt.connected
    scripted.wait_for("DISCONNECT")
    assert [packet.kind for packet in scripted.packets] == ["CONNECT", "DISCONNECT"]


def test_a_payload_over_the_limit_is_a_value_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="268435455"):
        Mqtt().publish("t", bytes(268_435_456))


def test_an_error_names_the_topic_and_what_is_wrong_with_it() -> None:
    with pytest.raises(ValueError, match=r'"a/#/b".*#'):
        Mqtt().subscribe("a/#/b")
    with pytest.raises(ValueError, match="invalid QoS 3: it must be 0, 1 or 2"):
        Mqtt().publish("t", "", 3)


def test_a_malformed_filter_is_refused_where_the_handler_is_registered() -> None:
    mqtt = Mqtt()
    for register in (mqtt.on_topic, mqtt.on_message):
        with pytest.raises(ValueError, match="a/#/b"):
            register("a/#/b")(lambda *_: None)


def test_unsubscribing_from_an_unknown_topic_returns_none() -> None:
    assert Mqtt().unsubscribe("unknown") is None
    assert Mqtt().unsubscribe_all() is True
