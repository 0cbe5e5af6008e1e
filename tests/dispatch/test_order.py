"""The order of a topic's messages across connections, with a whole window of them on the way."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTv5, MQTTv311
from support.apps import make_app
from support.fault_proxy import FaultProxy
from support.faults import DOWN, UP, Act, Fault, Script
from support.peer import Peer
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from flask import Flask

    from support.mosquitto import Mosquitto

WINDOW = 20
COUNT = 60
NUMBERS = [b"%d" % number for number in range(COUNT)]

_topics = itertools.count()
protocols = pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])


def app_for(proxy: FaultProxy, topic: str, protocol: int, *, clean: bool) -> Flask:
    return make_app(
        proxy.port,
        client_id=topic.replace("/", "-"),
        clean_session=clean,
        protocol_version=protocol,
        reconnect_delay_min=0.05,
        reconnect_delay_max=0.05,
    )


def firsts(payloads: list[bytes]) -> list[bytes]:
    """Return them without repetitions."""
    return list(dict.fromkeys(payloads))


@protocols
@pytest.mark.parametrize("clean", [False, True], ids=["persistent", "clean"])
@pytest.mark.parametrize(("qos", "ack"), [(1, "PUBACK"), (2, "PUBREC"), (2, "PUBCOMP")])
def test_a_publisher_keeps_the_order(
    broker: Mosquitto, qos: int, ack: str, clean: bool, protocol: int
) -> None:
    topic = f"order/{next(_topics)}"
    # Nothing is confirmed, so a whole window is on the way when the connection ends.
    script = Script(
        Fault(Act.STALL, DOWN, ack, connection=1), Fault(Act.CUT_AFTER, UP, "PUBLISH", WINDOW)
    )
    with (
        FaultProxy(broker.port, script) as proxy,
        Peer(broker.port, topic) as observer,
        connected(app_for(proxy, topic, protocol, clean=clean)) as mqtt,
    ):
        infos = [mqtt.publish(topic, payload, qos) for payload in NUMBERS]
        for info in infos:
            info.wait_for_publish(20)
        observer.publish(topic, b"end")
        got = [observer.receive().payload]
        while got[-1] != b"end":
            got.append(observer.receive().payload)
    got.pop()
    assert proxy.kinds(1, UP).count("PUBLISH") == WINDOW
    assert proxy.connections == 2
    assert firsts(got) == NUMBERS
    if qos == 2 and not clean:
        assert got == NUMBERS


@protocols
@pytest.mark.parametrize("qos", [1, 2])
def test_a_subscriber_gets_them_in_order(broker: Mosquitto, qos: int, protocol: int) -> None:
    topic = f"order/{next(_topics)}"
    got: list[bytes] = []
    go_on = threading.Event()

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        go_on.wait(10)
        got.append(message.payload)

    with (
        FaultProxy(broker.port) as proxy,
        Peer(broker.port) as publisher,
        connected(app_for(proxy, topic, protocol, clean=False)) as mqtt,
    ):
        mqtt.on_topic(topic)(handle)
        mqtt.subscribe(topic, qos)
        wait_until(lambda: "SUBACK" in proxy.kinds(1, DOWN))
        for payload in NUMBERS:
            publisher.publish(topic, payload, qos=qos)
        # No message is acknowledged, so each connection gets the window again.
        repeated = "PUBLISH" if qos == 1 else "PUBREL"
        for connection in (1, 2):
            wait_for(proxy, connection, repeated)
            proxy.drop()
        wait_for(proxy, 3, repeated)
        go_on.set()
        wait_until(lambda: got[-1:] == NUMBERS[-1:])
    assert firsts(got) == NUMBERS
    assert got.count(b"0") == (3 if qos == 1 else 1)
    if qos == 2:
        assert got == NUMBERS


def wait_for(proxy: FaultProxy, connection: int, kind: str) -> None:
    """Wait until a window full of packets has arrived."""
    wait_until(lambda: proxy.kinds(connection, DOWN).count(kind) >= WINDOW)


def test_what_was_published_between_connections_comes_after_what_was_before(
    broker: Mosquitto,
) -> None:
    topic = f"order/{next(_topics)}"
    with (
        FaultProxy(broker.port) as proxy,
        Peer(broker.port, topic) as observer,
        Mqtt(app_for(proxy, topic, MQTTv311, clean=True)) as mqtt,
    ):
        wait_until(lambda: mqtt.connected)
        proxy.hold()
        proxy.drop()
        wait_until(lambda: not mqtt.connected)
        for number, payload in enumerate(NUMBERS):
            mqtt.publish(topic, payload, qos=1 + number % 2)
            if number == COUNT // 2:
                proxy.let_in()
        got = [observer.receive().payload for _ in NUMBERS]
    # MQTT orders the messages of a topic within a QoS (MQTT 3.1.1, section 4.6).
    for parity in (0, 1):
        assert [item for item in got if int(item) % 2 == parity] == NUMBERS[parity::2]
