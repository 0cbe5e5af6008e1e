"""The helpers for mosquitto's dynamic security plugin, against it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt import Client
from flask_mqtt.dynsec import DynamicSecurity, DynsecError
from flask_multimqtt import MultiMQTT
from support.dynsec import DynsecMosquitto
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynsecMosquitto]:
    """A mosquitto with its plugin."""
    with DynsecMosquitto(tmp_path_factory.mktemp("dynsec")) as broker:
        yield broker


@pytest.fixture
def mqtt(plugin: DynsecMosquitto) -> Iterator[MultiMQTT]:
    """Who administers it."""
    app = Flask("tests")
    app.config["MQTT_URI"] = f"mqtt://{plugin.admin}@127.0.0.1:{plugin.port}/site"
    app.config["MQTT_PASSWORD"] = plugin.password
    with MultiMQTT(app) as mqtt:
        mqtt.connect()
        wait_until(lambda: mqtt.connected)
        yield mqtt


def test_clients_roles_and_acls(plugin: DynsecMosquitto, mqtt: MultiMQTT) -> None:
    asked = DynamicSecurity(mqtt.mqtt)
    mqtt.dynsec_create_role("reader")
    mqtt.dynsec_create_role("writer")
    mqtt.dynsec_add_role_acl("reader", "subscribePattern", "a/#", True)
    mqtt.dynsec_add_role_acl("reader", "publishClientReceive", "a/#", True, priority=3)
    mqtt.dynsec_add_client("sensor", "hunter2", roles=["reader", ("writer", 7)])
    mqtt.dynsec_add_client("bound", "hunter2", clientid="only")
    role = asked.get_role("reader")
    assert sorted((acl.acltype, acl.topic, acl.allow, acl.priority) for acl in role.acls) == [
        ("publishClientReceive", "site/a/#", True, 3),
        ("subscribePattern", "site/a/#", True, 0),
    ]
    client = asked.get_client("sensor")
    assert {(one.name, one.priority) for one in client.roles} == {("reader", -1), ("writer", 7)}
    assert asked.get_client("bound").clientid == "only"
    with closing(Client()) as sensor:
        sensor.username_pw_set("sensor", "hunter2")
        sensor.connect(plugin.host, plugin.port)
        sensor.loop_start()
        wait_until(sensor.is_connected)
        granted: list[Any] = []
        sensor.on_subscribe = lambda _client, _userdata, _mid, codes: granted.extend(codes)
        sensor.subscribe([("site/a/x", 1), ("b", 1)])
        wait_until(lambda: granted == [1, 128])
    mqtt.dynsec_remove_role_acl("reader", "subscribePattern", "a/#")
    assert [acl.acltype for acl in asked.get_role("reader").acls] == ["publishClientReceive"]
    mqtt.dynsec_delete_client("sensor")
    mqtt.dynsec_delete_role("reader")
    for get, name in ((asked.get_client, "sensor"), (asked.get_role, "reader")):
        with pytest.raises(DynsecError, match="not found"):
            get(name)


def test_a_role_that_is_there_is_no_error(mqtt: MultiMQTT) -> None:
    """An application may create it whenever it starts."""
    asked = DynamicSecurity(mqtt.mqtt)
    for _ in range(2):
        mqtt.dynsec_create_role("again")
    assert asked.get_role("again").rolename == "again"


def test_what_is_sent(scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture) -> None:
    app = Flask("tests")
    app.config.update(MQTT_URI=f"mqtt://127.0.0.1:{scripted.port}/p", MQTT_JSON=False)
    with caplog.at_level("DEBUG"), MultiMQTT(app) as mqtt:
        mqtt.connect()
        wait_until(lambda: mqtt.connected)
        mqtt.dynsec_add_client("me", "hunter2", "id", ["role"])
        mqtt.dynsec_remove_role_acl("role", "subscribePattern", "$SYS/#")
        scripted.wait_for("PUBLISH", count=2)
    first, second = scripted.of("PUBLISH")
    assert {first.topic, second.topic} == {"$CONTROL/dynamic-security/v1"}
    commands = [
        command for packet in (first, second) for command in json.loads(packet.payload)["commands"]
    ]
    assert [command["command"] for command in commands] == [
        "createClient",
        "addClientRole",
        "removeRoleACL",
    ]
    assert commands[0]["password"] == "hunter2"
    assert commands[0]["clientid"] == "id"
    assert commands[2]["topic"] == "$SYS/#"
    assert "hunter2" not in caplog.text
