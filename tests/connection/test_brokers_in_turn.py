"""Several brokers: which one is used, what is said of the others, and what moves along."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt
from support.apps import app_for
from support.exchange import new_topic, receive, round_trip
from support.mosquitto import Listener
from support.peer import Peer
from support.ports import closed_port, unanswered_port
from support.running import connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto


def url(port: int, who: str = "") -> str:
    return f"mqtt://{who}127.0.0.1:{port}"


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [item.getMessage() for item in caplog.records if item.levelno == logging.WARNING]


def wait_for_client(broker: Mosquitto, client_id: str) -> None:
    wait_until(
        lambda: f" as {client_id} (" in broker.log_since_start, what=f"{client_id} connected"
    )


@pytest.mark.parametrize("as_text", [False, True], ids=["list", "with-commas"])
@pytest.mark.smoke
def test_the_second_is_used_where_the_first_is_down(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, as_text: bool
) -> None:
    dead = closed_port()
    urls = [url(dead), url(broker.port)]
    with connected(app_for(", ".join(urls) if as_text else urls)) as mqtt:
        round_trip(mqtt)
        wait_until(lambda: warnings(caplog))
    [line] = warnings(caplog)
    assert f"cannot connect to 127.0.0.1:{dead}: Connection refused" in line
    assert line.endswith(f"; trying 127.0.0.1:{broker.port} next")


def test_hosts_share_the_port_of_the_key(broker: Mosquitto) -> None:
    app = app_for(["127.0.0.3", "127.0.0.1"], broker_port=broker.port)
    with connected(app) as mqtt:
        round_trip(mqtt)


def test_where_all_are_down_the_error_names_each_of_them() -> None:
    ports = [closed_port(), closed_port(), closed_port()]
    with pytest.raises(ConnectionRefusedError, match="no broker could be reached") as caught:
        Mqtt(app_for([url(port, "me:hunter2@") for port in ports]))
    for port in ports:
        assert f"127.0.0.1:{port}: Connection refused" in str(caught.value)
    assert "hunter2" not in repr(caught.value)


def test_each_has_its_own_timeout(broker: Mosquitto, caplog: pytest.LogCaptureFixture) -> None:
    with (
        unanswered_port() as stuck,
        connected(app_for([url(stuck), url(broker.port)], connection_timeout=0.3)) as mqtt,
    ):
        round_trip(mqtt)
    assert f"no TCP connection from 127.0.0.1:{stuck} within 0.3 s" in caplog.text


def test_the_ways_may_be_different(
    tls_broker: Mosquitto, certificates: Any, tmp_path: Path
) -> None:
    ways = [
        f"unix://{tmp_path}/none.sock",
        f"mqtts://127.0.0.1:{closed_port()}",
        f"ws://127.0.0.1:{tls_broker.port}",
        f"wss://127.0.0.1:{tls_broker.listeners['wss'].port}",
    ]
    with connected(app_for(ways, tls_ca_certs=certificates.ca)) as mqtt:
        round_trip(mqtt)


def test_a_broker_that_is_lost_is_followed_by_the_next_one_and_the_other_way_round(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    first, second = broker_factory(), broker_factory()
    topic = new_topic()
    urls = [url(first.port), url(second.port)]
    with connected(app_for(urls, client_id="mover")) as mqtt:
        messages = receive(mqtt, topic, 1)
        for used, other in [(first, second), (second, first)]:
            wait_for_client(used, "mover")
            used.kill()
            wait_until(lambda: not mqtt.connected)
            assert mqtt.publish(topic, "kept", 1)[0] != 0
            if other is first:
                first.start()
            wait_until(lambda: mqtt.connected, what="connected to the other one")
            wait_for_client(other, "mover")
            # Its subscription and what had to wait are there as well.
            assert messages.get(timeout=20).payload == b"kept"
            with Peer(other.port) as peer:
                peer.publish(topic, b"new")
                assert messages.get(timeout=20).payload == b"new"


def test_each_gets_the_user_and_password_of_its_own_url() -> None:
    # The first one refuses: not authorized.
    with ScriptedBroker(connack=5) as first, ScriptedBroker() as second:
        urls = [url(first.port, "one:secret-1@"), url(second.port, "two:secret-2@")]
        with connected(app_for(urls)):
            pass
        asked = [item.wait_for("CONNECT").connect for item in (first, second)]
    assert [(item.username, item.password) for item in asked if item] == [
        ("one", b"secret-1"),
        ("two", b"secret-2"),
    ]


def test_the_keys_for_user_and_password_hold_for_all_of_them() -> None:
    with ScriptedBroker(connack=5) as first, ScriptedBroker() as second:
        urls = [url(first.port, "one:secret-1@"), url(second.port)]
        with connected(app_for(urls, username="me", password="mine")):
            pass
        for item in (first, second):
            asked = item.wait_for("CONNECT").connect
            assert asked
            assert (asked.username, asked.password) == ("me", b"mine")


def test_a_real_broker_takes_what_its_url_says(broker_factory: Callable[..., Mosquitto]) -> None:
    strict = broker_factory(users={"me": "p@ss,w/rd"})
    urls = f"{url(closed_port())},{url(strict.port, 'me:p%40ss%2Cw%2Frd@')}"
    with connected(app_for(urls)) as mqtt:
        round_trip(mqtt)


def test_connect_async_goes_round_until_one_is_there(
    broker_factory: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture
) -> None:
    ports = [closed_port(), closed_port()]
    with Mqtt(app_for([url(port) for port in ports]), connect_async=True) as mqtt:
        wait_until(lambda: f"next attempt to reach 127.0.0.1:{ports[0]} in" in caplog.text)
        assert not mqtt.connected
        broker_factory((ports[1],))
        wait_until(lambda: mqtt.connected)
        round_trip(mqtt)
    lines = warnings(caplog)
    assert f"broker 127.0.0.1:{ports[0]}: " in lines[0]
    assert lines[0].endswith(f"; trying 127.0.0.1:{ports[1]} next")
    assert f"broker 127.0.0.1:{ports[1]}: " in lines[1]


def test_no_secret_of_a_url_gets_into_the_log(
    broker_factory: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_factory(users={"me": "hunter2"}, listeners={"ws": Listener("websockets")})
    urls = [
        url(closed_port(), "me:hunter2@"),
        url(broker.port, "me:hunter2wrong@"),
        f"ws://me:hunter2@127.0.0.1:{broker.listeners['ws'].port}/mqtt?token=hunter2",
    ]
    with (
        caplog.at_level(logging.DEBUG),
        connected(app_for(urls), mqtt_logging=True) as mqtt,
    ):
        round_trip(mqtt)
        wait_until(lambda: len(warnings(caplog)) == 2)
    refused = "not authorized (code 5); look at MQTT_USERNAME and MQTT_PASSWORD"
    assert any(refused in line for line in warnings(caplog))
    assert "hunter2" not in caplog.text + repr(mqtt)
