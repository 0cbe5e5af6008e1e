"""How the client is used for requests to the plugin: its subscription, its limits, its prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, MQTTv5
from flask_mqtt.dynsec import (
    DynamicSecurity,
    DynsecUnavailableError,
)
from support.apps import make_app
from support.fake_plugin import RESPONSES, FakePlugin, of_names
from support.packets import MQTT5
from support.running import closing, connected, reconnecting

if TYPE_CHECKING:
    from support.dynsec import DynsecMosquitto


def test_it_subscribes_once_and_close_unsubscribes() -> None:
    with FakePlugin(of_names) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        for _ in range(3):
            dynsec.list_roles()
        assert [packet.filters for packet in broker.of("SUBSCRIBE")] == [((RESPONSES, 0),)]
        assert dict(mqtt.topics) == {}
        mqtt.unsubscribe_all()
        dynsec.close()
        broker.wait_for("UNSUBSCRIBE")
        dynsec.close()
        dynsec.list_roles()
        assert len(broker.of("SUBSCRIBE")) == 2
        assert len(broker.of("UNSUBSCRIBE")) == 1
        assert mqtt.client._parts.observers == []


def test_with_mqtt_5() -> None:
    with (
        FakePlugin(of_names, version=MQTT5) as broker,
        connected(make_app(broker.port, protocol_version=MQTTv5)) as mqtt,
    ):
        assert list(DynamicSecurity(mqtt).list_roles()) == ["a"]


def test_where_too_much_waits_for_the_broker() -> None:
    with FakePlugin(of_names, withhold={"PUBACK"}) as broker:
        app = make_app(broker.port, max_outgoing_bytes=1, publish_timeout=0)
        with connected(app) as mqtt:
            mqtt.publish("first", "x", 1)
            expected = "listRoles: the request was not accepted for sending: MQTT_ERR_QUEUE_SIZE"
            with pytest.raises(DynsecUnavailableError, match=expected):
                DynamicSecurity(mqtt).list_roles()


def test_a_failing_subscribe_of_the_application_is_told() -> None:
    class Odd(Client):
        def subscribe(self, *_: Any, **__: Any) -> Any:
            raise OSError("odd")

    with FakePlugin(of_names) as broker, closing(Odd()) as client:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        with pytest.raises(OSError, match="odd"):
            DynamicSecurity(client).list_roles()


def test_with_a_prefix_of_topics(plugin: DynsecMosquitto) -> None:
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    app.config["MQTT_PREFIX"] = "site/a"
    with reconnecting(app) as mqtt:
        messages: list[Any] = []
        mqtt.on_message()(lambda _client, _userdata, message: messages.append(message.topic))
        dynsec = DynamicSecurity(mqtt)
        assert "admin" in list(dynsec.list_roles())
        with pytest.raises(DynsecUnavailableError):
            dynsec.set_client_id(plugin.admin)
        assert "admin" in list(dynsec.list_clients())
        assert messages == []
