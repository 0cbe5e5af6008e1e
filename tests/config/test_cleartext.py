"""Brokers of a list that are reached without TLS: a warning, or an error where that is wanted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from flask_mqtt.config import read
from support.apps import app_for
from support.ports import closed_port
from support.wait import wait_until

if TYPE_CHECKING:
    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

LOGIN = {"MQTT_USERNAME": "user-hunter0", "MQTT_PASSWORD": "hunter1"}
HEADERS = {"Authorization": "Bearer hunter3"}


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "unencrypted" in line]


MIXED: dict[str, tuple[dict[str, Any], list[str], list[str]]] = {
    "mqtts, mqtt": (
        {"MQTT_BROKER_URL": ["mqtts://one.example", "mqtt://two.example"], **LOGIN},
        ["mqtt://two.example:1883", "the user name and the password"],
        ["one.example"],
    ),
    "as text": (
        {"MQTT_BROKER_URL": "mqtts://one.example,mqtt://[::1]:18", **LOGIN},
        ["mqtt://[::1]:18", "the user name and the password"],
        [],
    ),
    "in URLs": (
        {"MQTT_BROKER_URL": ["mqtts://u:hunter2@one.example", "mqtt://u:hunter2@two.example"]},
        ["mqtt://two.example:1883", "the user name and the password"],
        [],
    ),
    "in the URL with TLS": (
        {"MQTT_BROKER_URL": ["mqtts://u:hunter2@one.example", "mqtt://two.example"]},
        ["mqtt://two.example:1883 would get messages unencrypted"],
        ["password"],
    ),
    "a user name": (
        {"MQTT_BROKER_URL": ["mqtts://one.example", "mqtt://u@two.example"]},
        ["the user name"],
        ["password"],
    ),
    "wss, ws": (
        {
            "MQTT_BROKER_URL": ["wss://one.example/x?token=hunter4", "ws://two.example/x?hunter4"],
            "MQTT_WS_HEADERS": HEADERS,
            **LOGIN,
        },
        ["ws://two.example:80", "MQTT_WS_HEADERS", "the user name and the password"],
        ["hunter"],
    ),
    "headers of a function": (
        {
            "MQTT_BROKER_URL": ["wss://one.example", "ws://two.example"],
            "MQTT_WS_HEADERS": lambda usual: usual | HEADERS,
        },
        ["messages and MQTT_WS_HEADERS"],
        ["password"],
    ),
    "no websocket without TLS": (
        {
            "MQTT_BROKER_URL": ["wss://one", "mqtt://two"],
            "MQTT_WS_HEADERS": HEADERS,
        },
        ["messages unencrypted"],
        ["HEADERS"],
    ),
    "several": (
        {
            "MQTT_BROKER_URL": "mqtt://a,ws://b:8,mqtts://c,unix:///run/d",
            **LOGIN,
        },
        ["mqtt://a:1883 and ws://b:8 would"],
        ["/run/d"],
    ),
}


@pytest.mark.parametrize("kind", MIXED)
def test_a_list_that_falls_from_tls_to_none_is_told_of(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    config, shown, hidden = MIXED[kind]
    read(config, "MQTT")
    [line] = told(caplog)
    assert "MQTT_TLS_ONLY = True" in line
    assert all(text in line for text in shown), line
    assert not any(text in line for text in [*hidden, "hunter"]), line
    [record] = [item for item in caplog.records if item.getMessage() == line]
    assert record.levelno == logging.WARNING


ALIKE: dict[str, dict[str, Any]] = {
    "one": {"MQTT_BROKER_URL": "mqtt://one.example"},
    "a host": {"MQTT_BROKER_URL": "one.example"},
    "none with TLS": {"MQTT_BROKER_URL": ["mqtt://one.example", "ws://two.example"]},
    "all with TLS": {"MQTT_BROKER_URL": ["mqtts://one.example", "wss://two.example"]},
    "hosts with TLS": {"MQTT_BROKER_URL": "one.example,two.example", "MQTT_TLS_ENABLED": True},
    "a unix socket": {"MQTT_BROKER_URL": ["mqtts://one.example", "unix:///run/broker.sock"]},
}


@pytest.mark.parametrize("config", ALIKE.values(), ids=ALIKE)
def test_a_list_of_brokers_that_are_alike_is_not(
    config: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    read({**config, **LOGIN}, "MQTT")
    assert told(caplog) == []


@pytest.mark.parametrize("kind", MIXED)
def test_the_key_refuses_it(kind: str) -> None:
    config, shown, _ = MIXED[kind]
    with pytest.raises(ValueError, match=r"^MQTT_TLS_ONLY is True, and (mqtt|ws)://") as caught:
        read({**config, "MQTT_TLS_ONLY": True}, "MQTT")
    assert shown[0].split(" would")[0] in str(caught.value) or "://" not in shown[0]
    assert "hunter" not in str(caught.value)


def test_the_key_refuses_every_broker_without_tls_and_no_other() -> None:
    for name, config in ALIKE.items():
        given = {**config, "MQTT_TLS_ONLY": "true"}
        if name in ("one", "a host", "none with TLS"):
            with pytest.raises(ValueError, match=r"^MQTT_TLS_ONLY is True.*MQTT_TLS_ENABLED"):
                read(given, "MQTT")
        else:
            read(given, "MQTT")


def test_nothing_is_sent_where_the_key_refuses(scripted: ScriptedBroker) -> None:
    urls = [f"mqtts://127.0.0.1:{closed_port()}", f"mqtt://u:hunter1@127.0.0.1:{scripted.port}"]
    for later in (False, True):
        with pytest.raises(ValueError, match="MQTT_TLS_ONLY"):
            Mqtt(app_for(urls, tls_only=True), connect_async=later)
    client = Client()
    client.configure(tls_only=True)
    for url in (",".join(urls), f"mqtt://127.0.0.1:{scripted.port}"):
        with pytest.raises(ValueError, match=r"^tls_only is True"):
            client.connect(url)
        client.connect_async(url)
        with pytest.raises(ValueError, match=r"^tls_only is True"):
            client.loop_start()
    assert scripted.packets == []


def test_the_key_is_refused_while_a_connection_without_tls_runs(scripted: ScriptedBroker) -> None:
    client = Client()
    client.connect("127.0.0.1", scripted.port)
    try:
        # Refused with the next attempt, it would leave the previous settings: without TLS.
        with pytest.raises(ValueError, match=r"^tls_only is True, and mqtt://127\.0\.0\.1"):
            client.configure(tls_only=True)
        client.configure(tls_only=True, broker_url="mqtts://127.0.0.1")
        with pytest.raises(ValueError, match=r"^tls_only is True"):
            client.configure(broker_url="mqtt://127.0.0.1")
    finally:
        client.close()


def test_a_client_is_told_when_it_connects(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client()
    client.username_pw_set("user-hunter0", "hunter1")
    client.connect(f"mqtts://127.0.0.1:{closed_port()},mqtt://127.0.0.1:{scripted.port}")
    client.close()
    [line] = told(caplog)
    assert f"mqtt://127.0.0.1:{scripted.port} would get messages and the user name" in line
    assert "tls_only = True refuses" in line
    assert "hunter" not in caplog.text


def test_the_extension_tells_it_once_and_connects(
    tls_broker: Mosquitto,
    certificates: Certificates,
    scripted: ScriptedBroker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secure = f"mqtts://127.0.0.1:{tls_broker.listeners['tls'].port}"
    urls = [secure, f"mqtt://127.0.0.1:{scripted.port}"]
    with Mqtt(app_for(urls, tls_ca_certs=certificates.ca)) as mqtt:
        wait_until(lambda: mqtt.connected)
    assert len(told(caplog)) == 1
    assert scripted.packets == []
