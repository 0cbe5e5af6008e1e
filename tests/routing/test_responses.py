"""Responses: what a handler returns is published where the sender waits for it."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTv5
from support.apps import make_app
from support.packets import MQTT5
from support.protocol5 import app5, new_topic, receive
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker


@dataclasses.dataclass
class Order:
    number: int


@dataclasses.dataclass
class Price:
    euros: float


class Shop:
    """An application with a route that answers, and one that asks."""

    def __init__(self, mqtt: Mqtt, asking: Mqtt) -> None:
        self.mqtt, self.asking = mqtt, asking
        self.topic, self.answers_on = new_topic(), new_topic()
        self.answers = receive(asking, self.answers_on, qos=2)
        #: By the number of the order.
        self.results: list[Any] = ["end"]
        subscribed = threading.Event()
        mqtt.on_subscribe()(lambda *_: subscribed.set())

        @mqtt.topic(self.topic, qos=2, response=True)
        def price(client: Any, message: Any, order: Order) -> Any:
            result = self.results[order.number]
            if isinstance(result, Exception):
                raise result
            return result

        assert subscribed.wait(20)

    def order(self, result: Any, qos: int = 1) -> None:
        """Ask for something for which the handler returns this, or raises it."""
        self.results.append(result)
        self.ask(f'{{"number": {len(self.results) - 1}}}', qos)

    def ask(self, payload: str, qos: int = 1) -> None:
        properties = {"ResponseTopic": self.answers_on, "CorrelationData": b"\0data"}
        self.asking.publish(self.topic, payload, qos, properties=properties)

    def next(self) -> Any:
        return self.answers.get(timeout=20)

    def ends(self) -> bool:
        """Whether nothing of what was asked before was answered."""
        self.ask('{"number": 0}')
        return bool(self.next().payload == b"end")


@pytest.fixture
def shop(broker: Mosquitto) -> Iterator[Shop]:
    with connected(app5(broker)) as mqtt, connected(app5(broker)) as asking:
        yield Shop(mqtt, asking)


@pytest.mark.parametrize(
    ("result", "payload", "content_type"),
    [
        ({"euros": 5}, b'{"euros": 5}', "application/json"),
        (Price(2.5), b'{"euros": 2.5}', "application/json"),
        ([], b"[]", "application/json"),
        ("five", b"five", None),
        (b"", b"", None),
        (0, b"0", None),
    ],
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_a_handler_returns_is_the_response(
    shop: Shop, result: Any, payload: bytes, content_type: str | None, qos: int
) -> None:
    shop.order(result, qos)
    message = shop.next()
    assert (message.payload, message.qos) == (payload, qos)
    assert message.properties.CorrelationData == b"\0data"
    assert getattr(message.properties, "ContentType", None) == content_type


def test_none_and_errors_are_no_response(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    for result in (None, RuntimeError("sold out"), object(), {"price": object()}):
        shop.order(result)
    shop.ask("{}")
    assert shop.ends()
    assert "sold out" in caplog.text
    lost = [text for text in caplog.messages if text.startswith("The response of test_responses.")]
    assert len(lost) == 2
    assert "payload must be a string" in lost[0]
    assert "not JSON serializable" in lost[1]
    assert shop.mqtt.stats()["routes"]["responses_lost"] == 2


def test_what_hooks_return_is_a_response_too(shop: Shop) -> None:
    @shop.mqtt.errorhandler(RuntimeError)
    def sold_out(client: Any, message: Any, error: RuntimeError) -> Any:
        return {"error": str(error)}

    @shop.mqtt.on_invalid()
    async def invalid(client: Any, message: Any, error: Exception) -> Any:
        return {"error": str(error)}

    shop.order(RuntimeError("sold out"))
    assert shop.next().payload == b'{"error": "sold out"}'
    shop.ask("{}")
    assert shop.next().payload == b'{"error": "$.number: missing"}'


def test_without_the_option_there_is_none(scripted5: ScriptedBroker) -> None:
    with connected(make_app(scripted5.port, protocol_version=MQTTv5)) as mqtt:
        seen: list[Any] = []

        @mqtt.topic("a")
        def handler(client: Any, message: Any) -> str:
            seen.append(message.properties.ResponseTopic)
            return "not for you"

        scripted5.send(MQTT5.publish("a", properties=(("ResponseTopic", "b"),)))
        wait_until(lambda: seen == ["b"])
        mqtt.publish("end", qos=1).wait_for_publish(20)
        assert [packet.topic for packet in scripted5.of("PUBLISH")] == ["end"]


def test_a_response_topic_never_gets_the_prefix(scripted5: ScriptedBroker) -> None:
    app = make_app(scripted5.port, protocol_version=MQTTv5)
    app.config["MQTT_PREFIX"] = "site"
    with connected(app) as mqtt:

        @mqtt.topic("a", response=True)
        def handler(client: Any, message: Any) -> str:
            return message.topic  # type: ignore[no-any-return]

        scripted5.send(MQTT5.publish("site/a", properties=(("ResponseTopic", "answers/1"),)))
        packet = scripted5.wait_for("PUBLISH")
        assert (packet.topic, packet.payload) == ("answers/1", b"a")


def test_before_mqtt_5_nobody_waits_for_one(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[Any] = []

    @mqtt.topic("a", response=True)
    def handler(client: Any, message: Any) -> str:
        seen.append(message)
        return "for nobody"

    scripted.publish("a")
    wait_until(lambda: seen)
    mqtt.publish("end", qos=1).wait_for_publish(20)
    assert [packet.topic for packet in scripted.of("PUBLISH")] == ["end"]
