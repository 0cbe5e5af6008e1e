"""Routes with payloads: what handlers get, and what becomes of messages that are not for them."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any, TypedDict
from unittest import mock

import msgspec
import pydantic
import pytest

from flask_mqtt import InvalidPayload, Mqtt, MqttBlueprint, MQTTMessage, Retry
from flask_mqtt.client.base import parts_of
from flask_mqtt.extension.routes import router_of
from flask_mqtt.routing import lines
from support.apps import make_app
from support.running import connected, lose
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


@dataclasses.dataclass
class Reading:
    value: float


class Place(TypedDict):
    room: str


class Model(pydantic.BaseModel):
    value: float


class Record(msgspec.Struct):
    value: float


def counted(mqtt: Mqtt, name: str) -> int:
    counts: Any = mqtt.stats()["routes"]
    number: int = counts[name]
    return number


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_handler_gets_the_payload_as_it_is_annotated(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[Any] = []

    @mqtt.topic("dataclass/<int:id>")
    def dataclass(client: Any, message: Any, id: int, reading: Reading) -> None:  # noqa: A002
        seen.append((id, reading))

    @mqtt.topic("typed")
    def typed(client: Any, message: Any, place: Place) -> None:
        seen.append(place)

    @mqtt.topic("model")
    def model(client: Any, message: Any, *, model: Model) -> None:
        seen.append(model)

    @mqtt.topic("record/<path:rest>")
    async def record(client: Any, message: Any, record: Record, **values: str) -> None:
        seen.append((record, values))

    @mqtt.topic("object", json=True)
    def any_object(client: Any, message: Any, value: dict) -> None:  # type: ignore[type-arg]
        seen.append(value)

    @mqtt.topic("list", json=True)
    def readings(client: Any, message: Any, readings: list[Reading]) -> None:
        seen.append(readings)

    for topic, payload in [
        ("dataclass/7", b'{"value": 1}'),
        ("typed", b'{"room": "hall"}'),
        ("model", b'{"value": 2}'),
        ("record/a/b", b'{"value": 3}'),
        ("object", b'{"a": [1]}'),
        ("list", b'[{"value": 4}]'),
    ]:
        scripted.publish(topic, payload)
    wait_until(lambda: len(seen) == 6)
    assert seen == [
        (7, Reading(1.0)),
        {"room": "hall"},
        Model(value=2),
        (Record(3.0), {"rest": "a/b"}),
        {"a": [1]},
        [Reading(4.0)],
    ]


def test_a_message_is_decoded_once_for_all_routes(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    made: list[Any] = []

    @dataclasses.dataclass
    class Counted:
        value: int

        def __post_init__(self) -> None:
            made.append(self)

    seen: list[Any] = []

    def handler(client: Any, message: Any, counted: Any) -> None:
        seen.append(counted)

    handler.__annotations__["counted"] = Counted
    for rule in ("once/#", "once/+", "once/a"):
        mqtt.topic(rule)(handler)
    scripted.publish("once/a", b'{"value": 1}')
    scripted.publish("once/a", b'{"value": 2}')
    wait_until(lambda: len(seen) == 6)
    assert [one.value for one in made] == [1, 2]
    assert all(one is made[number // 3] for number, one in enumerate(seen))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_invalid_payload_is_told_counted_and_acknowledged(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture, qos: int
) -> None:
    seen: list[Any] = []

    @mqtt.topic("sensors/<name>")
    def temperature(client: Any, message: Any, name: str, reading: Reading) -> None:
        seen.append(reading)

    scripted.publish("sensors/a", b'{"value": "\x1b[31m' + b"x" * 200 + b'"}', qos=qos, mid=1)
    scripted.publish("sensors/a", b'{"value": 1}')
    # The one with QoS 2 is handled after its PUBREL, maybe as the second one.
    wait_until(lambda: seen and warnings_in(caplog))
    assert seen == [Reading(1.0)]
    [record] = warnings_in(caplog)
    assert record.getMessage() == (
        "Invalid payload on 'sensors/a' for test_payloads."
        "test_an_invalid_payload_is_told_counted_and_acknowledged.<locals>.temperature: "
        r"$: not JSON: Invalid control character at at line 1, column 12; it is "
        rf"""b'{{"value": "\x1b[31m{"x" * 84}'… (218 bytes)"""
    )
    fields = {name: value for name, value in vars(record).items() if name.startswith("mqtt_")}
    assert fields["mqtt_event"] == "invalid_payload"
    assert fields["mqtt_topic"] == "sensors/a"
    assert fields["mqtt_path"] == "$"
    assert counted(mqtt, "invalid") == 1
    if qos:
        scripted.wait_for("PUBACK" if qos == 1 else "PUBCOMP")
    assert mqtt.stats()["handlers"]["failures"] == 0


def test_the_application_hears_of_invalid_payloads(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []

    @mqtt.on_invalid()
    def not_called(client: Any, message: Any, error: InvalidPayload) -> None:
        seen.append("the one before")

    @mqtt.on_invalid()
    def invalid(client: Any, message: Any, error: InvalidPayload) -> None:
        seen.append((client is mqtt.client, message.topic, error.path, error.reason))

    blueprint = MqttBlueprint("inner", prefix="inner")

    @blueprint.on_invalid()
    async def inner_invalid(client: Any, message: Any, error: InvalidPayload) -> None:
        seen.append(str(error))

    @mqtt.topic("outer/a")
    @blueprint.topic("a")
    def handler(client: Any, message: Any, reading: Reading) -> None:
        seen.append(reading)

    mqtt.register_blueprint(blueprint)
    scripted.publish("outer/a", b"{}")
    scripted.publish("inner/a", b"[]")
    wait_until(lambda: len(seen) == 2)
    assert seen == [
        (True, "outer/a", "$.value", "missing"),
        "$: expected an object, got an array",
    ]
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


def test_what_the_handler_of_invalid_payloads_raises_is_logged(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    @mqtt.on_invalid()
    def invalid(client: Any, message: Any, error: InvalidPayload) -> None:
        raise RuntimeError("no room for it")

    @mqtt.topic("a", dead_letter="errors/{topic}")
    def handler(client: Any, message: Any, reading: Reading) -> None: ...

    scripted.publish("a", b"{}", qos=1, mid=5)
    scripted.wait_for("PUBACK")
    assert "no room for it" in caplog.text
    assert scripted.wait_for("PUBLISH").topic == "errors/a", "what is due comes first"


def test_an_invalid_payload_is_not_tried_again_though_its_handler_fails(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    @mqtt.on_invalid()
    def invalid(client: Any, message: Any, error: InvalidPayload) -> None:
        told.append(message.topic)
        raise RuntimeError("no room for it")

    for rule, retry in (("a", None), ("b", Retry(times=1, backoff=0.01))):

        @mqtt.topic(rule, name=rule, dead_letter="errors/{topic}", retry=retry)
        def handler(client: Any, message: Any, reading: Reading) -> None: ...

    scripted.publish("a", b"{}", qos=1, mid=5)
    scripted.publish("b", b"{}", qos=1, mid=6)
    scripted.publish("a", b"{}", qos=1, mid=7)
    scripted.wait_for("PUBACK", 3)
    scripted.wait_for("PUBLISH", 3)
    assert told == ["a", "b", "a"]
    assert [packet.topic for packet in scripted.of("PUBLISH")] == [
        "errors/a",
        "errors/b",
        "errors/a",
    ]
    assert caplog.text.count("RuntimeError: no room for it") == 3


def test_an_invalid_payload_is_sent_on_as_a_dead_letter(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    @mqtt.topic("sensors/<name>", dead_letter="errors/{topic}")
    def handler(client: Any, message: Any, name: str, reading: Reading) -> None: ...

    scripted.publish("sensors/a", b"\xff", qos=1, mid=9)
    packet = scripted.wait_for("PUBLISH")
    assert (packet.topic, packet.payload, packet.qos) == ("errors/sensors/a", b"\xff", 1)
    wait_until(lambda: counted(mqtt, "dead_letters") == 1)


def test_a_dead_letter_has_the_prefix_if_its_route_has(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    app.config["MQTT_PREFIX"] = "site"
    with connected(app) as mqtt:

        def handler(client: Any, message: Any, reading: Reading) -> None: ...

        mqtt.topic("a", dead_letter="errors/{topic}")(handler)
        mqtt.topic("b", dead_letter="errors/{topic}", no_prefix=True)(handler)
        scripted.publish("site/a", b"{}")
        scripted.publish("b", b"{}")
        scripted.wait_for("PUBLISH", count=2)
        topics = [packet.topic for packet in scripted.of("PUBLISH")]
        assert topics == ["site/errors/a", "errors/b"]


def test_routes_whose_dead_letters_go_round_do_not_send_them_on(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.echo = True

    @mqtt.topic("a", dead_letter="b")
    @mqtt.topic("b", dead_letter="a")
    def handler(client: Any, message: Any, reading: Reading) -> None: ...

    scripted.publish("x/a")
    scripted.publish("a", b"{}")
    wait_until(lambda: counted(mqtt, "dead_letters_lost") == 1)
    assert counted(mqtt, "dead_letters") <= 1
    # It is logged after it is counted.
    wait_until(lambda: "it is a dead letter already" in caplog.text)


def test_a_route_that_would_get_its_own_dead_letters_is_refused(mqtt: Mqtt) -> None:
    def handler(client: Any, message: Any, reading: Reading) -> None: ...

    def with_value(client: Any, message: Any, other: str) -> None: ...

    with pytest.raises(ValueError, match=r"dead_letter 'errors/\{topic\}' of the route '#'"):
        mqtt.topic("#", dead_letter="errors/{topic}")(handler)
    with pytest.raises(ValueError, match=r"dead_letter 'errors/#'"):
        mqtt.topic("a", dead_letter="errors/#")
    assert counted(mqtt, "routes") == 0
    later = Mqtt()
    with pytest.raises(ValueError, match="the route would get its own dead letters"):
        later.topic("+/<other>", dead_letter="errors/x")(with_value)


def test_a_stand_in_for_the_client_is_enough(mqtt: Mqtt, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    @mqtt.topic("a")
    def handler(client: Any, message: Any, reading: Reading) -> None:
        seen.append((client, reading))

    stand_in = mock.Mock()
    [called] = parts_of(mqtt.client).dispatcher.message_handlers._routes.handlers("a")
    for payload in (b"{}", b'{"value": 1}'):
        message = MQTTMessage(1, b"a")
        message.payload = payload
        called(stand_in, None, message)
    assert seen == [(stand_in, Reading(1.0))]
    assert "$.value: missing" in caplog.text


def test_hooks_run_around_the_payload(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[Any] = []

    @mqtt.before_message()
    def decrypt(client: Any, message: Any) -> None:
        message.payload = message.payload.replace(b"X", b"1")

    @mqtt.after_message()
    def after(client: Any, message: Any) -> None:
        seen.append("after")

    @mqtt.topic("a")
    def handler(client: Any, message: Any, reading: Reading) -> None:
        seen.append(reading)

    scripted.publish("a", b'{"value": X}')
    wait_until(lambda: len(seen) == 2)
    assert seen == [Reading(1.0), "after"]


@dataclasses.dataclass
class Binary:
    inner: bytes


def test_a_payload_that_json_has_no_form_for_is_refused_at_once(mqtt: Mqtt) -> None:
    with pytest.raises(TypeError, match=r"handler: its parameter 'binary': Binary.inner: JSON has"):

        @mqtt.topic("a")
        def handler(client: Any, message: Any, binary: Binary) -> None: ...

    with pytest.raises(TypeError, match="'reading' and 'place' are both annotated"):

        @mqtt.topic("a")
        def both(client: Any, message: Any, reading: Reading, place: Place) -> None: ...


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (None, "on_invalid None: "),
        (lambda client, message: None, "it is called with (client, message, error)"),
    ],
)
def test_a_handler_of_invalid_payloads_is_looked_at(mqtt: Mqtt, handler: Any, text: str) -> None:
    with pytest.raises(TypeError) as caught:
        mqtt.on_invalid()(handler)
    assert text in str(caught.value)


def test_it_is_so_after_a_reconnect_too(scripted: ScriptedBroker) -> None:
    seen: list[Any] = []
    with connected(make_app(scripted.port, reconnect_delay_min=0.05)) as mqtt:

        @mqtt.topic("a")
        def handler(client: Any, message: Any, reading: Reading) -> None:
            seen.append(reading)

        scripted.wait_for("SUBSCRIBE")
        lose(scripted, mqtt.client)
        scripted.wait_for("SUBSCRIBE", count=2)
        scripted.publish("a", b'{"value": 1}')
        wait_until(lambda: seen == [Reading(1.0)])


def test_a_peer_cannot_fill_the_log(
    scripted: ScriptedBroker,
    mqtt: Mqtt,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lines, "MOST", 3)

    @mqtt.topic("#", qos=1)
    def handler(client: Any, message: Any, reading: Reading) -> None: ...

    for number in range(1, 10):
        scripted.publish("t" * 60_000, b"no json", qos=1, mid=number)
    scripted.wait_for("PUBACK", 9)
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert [text[:15] for text in told] == ["Invalid payload"] * 3 + ["3 such lines in"]
    assert max(map(len, told)) < 1_000
    assert counted(mqtt, "invalid") == 9
    monkeypatch.setattr(lines, "SECONDS", 0.0)
    caplog.clear()
    router_of(mqtt)._common.invalid._lines._until = 0.0
    scripted.publish("t", b"no json", qos=1, mid=10)
    scripted.wait_for("PUBACK", 10)
    assert "Invalid payload on 't'" in caplog.text
