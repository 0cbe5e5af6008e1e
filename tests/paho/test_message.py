"""Messages made by hand, as tests of applications do."""

from __future__ import annotations

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, MessageState, MQTTMessage, MQTTMessageInfo


def test_a_message_has_pahos_attributes() -> None:
    message = MQTTMessage(7, b"a/b")
    assert message.state is MessageState.MQTT_MS_INVALID
    assert list(message.info) == [0, 7]
    assert message.info is message.info
    message.state = MessageState.MQTT_MS_PUBLISH
    message.info = info = MQTTMessageInfo((MQTT_ERR_NO_CONN, 8))
    assert message.state is MessageState.MQTT_MS_PUBLISH
    assert message.info is info
    message.topic = b"c/\xc3\xa4"  # type: ignore[assignment]
    assert message.topic == "c/ä"
    message.topic = "d"
    assert message.topic == "d"
    with pytest.raises(TypeError, match="unhashable"):
        hash(message)
