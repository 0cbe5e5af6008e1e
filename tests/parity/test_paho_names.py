"""Names of paho's that have a meaning of their own here."""

from __future__ import annotations

import copy
import pickle
import typing
import warnings
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import (
    Client,
    PacketTypes,
    PayloadType,
    ReasonCode,
    ReasonCodes,
    WebsocketConnectionError,
)

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


def test_reason_codes_is_an_old_name_that_warns() -> None:
    new = ReasonCode(PacketTypes.CONNACK, "Not authorized")
    with pytest.warns(DeprecationWarning, match="use ReasonCode"):
        old = ReasonCodes(PacketTypes.CONNACK, identifier=135)
    assert old == new
    assert isinstance(new, ReasonCodes)
    assert isinstance(old, ReasonCode)
    assert not isinstance(135, ReasonCodes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(new, ReasonCodes)


def test_a_reason_code_made_by_the_old_name_is_copied() -> None:
    with pytest.warns(DeprecationWarning, match="use ReasonCode"):
        old = ReasonCodes(PacketTypes.CONNACK, "Not authorized")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert copy.copy(old) == pickle.loads(pickle.dumps(old)) == 135


@pytest.mark.parametrize("value", ["text", b"bytes", bytearray(b"b"), 1, 1.5, None])
def test_a_payload_has_one_of_its_types(value: PayloadType) -> None:
    assert isinstance(value, typing.get_args(PayloadType))
    Client().publish("a", value)


def test_a_websocket_that_is_none_raises_pahos_exception(scripted: ScriptedBroker) -> None:
    client = Client(transport="websockets")
    with pytest.raises(WebsocketConnectionError, match="no websocket at"):
        client.connect("127.0.0.1", scripted.port)
    assert issubclass(WebsocketConnectionError, ConnectionError)
