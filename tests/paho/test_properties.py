"""`Properties`, `ReasonCode` and `SubscribeOptions` as values."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from flask_mqtt import MQTTMessage, PacketTypes, Properties, ReasonCode, SubscribeOptions

pytestmark = pytest.mark.smoke


def test_properties_have_pahos_names_and_give_back_what_was_set() -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.MessageExpiryInterval = 60
    properties.CorrelationData = b"\x01"
    setattr(properties, "Response Topic", "answers")
    assert properties.ContentType == "text/plain"
    assert properties.MessageExpiryInterval == 60
    assert properties.CorrelationData == b"\x01"
    assert properties.ResponseTopic == "answers"
    assert properties.packetType == PacketTypes.PUBLISH


def test_user_properties_keep_their_order_and_repeats() -> None:
    properties = Properties(UserProperty=("a", "1"))
    properties.UserProperty = [("a", "2"), ("b", "3")]
    properties.UserProperty = {"c": "4"}
    assert properties.UserProperty == [("a", "1"), ("a", "2"), ("b", "3"), ("c", "4")]
    properties.SubscriptionIdentifier = 3
    properties.SubscriptionIdentifier = [4, 5]
    assert properties.SubscriptionIdentifier == [3, 4, 5]


def test_another_property_is_replaced_and_can_be_removed() -> None:
    properties = Properties(ContentType="a")
    properties.ContentType = "b"
    assert properties.ContentType == "b"
    del properties.ContentType
    assert not hasattr(properties, "ContentType")
    with pytest.raises(AttributeError, match="ContentType is not set"):
        del properties.ContentType


def test_properties_know_what_they_hold() -> None:
    properties = Properties(ContentType="a", UserProperty=("n", "v"), CorrelationData=b"\xff")
    assert properties.names() == ["ContentType", "CorrelationData", "UserProperty"]
    assert json.loads(json.dumps(properties.json())) == {
        "ContentType": "a",
        "CorrelationData": "ff",
        "UserProperty": [["n", "v"]],
    }
    assert not properties.isEmpty()
    properties.clear()
    assert properties.isEmpty()
    assert {"ContentType", "UserProperty", "json"} <= set(dir(properties))


def test_properties_are_shown_as_paho_shows_them() -> None:
    properties = Properties(ContentType="a", UserProperty=("n", "v"))
    assert str(properties) == "[ContentType : a, UserProperty : [('n', 'v')]]"
    assert repr(properties) == "Properties(ContentType='a', UserProperty=[('n', 'v')])"


def test_what_authenticates_is_not_shown() -> None:
    properties = Properties(AuthenticationData=b"hush", AuthenticationMethod="x")
    assert "hush" not in repr(properties) + str(properties)


def test_properties_are_equal_whatever_the_order_of_different_ones() -> None:
    one = Properties(ContentType="a", ResponseTopic="b")
    other = Properties(ResponseTopic="b", ContentType="a")
    assert one == other
    assert one != Properties(ContentType="a")
    assert Properties(UserProperty=[("a", "1"), ("b", "2")]) != Properties(
        UserProperty=[("b", "2"), ("a", "1")]
    )


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("content_type", "did you mean ContentType?"),
        ("Contenttype", "did you mean ContentType?"),
        ("UserProperties", "did you mean UserProperty?"),
        ("xyz", "PayloadFormatIndicator, MessageExpiryInterval"),
    ],
)
def test_an_unknown_property_is_an_attribute_error_that_says_what_there_is(
    name: str, right: str
) -> None:
    with pytest.raises(AttributeError) as raised:
        setattr(Properties(), name, 1)
    assert right in str(raised.value)
    with pytest.raises(AttributeError):
        getattr(Properties(), name)
    with pytest.raises(ValueError, match="MQTT 5 has no property"):
        Properties(**{name: 1})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("MessageExpiryInterval", -1, "-1: it must be a whole number from 0 to 4294967295"),
        ("MessageExpiryInterval", 2**32, "from 0 to 4294967295"),
        ("PayloadFormatIndicator", 2, r"PayloadFormatIndicator 2: .* from 0 to 1"),
        ("TopicAlias", 0, "from 1 to 65535"),
        ("SubscriptionIdentifier", 268_435_456, "from 1 to 268435455"),
        ("ContentType", "a\0", "null character"),
        ("ContentType", "\ud800", "UTF-8"),
        ("ContentType", "x" * 65_536, "at most 65535 bytes"),
        ("CorrelationData", bytes(65_536), "at most 65535 bytes"),
        ("UserProperty", ("a", "x" * 65_536), "at most 65535 bytes"),
    ],
)
def test_a_value_that_a_property_cannot_have_is_a_value_error(
    name: str, value: Any, error: str
) -> None:
    properties = Properties()
    with pytest.raises(ValueError, match=error) as raised:
        setattr(properties, name, value)
    assert name in str(raised.value)
    assert properties.isEmpty()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("MessageExpiryInterval", "60", "of type str: it must be a whole number"),
        ("MessageExpiryInterval", 1.5, "of type float"),
        ("MessageExpiryInterval", None, "of type NoneType"),
        ("ContentType", b"a", "of type bytes: it must be a string"),
        ("CorrelationData", "a", "of type str: it must be bytes"),
        ("UserProperty", "ab", "a pair"),
        ("UserProperty", ("a", "b", "c"), "a pair"),
        ("UserProperty", ("a", 1), "of type int: it must be a pair"),
        ("UserProperty", ["a", "b", "c"], "a pair"),
        ("UserProperty", [("a", "b"), ("c", None)], "of type NoneType"),
    ],
)
def test_a_value_of_another_type_is_a_type_error(name: str, value: Any, error: str) -> None:
    properties = Properties()
    with pytest.raises(TypeError, match=error) as raised:
        setattr(properties, name, value)
    assert name in str(raised.value)
    assert properties.isEmpty()


@pytest.mark.parametrize("value", [b"\x01\x02", bytearray(b"\x01\x02"), memoryview(b"\x01\x02")])
def test_binary_data_is_taken_from_everything_that_has_bytes(value: Any) -> None:
    assert Properties(CorrelationData=value).CorrelationData == b"\x01\x02"


def test_a_property_of_another_packet_is_refused_where_the_packet_is_known() -> None:
    with pytest.raises(ValueError, match=r"SessionExpiryInterval.*no property of a PUBLISH"):
        Properties(PacketTypes.PUBLISH).SessionExpiryInterval = 1
    Properties(PacketTypes.CONNECT).SessionExpiryInterval = 1
    Properties().SessionExpiryInterval = 1


def test_an_unknown_packet_type_is_refused() -> None:
    with pytest.raises(ValueError, match="packetType 12"):
        Properties(PacketTypes.PINGREQ)


def test_a_message_made_by_hand_has_no_properties() -> None:
    message = MQTTMessage()
    assert message.properties is None
    message.properties = Properties(ContentType="a")
    assert message.properties.ContentType == "a"


# -- reason codes ---------------------------------------------------------------------------------


def test_a_reason_code_equals_its_number_and_its_name() -> None:
    code = ReasonCode(PacketTypes.CONNACK, identifier=135)
    assert code == 135
    assert code == "Not authorized"
    assert code != 0
    assert code != "Success"
    assert code.value == 135
    assert code.is_failure
    assert {135: "found"}[code] == "found"
    assert str(code) == f"{code}" == code.getName() == "Not authorized"
    assert f"{code:d}" == "135"
    assert repr(code) == "ReasonCode(Connack, 'Not authorized')"
    assert json.dumps(code) == "135"
    copied = pickle.loads(pickle.dumps(code))
    assert (copied, copied.packetType) == (code, PacketTypes.CONNACK)


@pytest.mark.parametrize(
    ("packet_type", "name"),
    [
        (PacketTypes.PUBACK, "Success"),
        (PacketTypes.CONNACK, "Success"),
        (PacketTypes.SUBACK, "Granted QoS 0"),
        (PacketTypes.DISCONNECT, "Normal disconnection"),
    ],
)
def test_0_has_a_name_for_each_packet(packet_type: int, name: str) -> None:
    code = ReasonCode(packet_type)
    assert str(code) == name
    assert code == 0
    assert not code.is_failure


@pytest.mark.parametrize("value", [-2, 256])
def test_a_reason_code_is_a_byte(value: int) -> None:
    with pytest.raises(ValueError, match=f"{value}: it must be from 0 to 255"):
        ReasonCode(PacketTypes.PUBACK, identifier=value)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Protocol error", 130),
        ("protocol error", 130),
        ("Shared subscription not supported", 158),
        ("Disconnect with Will Message", 4),
    ],
)
def test_a_reason_code_is_made_by_name(name: str, number: int) -> None:
    assert ReasonCode(PacketTypes.DISCONNECT, name) == number


def test_a_reason_code_of_an_unknown_name_is_an_error() -> None:
    with pytest.raises(ValueError, match="reason code 'No idea': MQTT has none of this name"):
        ReasonCode(PacketTypes.DISCONNECT, "No idea")


# -- options of subscriptions ---------------------------------------------------------------------


def test_subscribe_options_have_pahos_names_and_defaults() -> None:
    options = SubscribeOptions()
    assert options.json() == {
        "QoS": 0,
        "noLocal": False,
        "retainAsPublished": False,
        "retainHandling": SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE,
    }
    options.noLocal = True
    assert options == SubscribeOptions(noLocal=True)
    assert options != SubscribeOptions()
    assert repr(SubscribeOptions(1)) == (
        "SubscribeOptions(qos=1, noLocal=False, retainAsPublished=False, retainHandling=0)"
    )


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("QoS", 3, ValueError),
        ("QoS", "1", TypeError),
        ("retainHandling", 3, ValueError),
        ("noLocal", 2, ValueError),
        ("noLocal", None, TypeError),
        ("nolocal", True, AttributeError),
    ],
)
def test_an_option_is_checked_when_it_is_set(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name):
        setattr(SubscribeOptions(), name, value)
