"""Constants, enumerations and their texts: paho's names and numbers, words of our own."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MessageState,
    MQTTErrorCode,
    MQTTMessage,
    MQTTMessageInfo,
    MQTTProtocolVersion,
    PacketTypes,
    ReasonCode,
    connack_string,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    error_string,
)
from support.original import ORIGINAL

if TYPE_CHECKING:
    from enum import Enum

ENUMERATIONS: list[type[Enum]] = [
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MQTTErrorCode,
    MQTTProtocolVersion,
    MessageState,
]

ASK_THE_ORIGINAL = """
import enum, json
from paho.mqtt import client, enums, reasoncodes
names = [name for name in vars(client) if name.startswith(("MQTT_", "CONNACK_", "MQTTv", "mqtt_"))]
print(json.dumps({
    "constants": {name: getattr(client, name) for name in names},
    "enums": {
        name: {member.name: member.value for member in kind}
        for name, kind in vars(enums).items()
        if isinstance(kind, enum.EnumMeta) and not name.startswith("_")
    },
    "reasons": [
        [code, name, packet]
        for code, names in reasoncodes.ReasonCode.names.items()
        for name, packets in names.items()
        for packet in packets
    ],
    "connack": {code: client.convert_connack_rc_to_reason_code(code).value for code in range(9)},
    "ends": {
        int(code): client.convert_disconnect_error_code_to_reason_code(code).value
        for code in enums.MQTTErrorCode
    },
    "aliases": [name for name in vars(client) if name.startswith("CallbackOn")],
}))
"""

#: What paho has and nobody needs here: roles and packets of its own machinery.
NOT_OURS = {"MQTT_CLIENT", "MQTT_BRIDGE", "MessageType", "PahoClientMode"}


@pytest.fixture(scope="module")
def original() -> dict[str, Any]:
    """What the original says."""
    if not ORIGINAL.exists():
        pytest.skip(f"the original is not installed at {ORIGINAL}: run ./scripts/test")
    command = [str(ORIGINAL), "-c", ASK_THE_ORIGINAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_every_constant_has_the_number_of_the_originals(original: dict[str, Any]) -> None:
    theirs = {name: value for name, value in original["constants"].items() if name not in NOT_OURS}
    assert {name: getattr(flask_mqtt, name, None) for name in theirs} == theirs
    assert theirs.keys() <= set(flask_mqtt.__all__)


def test_every_enumeration_has_the_members_of_the_originals(original: dict[str, Any]) -> None:
    ours = {kind.__name__: {member.name: member.value for member in kind} for kind in ENUMERATIONS}
    theirs = {name: members for name, members in original["enums"].items() if name not in NOT_OURS}
    assert ours == theirs


def test_every_type_of_a_handler_has_a_name(original: dict[str, Any]) -> None:
    assert set(original["aliases"]) <= set(flask_mqtt.__all__)


def test_reason_codes_equal_the_originals_names(original: dict[str, Any]) -> None:
    for code, name, packet in original["reasons"]:
        assert ReasonCode(packet, identifier=code) == name
        assert ReasonCode(packet, identifier=code) != f"{name}!"


def test_codes_are_converted_as_the_original_does(original: dict[str, Any]) -> None:
    for code, reason in original["connack"].items():
        assert convert_connack_rc_to_reason_code(int(code)) == reason
    for code, reason in original["ends"].items():
        assert convert_disconnect_error_code_to_reason_code(int(code)) == reason


def test_a_name_of_the_module_is_the_member_itself() -> None:
    members: dict[str, Enum] = {
        member.name: member
        for kind in ENUMERATIONS
        if kind is not CallbackAPIVersion
        for member in kind
    }
    for name, member in members.items():
        exported = name.lower() if name.startswith("MQTT_MS_") else name
        assert getattr(flask_mqtt, exported) is member


def test_everything_that_is_exported_is_there() -> None:
    assert [name for name in flask_mqtt.__all__ if not hasattr(flask_mqtt, name)] == []
    assert len(set(flask_mqtt.__all__)) == len(flask_mqtt.__all__)


def test_every_code_has_a_sentence_of_its_own() -> None:
    sentences = [error_string(code) for code in MQTTErrorCode]
    assert all(sentence.endswith(".") for sentence in sentences)
    assert len(set(sentences)) == len(sentences)
    assert error_string(MQTTErrorCode.MQTT_ERR_UNKNOWN) == error_string(99) == "Unknown error."
    refusals = [connack_string(code) for code in ConnackCode]
    assert len(set(refusals)) == len(refusals)
    assert refusals[0] == "Accepted."
    assert "MQTT 3.1.1 does not have" in connack_string(99)


def test_a_reason_code_is_its_own_text() -> None:
    assert connack_string(ReasonCode(PacketTypes.CONNACK, identifier=135)) == "Not authorized"


def test_a_message_has_pahos_attributes() -> None:
    message = MQTTMessage(7, b"a/b")
    assert message.state is MessageState.MQTT_MS_INVALID
    assert list(message.info) == [0, 7]
    assert message.info is message.info
    message.state = MessageState.MQTT_MS_PUBLISH
    message.info = info = MQTTMessageInfo((4, 8))
    assert message.state is MessageState.MQTT_MS_PUBLISH
    assert message.info is info
    with pytest.raises(TypeError, match="unhashable"):
        hash(message)
