"""`ack`: the application says itself when a message is handled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NOT_FOUND, MQTT_ERR_SUCCESS, Client
from support.wait import wait_until

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


def _run(client: Client, port: int) -> None:
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected)


@pytest.mark.parametrize("how", ["constructor", "method"])
@pytest.mark.parametrize(("qos", "kind"), [(1, "PUBACK"), (2, "PUBCOMP")])
def test_messages_are_acknowledged_by_hand(
    scripted: ScriptedBroker, how: str, qos: int, kind: str
) -> None:
    messages: list[Any] = []
    client = Client(manual_ack=how == "constructor")
    if how == "method":
        client.manual_ack_set(True)
    client.on_message = lambda _client, _userdata, message: messages.append(message)
    _run(client, scripted.port)
    scripted.publish("a", b"1", qos=qos)
    wait_until(lambda: messages)
    # Whatever would go out by itself goes out before this.
    client.publish("b", "x")
    scripted.wait_for("PUBLISH")
    assert not scripted.of(kind)
    (message,) = messages
    assert client.ack(message.mid, message.qos) == MQTT_ERR_SUCCESS
    assert scripted.wait_for(kind).mid == message.mid
    assert client.ack(message.mid, message.qos) == MQTT_ERR_NOT_FOUND
    assert client.ack(message.mid, 0) == MQTT_ERR_SUCCESS
    client.manual_ack_set(False)
    assert client.ack(999, 1) == MQTT_ERR_SUCCESS
    scripted.publish("a", b"2", qos=qos)
    scripted.wait_for(kind, 2)
    client.disconnect()
    client.loop_stop()
    client.close()
    assert len(scripted.of(kind)) == 2
