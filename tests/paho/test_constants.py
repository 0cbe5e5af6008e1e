"""Codes: their names in the module, their texts, and those of paho that stand for them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import (
    ConnackCode,
    LogLevel,
    MessageState,
    MQTTErrorCode,
    MQTTProtocolVersion,
    PacketTypes,
    ReasonCode,
    connack_string,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
    error_string,
)

if TYPE_CHECKING:
    from enum import Enum
    from pathlib import Path

#: Those with numbers.
ENUMERATIONS: list[type[Enum]] = [
    ConnackCode,
    LogLevel,
    MQTTErrorCode,
    MQTTProtocolVersion,
    MessageState,
]

ASK_THE_ORIGINAL = """
import json
from paho.mqtt import client, enums, reasoncodes
print(json.dumps({
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
}))
"""


@pytest.fixture(scope="module")
def original(original_python: Path) -> dict[str, Any]:
    """What the original says."""
    command = [str(original_python), "-c", ASK_THE_ORIGINAL]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


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
    members: dict[str, Enum] = {member.name: member for kind in ENUMERATIONS for member in kind}
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
