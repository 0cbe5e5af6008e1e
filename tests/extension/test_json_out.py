"""``MQTT_JSON``: what `publish` sends for dicts, lists, dataclasses and models."""

from __future__ import annotations

import dataclasses
import enum
import json
import types
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec
import pydantic
import pytest
from flask.json.provider import DefaultJSONProvider

from flask_mqtt import Mqtt, MQTTv5, Properties
from support.apps import make_app
from support.running import connected

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


class Unit(enum.Enum):
    CELSIUS = "C"


@dataclasses.dataclass
class Reading:
    value: float
    unit: Unit = Unit.CELSIUS


class Model(pydantic.BaseModel):
    value: float


class Record(msgspec.Struct):
    value: float


class Metric:
    pass


class Provider(DefaultJSONProvider):
    def default(self, o: Any) -> Any:
        return "a metric" if isinstance(o, Metric) else DefaultJSONProvider.default(o)


@pytest.mark.parametrize(
    ("payload", "sent"),
    [
        ({"b": 1, "a": [None, True]}, b'{"a": [null, true], "b": 1}'),
        ([], b"[]"),
        (Reading(21.5), b'{"unit": "C", "value": 21.5}'),
        (Model(value=1), b'{"value": 1.0}'),
        (Record(1.0), b'{"value": 1.0}'),
        ({"K": "Küche"}, rb'{"K": "K\u00fcche"}'),
        ([datetime(2026, 1, 31, tzinfo=timezone.utc)], b'["Sat, 31 Jan 2026 00:00:00 GMT"]'),
        ("text", b"text"),
        (b"\xff", b"\xff"),
        (1.5, b"1.5"),
        (None, b""),
    ],
)
def test_a_value_is_sent_as_json(scripted: ScriptedBroker, payload: Any, sent: bytes) -> None:
    with connected(make_app(scripted.port, json=True)) as mqtt:
        mqtt.publish("json", payload, qos=1)
        assert scripted.wait_for("PUBLISH").payload == sent


def test_the_provider_of_the_application_writes_it(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, json=True)
    app.json = Provider(app)
    with connected(app) as mqtt:
        mqtt.publish("json", {"metric": Metric()})
        assert scripted.wait_for("PUBLISH").payload == b'{"metric": "a metric"}'


@pytest.mark.parametrize("payload", [{}, [], Reading(1.0), Model(value=1)])
def test_without_the_key_it_is_no_payload(mqtt: Mqtt, payload: Any) -> None:
    with pytest.raises(TypeError, match="payload must be a string, bytearray, int, float or None"):
        mqtt.publish("json", payload)


def test_what_cannot_be_written_is_not_sent(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port, json=True)) as mqtt:
        with pytest.raises(TypeError, match="Metric is not JSON serializable"):
            mqtt.publish("json", {"metric": Metric()})
        with pytest.raises(TypeError, match="payload must be a string"):
            mqtt.publish("json", {1, 2})
        mqtt.publish("json", "end")
        assert scripted.wait_for("PUBLISH").payload == b"end"


@pytest.mark.parametrize(
    ("payload", "properties", "content_type"),
    [
        ({}, None, "application/json"),
        ({}, {"MessageExpiryInterval": 5}, "application/json"),
        ({}, Properties(3, MessageExpiryInterval=5), "application/json"),
        ({}, {"ContentType": "application/senml+json"}, "application/senml+json"),
        ("text", None, None),
    ],
)
def test_with_mqtt_5_the_content_type_says_so(
    scripted5: ScriptedBroker, payload: Any, properties: Any, content_type: str | None
) -> None:
    with connected(make_app(scripted5.port, json=True, protocol_version=MQTTv5)) as mqtt:
        mqtt.publish("json", payload, properties=properties)
        sent = dict(scripted5.wait_for("PUBLISH").properties)
        assert sent.get("ContentType") == content_type
        wanted = 5 if properties and "ContentType" not in properties_of(properties) else None
        assert sent.get("MessageExpiryInterval") == wanted
    if isinstance(properties, Properties):
        assert properties.json() == {"MessageExpiryInterval": 5}, "it is the application's"


def properties_of(properties: Any) -> dict[str, Any]:
    return properties if isinstance(properties, dict) else properties.json()


def test_the_prefix_goes_with_it(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port, json=True)
    app.config["MQTT_PREFIX"] = "site"
    with connected(app) as mqtt:
        mqtt.publish("json", [1])
        mqtt.publish("json", [2], no_prefix=True)
        scripted.wait_for("PUBLISH", count=2)
        packets = scripted.of("PUBLISH")
    assert [(one.topic, one.payload) for one in packets] == [
        ("site/json", b"[1]"),
        ("json", b"[2]"),
    ]


def test_the_key_can_be_set_later(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    with connected(app) as mqtt:
        app.config["MQTT_JSON"] = True
        mqtt.init_app(app)
        mqtt.publish("json", {}, qos=1)
        assert scripted.wait_for("PUBLISH").payload == b"{}"


def test_an_application_that_is_none_of_flask_s_has_python_s_json(
    scripted: ScriptedBroker,
) -> None:
    app: Any = types.SimpleNamespace(config=dict(make_app(scripted.port, json=True).config))
    with connected(app) as mqtt:
        mqtt.publish("json", {"b": 1, "a": 2}, qos=1)
        assert json.loads(scripted.wait_for("PUBLISH").payload) == {"b": 1, "a": 2}
