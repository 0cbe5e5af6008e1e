"""paho's public names, one by one: here they are the same, or differ for a reason that is given.

What is compared: methods and functions with their parameters and defaults, attributes and whether
they can be set, constants, enumerations with all members. The environment of the original has paho
2.2.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import flask_mqtt
from support.surface import Row, rows, undocumented

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

MISSING = "missing"

#: Why, what differs, and in which names.
DIFFERENCES = (
    (
        "the core reads and writes packets: no call takes these numbers, and none raises this",
        MISSING,
        """MessageType CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK
        UNSUBSCRIBE UNSUBACK PINGREQ PINGRESP DISCONNECT AUTH PacketTypes.Names
        PacketTypes.indexes MalformedPacket""",
    ),
    (
        "the core reads and writes properties, reason codes and options",
        MISSING,
        """Properties.allowsMultiple Properties.getIdentFromName Properties.getNameFromIdent
        Properties.pack Properties.properties Properties.readProperty Properties.types
        Properties.unpack Properties.writeProperty ReasonCode.getId ReasonCode.json
        ReasonCode.names ReasonCode.pack ReasonCode.set ReasonCode.unpack
        SubscribeOptions.names SubscribeOptions.pack SubscribeOptions.unpack""",
    ),
    (
        "there is no bridge mode: MQTT 5 has it as SubscribeOptions",
        MISSING,
        "PahoClientMode MQTT_BRIDGE MQTT_CLIENT",
    ),
    (
        "paho has them for its own signatures",
        MISSING,
        "CleanStartOption HTTPHeader WebSocketHeaders",
    ),
    ("the index of filters is in Rust", MISSING, "MQTTMatcher.Node"),
    ("iter() of a tuple makes a new iterator each time", MISSING, "MQTTMessageInfo.next"),
    (
        "a tuple, which publish makes; rc follows what becomes of the message",
        "parameters",
        "MQTTMessageInfo",
    ),
    (
        "a tuple, which publish makes; rc follows what becomes of the message",
        "settable",
        "MQTTMessageInfo.mid MQTTMessageInfo.rc",
    ),
    ("None stands for no topic, as b'' does", "parameters", "MQTTMessage"),
    (
        "the socket belongs to the connection's thread, so nobody can be told to watch it",
        "settable",
        "Client.on_socket_register_write Client.on_socket_unregister_write",
    ),
    (
        "values may be given at once, and two with the same values are equal, so not hashable",
        "hashable parameters",
        "Properties",
    ),
    ("names() lists those that are set", "kind parameters settable", "Properties.names"),
    ("which packet it is for does not change", "settable", "Properties.packetType"),
    ("an int", "hashable", "ReasonCode ReasonCodes"),
    ("an int does not change", "settable", "ReasonCode.value"),
    ("two with the same options are equal, so not hashable", "hashable", "SubscribeOptions"),
)

DECLARED = {name: tuple(facts.split()) for _, facts, names in DIFFERENCES for name in names.split()}


@pytest.fixture
def compared(original_python: Path) -> dict[str, Row]:
    """Every name of paho's."""
    return {row.name: row for row in rows()}


def test_what_differs_from_paho_has_a_reason(compared: dict[str, Row]) -> None:
    surprising = [
        f"{name}, {' and '.join(row.differing)}: paho {row.paho}, ours {row.ours}"
        for name, row in compared.items()
        if row.differing and row.differing != DECLARED.get(name)
    ]
    assert not surprising, "\n".join(surprising)


def test_what_has_a_reason_to_differ_does(compared: dict[str, Row]) -> None:
    needless = [name for name in DECLARED if name not in compared or not compared[name].differing]
    assert not needless, " ".join(needless)


def test_what_paho_has_is_exported(compared: dict[str, Row]) -> None:
    names = {name for name, row in compared.items() if row.ours and "." not in name}
    assert names <= set(flask_mqtt.__all__)


def test_no_name_is_declared_twice() -> None:
    assert len(DECLARED) == sum(len(names.split()) for _, _, names in DIFFERENCES)


@pytest.mark.usefixtures("compared")
def test_what_paho_has_is_documented_here() -> None:
    assert not undocumented(), " ".join(undocumented())


def test_the_comparison_sees_each_kind_of_name(compared: dict[str, Row]) -> None:
    paho = {name: row.paho for name, row in compared.items()}
    assert paho["Client.publish"]["parameters"] == [
        "positional or keyword topic",
        "positional or keyword payload = None",
        "positional or keyword qos = 0",
        "positional or keyword retain = False",
        "positional or keyword properties = None",
    ]
    assert paho["Client"]["parameters"][0].endswith(" = CallbackAPIVersion.VERSION1")
    assert paho["Client.host"] == {"kind": "attribute", "settable": True, "documented": True}
    assert paho["Client.protocol"]["settable"] is False
    assert paho["MQTTMessage"]["hashable"] is False
    assert paho["MQTTMessage.payload"]["kind"] == "attribute"
    assert paho["MQTTMessageInfo"]["iterable"] is True
    assert paho["ConnackCode"]["members"]["CONNACK_REFUSED_NOT_AUTHORIZED"] == 5
    assert (paho["ConnackCode"]["kind"], paho["CallbackAPIVersion"]["kind"]) == ("numbers", "names")
    assert paho["MQTT_ERR_NO_CONN"] == {
        "kind": "constant",
        "value": "MQTTErrorCode.MQTT_ERR_NO_CONN",
    }
    assert paho["CallbackOnConnect_v2"] == {"kind": "type"}
    assert paho["error_string"]["kind"] == "function"


def test_a_row_says_what_differs() -> None:
    paho = {"kind": "attribute", "settable": True, "documented": False}
    assert Row("a", paho, paho | {"documented": True}).status == "same"
    assert Row("a", paho, None).status == "missing"
    row = Row("a", paho, {"kind": "method", "parameters": []})
    assert (row.status, row.differing) == ("different", ("kind", "parameters", "settable"))
