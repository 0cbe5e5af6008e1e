"""The AsyncAPI document: against the official schema, and against what the decoders take."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from datetime import datetime  # noqa: TC003 - looked up by the decoder
from decimal import Decimal  # noqa: TC003
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pydantic
import pytest
from typing_extensions import NotRequired

from flask_mqtt import InvalidPayload, Mqtt, MqttBlueprint, MQTTv5
from flask_mqtt.asyncapi import document
from flask_mqtt.cli import mqtt as group
from flask_mqtt.payloads import decoder_for
from flask_mqtt.payloads.shape import Definitions
from support.apps import make_app
from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from support.scripted import ScriptedBroker

OFFICIAL = json.loads(
    (Path(__file__).parent / "schema" / "asyncapi-3.0.0.json").read_text(encoding="utf-8")
)


class Unit(enum.Enum):
    CELSIUS = "C"


@dataclasses.dataclass
class Reading:
    """What a sensor says."""

    value: float
    unit: Unit = Unit.CELSIUS
    at: datetime | None = None
    place: str = "hall"


@dataclasses.dataclass
class Tree:
    name: str
    children: list[Tree] = dataclasses.field(default_factory=list)
    pair: tuple[int, str] | None = None
    by_name: dict[str, Reading] = dataclasses.field(default_factory=dict)


class Command(TypedDict):
    action: Literal["on", "off"]
    seconds: NotRequired[int]


class Model(pydantic.BaseModel):
    value: float
    tree: Node | None = None


class Node(pydantic.BaseModel):
    inner: list[Node] = []


class Record(msgspec.Struct):
    value: float
    unit: Unit = Unit.CELSIUS


@dataclasses.dataclass
class Mixed:
    model: Model
    record: Record
    amount: Decimal


def check(made: dict[str, Any]) -> dict[str, Any]:
    """Look whether a document is as the official schema wants it, and has what it refers to."""
    jsonschema.Draft7Validator(OFFICIAL).validate(made)
    json.dumps(made, allow_nan=False)
    for reference in references(made):
        place: Any = made
        for part in reference.removeprefix("#/").split("/"):
            place = place[part]
    for channel in made["channels"].values():
        named = set(re.findall(r"{(\w+)}", channel["address"] or ""))
        assert named == channel.get("parameters", {}).keys()
    return made


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@pytest.fixture
def routed(scripted: ScriptedBroker) -> Iterator[Flask]:
    """An application with everything that a document has."""
    app = make_app(scripted.port, username="me", password="hunter2", last_will_topic="gone")
    app.config["MQTT_PREFIX"] = "site"
    mqtt = Mqtt()

    @mqtt.topic("sensors/<int:id>/temperature", qos=1, dead_letter="errors/{topic}")
    def temperature(client: Any, message: Any, id: int, reading: Reading) -> None:  # noqa: A002
        """Take a reading.

        It is stored.
        """

    @mqtt.topic("+/x/<path:rest>", share="group", json=True, no_prefix=True)
    def anything(client: Any, message: Any, rest: str, readings: list[Reading]) -> None: ...

    @mqtt.topic("lamp/<name>", qos=2, response=True)
    def lamp(client: Any, message: Any, name: str, command: Command) -> Tree: ...  # type: ignore[empty-body]

    @mqtt.topic("raw/#", response=True)
    def raw(client: Any, message: Any) -> None: ...

    @mqtt.batch("batches/<any(a, 'b'):kind>", qos=1)
    def batch(client: Any, readings: list[Reading]) -> None: ...

    @mqtt.topic("models", name="models")
    def models(client: Any, message: Any, model: Model) -> None: ...

    @mqtt.topic("records")
    def records(client: Any, message: Any, mixed: Mixed) -> None: ...

    @mqtt.topic("records")
    def records_again(client: Any, message: Any, record: Record) -> None: ...

    mqtt.sends("lamp/<name>", Command, qos=1, retain=True, summary="Switch a lamp.")
    mqtt.sends("log", no_prefix=True)
    blueprint = MqttBlueprint("inner", prefix="inner/<place>")
    blueprint.sends("state", Reading, name="state")
    blueprint.topic("ask")(lambda client, message, place: None)
    mqtt.register_blueprint(blueprint)
    mqtt.init_app(app)
    with mqtt:
        yield app


def test_it_is_as_the_official_schema_wants_it(routed: Flask) -> None:
    made = check(document(routed, "Sensors", "2.0.0"))
    assert made["info"] == {"title": "Sensors", "version": "2.0.0"}
    addresses = {channel["address"] for channel in made["channels"].values()}
    assert addresses == {
        "site/sensors/{id}/temperature",
        "site/errors/{topic}",
        "{level1}/x/{rest}",
        "site/lamp/{name}",
        "site/raw/{levels}",
        "site/batches/{kind}",
        "site/models",
        "site/records",
        "log",
        "site/inner/{place}/state",
        "site/inner/{place}/ask",
        None,
    }


def test_the_official_schema_refuses_what_is_wrong(routed: Flask) -> None:
    made = document(routed)
    made["operations"]["temperature"]["action"] = "get"
    with pytest.raises(jsonschema.ValidationError):
        check(made)


def test_an_operation_says_what_a_route_does(routed: Flask) -> None:
    made = document(routed)
    channel = "site_sensors_id_temperature"
    assert made["operations"]["temperature"] == {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/Reading"}],
        "summary": "Take a reading.",
        "description": "It is stored.",
        "bindings": {"mqtt": {"qos": 1, "bindingVersion": "0.2.0"}},
    }
    assert made["channels"][channel]["parameters"] == {"id": {"description": "Converter: int."}}
    assert made["channels"][channel]["messages"]["Reading"] == {
        "name": "Reading",
        "contentType": "application/json",
        "payload": {"$ref": "#/components/schemas/Reading"},
    }
    assert made["components"]["schemas"]["Reading"] == {
        "title": "Reading",
        "type": "object",
        "description": "What a sensor says.",
        "properties": {
            "value": {"type": "number"},
            "unit": {"$ref": "#/components/schemas/Unit"},
            "at": {
                "anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}],
                "default": None,
            },
            "place": {"type": "string", "default": "hall"},
        },
        "required": ["value"],
    }
    assert made["operations"]["temperature_dead_letter"]["action"] == "send"


def test_a_batch_is_of_messages(routed: Flask) -> None:
    made = document(routed)
    channel = made["channels"]["site_batches_kind"]
    assert channel["parameters"]["kind"]["enum"] == ["a", "b"]
    assert list(channel["messages"]) == ["Reading"]
    assert made["operations"]["batch"]["bindings"]["mqtt"]["qos"] == 1


def test_a_reply_is_what_the_handler_says_that_it_returns(routed: Flask) -> None:
    made = document(routed)
    reply = made["operations"]["lamp"]["reply"]
    assert reply["messages"] == [{"$ref": "#/channels/lamp_response/messages/Tree"}]
    assert made["channels"]["lamp_response"]["address"] is None
    assert list(made["channels"]["raw_response"]["messages"]) == ["message"]


def test_what_is_declared_is_sent(routed: Flask) -> None:
    operations = document(routed)["operations"]
    assert operations["send_site_lamp_name"] == {
        "action": "send",
        "channel": {"$ref": "#/channels/site_lamp_name"},
        "messages": [{"$ref": "#/channels/site_lamp_name/messages/Command"}],
        "summary": "Switch a lamp.",
        "bindings": {"mqtt": {"qos": 1, "retain": True, "bindingVersion": "0.2.0"}},
    }
    assert operations["inner_state"]["channel"] == {"$ref": "#/channels/site_inner_place_state"}
    assert operations["send_log"]["action"] == "send"


def test_the_broker_is_there_without_secrets(routed: Flask, scripted: ScriptedBroker) -> None:
    made = document(routed)
    assert made["servers"] == {
        "mqtt": {
            "host": f"127.0.0.1:{scripted.port}",
            "protocol": "mqtt",
            "protocolVersion": "3.1.1",
            "security": [{"$ref": "#/components/securitySchemes/password"}],
            "bindings": {
                "mqtt": {
                    "cleanSession": True,
                    "keepAlive": 60,
                    "lastWill": {"topic": "gone", "qos": 0, "retain": False},
                    "bindingVersion": "0.2.0",
                }
            },
        }
    }
    assert "hunter2" not in json.dumps(made)


def test_each_kind_of_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    app = make_app(
        free_port(),
        broker_url=[
            "wss://me:hunter2@example.com/mqtt?token=hunter2",
            "mqtts://[::1]:8884",
            "ws://example.com",
            "unix:///run/mqtt.sock",
        ],
        protocol_version=MQTTv5,
    )
    del app.config["MQTT_BROKER_PORT"]
    with Mqtt(app, connect_async=True):
        made = check(document(app))
    assert "hunter2" not in json.dumps(made)
    assert [
        (name, one["host"], one["protocol"], one.get("pathname"), "security" in one)
        for name, one in made["servers"].items()
    ] == [
        ("mqtt", "example.com:443", "wss", "/mqtt", True),
        ("mqtt_2", "[::1]:8884", "mqtts", None, False),
        ("mqtt_3", "example.com:80", "ws", "/mqtt", False),
        ("mqtt_4", "/run/mqtt.sock", "mqtt", None, False),
    ]
    assert {one["protocolVersion"] for one in made["servers"].values()} == {"5.0"}


def test_channels_say_on_which_of_several_brokers_they_are(scripted: ScriptedBroker) -> None:
    app = make_app(scripted.port)
    app.config["OTHER_BROKER_URL"] = "127.0.0.1"
    app.config["OTHER_BROKER_PORT"] = scripted.port
    with Mqtt(app) as first, Mqtt(app, config_prefix="OTHER") as second:
        for mqtt in (first, second):
            mqtt.topic("a")(lambda client, message: None)
        made = check(document(app))
    assert [one["servers"] for one in made["channels"].values()] == [
        [{"$ref": "#/servers/mqtt"}],
        [{"$ref": "#/servers/other"}],
    ]


def test_an_application_without_routes_has_a_document(app: Flask) -> None:
    assert check(document(app))["channels"] == {}


@pytest.mark.parametrize(
    ("annotation", "payload"),
    [
        (Reading, {"value": 1}),
        (Reading, {"value": 1.5, "unit": "C", "place": "", "more": 1}),
        (Reading, {"value": "1"}),
        (Reading, {"value": True}),
        (Reading, {"value": 1, "unit": "F"}),
        (Reading, {"value": 1, "place": None}),
        (Reading, {}),
        (Reading, []),
        (Tree, {"name": "a", "children": [{"name": "b"}], "pair": [1, "x"]}),
        (Tree, {"name": "a", "children": [{"name": 1}]}),
        (Tree, {"name": "a", "pair": [1]}),
        (Tree, {"name": "a", "pair": ["x", 1]}),
        (Tree, {"name": "a", "by_name": {"b": {"value": 1}}}),
        (Tree, {"name": "a", "by_name": {"b": {}}}),
        (Command, {"action": "on"}),
        (Command, {"action": "on", "seconds": 1.0}),
        (Command, {"action": "on", "seconds": 1.5}),
        (Command, {"action": "dim"}),
        (Model, {"value": 1, "tree": {"inner": [{"inner": []}]}}),
        (Model, {"value": 1, "tree": {"inner": [1]}}),
        (Record, {"value": 1, "unit": "C"}),
        (Record, {"value": 1, "unit": "F"}),
        (Mixed, {"model": {"value": 1}, "record": {"value": 1}, "amount": "1.50"}),
        (Mixed, {"model": {"value": 1}, "record": {}, "amount": 1}),
        (list[Reading], [{"value": 1}]),
        (list[Reading], [1]),
        (dict[str, Command], {"a": {"action": "off"}}),
        (dict[str, Command], {"a": 1}),
        (Reading | Command, {"action": "on"}),
        (Reading | Command, {}),
    ],
)
def test_the_schema_allows_what_the_decoder_takes(annotation: Any, payload: Any) -> None:
    decoder = decoder_for(annotation, json=True)
    assert decoder is not None
    definitions = Definitions()
    schema = decoder.schema(definitions)
    whole = {"allOf": [schema], "components": {"schemas": definitions.schemas}}
    try:
        decoder.decode(json.dumps(payload).encode())
        is_taken = True
    except InvalidPayload:
        is_taken = False
    assert jsonschema.Draft7Validator(whole).is_valid(payload) == is_taken


def test_two_types_of_one_name_are_told_apart() -> None:
    other = dataclasses.make_dataclass("Reading", [("other", int)])
    definitions = Definitions()
    schemas = []
    for annotation in (Reading, other, Reading):
        decoder = decoder_for(annotation)
        assert decoder is not None
        schemas.append(decoder.schema(definitions)["$ref"].rpartition("/")[2])
    assert schemas == ["Reading", "Reading2", "Reading"]
    assert definitions.schemas["Reading2"]["properties"] == {"other": {"type": "integer"}}


def _nested(library: str, part: type) -> Any:
    if library == "pydantic":
        return pydantic.create_model("Outer", inner=pydantic.create_model("Reading", part=part))
    return msgspec.defstruct("Outer", [("inner", msgspec.defstruct("Reading", [("part", part)]))])


@pytest.mark.parametrize("library", ["pydantic", "msgspec"])
def test_parts_of_models_are_told_apart_by_their_schemas(library: str) -> None:
    number, text = {"inner": {"part": 1}}, {"inner": {"part": "x"}}
    types: list[tuple[Any, Any]] = [
        (Reading, {"value": 1}),
        (_nested(library, int), number),
        (_nested(library, str), text),
        (_nested(library, int), number),
    ]
    definitions = Definitions()
    schemas = []
    for annotation, _ in types:
        decoder = decoder_for(annotation)
        assert decoder is not None
        schemas.append(decoder.schema(definitions))
    for schema, (_, own) in zip(schemas, types, strict=True):
        whole = {"allOf": [schema], "components": {"schemas": definitions.schemas}}
        valid = [jsonschema.Draft7Validator(whole).is_valid(payload) for _, payload in types]
        assert valid == [payload == own for _, payload in types]
    # What is equal is there once.
    assert [name for name in definitions.schemas if "Reading" in name] == [
        "Reading",
        "Reading2",
        "Reading3",
    ]


@pytest.mark.parametrize("payload", [bytes, "Reading", 1])
def test_what_is_no_payload_is_not_declared(payload: Any) -> None:
    with pytest.raises(TypeError, match=r"sends\('a'\) payload"):
        Mqtt().sends("a", payload)


def test_a_malformed_rule_is_not_declared() -> None:
    with pytest.raises(ValueError, match="rule 'a/<'"):
        Mqtt().sends("a/<")


def test_the_command_prints_it(routed: Flask) -> None:
    result = routed.test_cli_runner().invoke(group, ["asyncapi", "--title", "T", "--version", "3"])
    assert result.exit_code == 0, result.output
    made = check(json.loads(result.output))
    assert made["info"] == {"title": "T", "version": "3"}
    assert made["channels"] == document(routed)["channels"]


def test_the_command_writes_a_file(routed: Flask, tmp_path: Path) -> None:
    path = tmp_path / "asyncapi.json"
    result = routed.test_cli_runner().invoke(group, ["asyncapi", "-o", str(path)])
    assert (result.exit_code, result.output) == (0, "")
    assert check(json.loads(path.read_text()))["info"]["title"] == "tests"


def test_the_command_says_which_file_it_cannot_write(routed: Flask, tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "asyncapi.json"
    result = routed.test_cli_runner().invoke(group, ["asyncapi", "-o", str(path)])
    assert result.exit_code == 1
    assert result.output == f"Error: Could not open file '{path}': No such file or directory\n"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"qos": 9}, ValueError("qos 9: it must be 0, 1 or 2")),
        ({"retain": "x"}, TypeError("retain 'x': it must be True or False")),
        ({"no_prefix": 1}, TypeError("no_prefix 1: it must be True or False")),
        ({"name": 4}, TypeError("name 4: it must be a str")),
        ({"summary": b"a"}, TypeError("summary b'a': it must be a str")),
    ],
)
def test_what_is_wrong_with_an_argument_of_sends_is_said(
    options: dict[str, Any], error: Exception
) -> None:
    with pytest.raises(type(error)) as caught:
        Mqtt().sends("a", **options)
    assert str(caught.value) == str(error)
