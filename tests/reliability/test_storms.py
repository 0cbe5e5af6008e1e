"""How often a client connects where handlers do so too; a message that ends each connection.

Connections are counted for `STORM_SECONDS` (2); for longer:

    STORM_SECONDS=60 ./scripts/test tests/reliability/test_storms.py -k storm
"""

from __future__ import annotations

import logging
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt, MQTTv5, MQTTv311
from support.apps import make_app
from support.packets import MQTT5
from support.peer import Peer
from support.ports import closed_port
from support.running import closing
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.alone, pytest.mark.slow]

#: How long connections are counted, which has to pass. The first two may follow each other at once.
SECONDS = float(os.environ.get("STORM_SECONDS", "2"))
MOST = 2 * SECONDS


def beginnings(broker: ScriptedBroker) -> list[float]:
    return [packet.at for packet in broker.of("CONNECT")]


def reconnect(client: Client) -> None:
    client.reconnect()


def connect(client: Client) -> None:
    client.connect("127.0.0.1", client.port)


def connect_async(client: Client) -> None:
    client.connect_async("127.0.0.1", client.port)


def disconnect_and_connect(client: Client) -> None:
    client.disconnect()
    client.reconnect()


def loop_again(client: Client) -> None:
    client.disconnect()
    client.loop_stop()
    client.connect_async("127.0.0.1", client.port)
    client.loop_start()


HANDLERS = [reconnect, connect, connect_async, disconnect_and_connect, loop_again]


def drop_after_connack(broker: ScriptedBroker, packet: Any) -> bool:
    if packet.kind == "CONNECT":
        broker.send(broker.version.connack())
        broker.drop()
    return bool(packet.kind == "CONNECT")


@pytest.mark.parametrize("act", HANDLERS)
@pytest.mark.parametrize("broker_is", ["refusing", "closing", "healthy"])
def test_handlers_that_connect_again_make_no_storm(
    act: Callable[[Client], None], broker_is: str
) -> None:
    hook = drop_after_connack if broker_is == "closing" else None
    connack = 5 if broker_is == "refusing" else 0
    with (
        ScriptedBroker(connack=connack, hook=hook) as broker,
        closing(Client()) as client,
    ):

        def handler(*_: Any) -> None:
            act(client)

        if broker_is == "closing":
            client.on_disconnect = handler
        else:
            client.on_connect = handler
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        broker.wait_for("CONNECT", 3)
        time.sleep(SECONDS)
        times = beginnings(broker)
        assert len(times) <= MOST
        # They become fewer.
        gaps = [later - earlier for earlier, later in pairwise(times[1:])]
        assert gaps[-1] >= 1.0, gaps
        client.on_connect = client.on_disconnect = None


def test_both_handlers_together_make_no_storm() -> None:
    with ScriptedBroker(connack=5) as broker, closing(Client()) as client:
        client.on_connect = lambda *_: client.reconnect()
        client.on_disconnect = lambda *_: client.reconnect()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        broker.wait_for("CONNECT", 3)
        time.sleep(SECONDS)
        assert len(beginnings(broker)) <= MOST
        client.on_connect = client.on_disconnect = None


def test_on_connect_fail_makes_no_storm() -> None:
    calls: list[int] = []
    with closing(Client()) as client:

        def handler(*_: Any) -> None:
            calls.append(1)
            if len(calls) < 1000:
                client.reconnect()

        client.on_connect_fail = handler
        client.connect_async("127.0.0.1", closed_port())
        client.loop_start()
        wait_until(lambda: len(calls) >= 2)
        time.sleep(SECONDS)
        assert len(calls) <= MOST
        client.on_connect_fail = None


def test_on_pre_connect_makes_no_storm() -> None:
    calls: list[int] = []
    with ScriptedBroker(connack=5) as broker, closing(Client()) as client:

        def handler(*_: Any) -> None:
            calls.append(1)
            client.reconnect()

        client.on_pre_connect = handler
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        time.sleep(SECONDS)
        assert 1 <= len(calls) <= MOST
        assert len(beginnings(broker)) <= MOST
        client.on_pre_connect = None


def test_init_app_in_a_handler_makes_no_storm() -> None:
    with ScriptedBroker(connack=5) as broker:
        mqtt = Mqtt()
        number = iter(range(1000))

        @mqtt.on_connect()
        def handler(*_: Any) -> None:
            mqtt.init_app(make_app(broker.port, client_id=f"storm-{next(number)}"))

        with mqtt:
            mqtt.init_app(make_app(broker.port))
            broker.wait_for("CONNECT", 3)
            time.sleep(SECONDS)
            assert len(beginnings(broker)) <= MOST


def test_threads_of_a_pool_make_no_storm() -> None:
    with (
        ScriptedBroker(connack=5) as broker,
        closing(Client()) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        ends = threading.Event()

        def handler(*_: Any) -> None:
            if not ends.is_set():
                pool.submit(client.reconnect)

        client.on_disconnect = handler
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        time.sleep(SECONDS)
        ends.set()
        assert len(beginnings(broker)) <= MOST + 2


def test_a_handler_that_connects_after_a_connection_that_was_good_does_not_wait() -> None:
    with ScriptedBroker() as broker, closing(Client()) as client:
        client.on_disconnect = lambda *_: client.reconnect()
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("t", "x", 1).wait_for_publish(5)
        broker.drop()
        broker.wait_for("CONNECT", 2)
        # Half the shortest delay of an automatic attempt.
        assert beginnings(broker)[1] - broker.closed[0].at < 0.5
        client.on_disconnect = None


def test_a_handler_is_not_held_up_by_the_delay(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    results: list[int] = []
    with ScriptedBroker(connack=[5, 5, 0]) as broker, closing(Client()) as client:

        def handler(_client: Any, _userdata: Any, _flags: Any, rc: int) -> None:
            if rc:
                results.append(client.reconnect())

        client.on_connect = handler
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        wait_until(lambda: len(results) == 2)
        # There is no third connection yet.
        assert broker.connections == 2
        assert results == [0, 0]
        wait_until(client.is_connected)
        assert "a handler wants to connect: next attempt to reach" in caplog.text


def blamed(caplog: pytest.LogCaptureFixture) -> logging.LogRecord | None:
    found = (item for item in caplog.records if "may not take it" in item.getMessage())
    return next(found, None)


def wait_blamed(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    record = wait_until(lambda: blamed(caplog), 20)
    assert record is not None
    return record


def delays(caplog: pytest.LogCaptureFixture) -> list[float]:
    return [item.__dict__["mqtt_delay"] for item in caplog.records if "mqtt_delay" in vars(item)]


@pytest.mark.parametrize("last", ["CONNECT", "SUBSCRIBE"])
def test_a_broker_that_closes_each_connection_soon_is_tried_later_and_later(
    caplog: pytest.LogCaptureFixture, last: str
) -> None:
    flapping = True

    def flap(broker: ScriptedBroker, packet: Any) -> bool:
        if not flapping or packet.kind != last:
            return False
        is_first = packet.kind == "CONNECT"
        broker.send(broker.version.connack() if is_first else broker.version.suback(packet.mid, 0))
        broker.drop()
        return True

    with ScriptedBroker(hook=flap) as broker:
        app = make_app(broker.port, reconnect_delay_min=0.05, reconnect_delay_max=60)
        with Mqtt(app) as mqtt:
            mqtt.subscribe("t")
            wait_until(lambda: len(delays(caplog)) >= 4, 20)
            first, second, third, fourth = delays(caplog)[:4]
            assert 0.03 < first < second < third < fourth
            flapping = False
            # What proves itself is an acknowledged message, not the CONNACK.
            wait_until(lambda: mqtt.connected, 20)
            info = mqtt.publish("t", b"x", 1)
            wait_until(info.is_published)
            before = len(delays(caplog))
            broker.drop()
            wait_until(lambda: len(delays(caplog)) > before)
            assert delays(caplog)[before] <= 0.05


@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_a_message_that_ends_each_connection_is_named(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, protocol: int
) -> None:
    # mosquitto closes the connection for a control character in a topic.
    topic = "storms/poison\nwith a line of its own"
    app = make_app(
        broker.port, protocol_version=protocol, reconnect_delay_min=0.1, reconnect_delay_max=0.4
    )
    with Mqtt(app) as mqtt:
        mqtt.subscribe("storms/#")
        wait_until(lambda: mqtt.connected)
        mid = mqtt.publish(topic, "x", 1)[1]
        record = wait_blamed(caplog)
    text = record.getMessage()
    assert "\n" not in text
    assert f'message {mid} on "storms/poison\\nwith a line of its own" (QoS 1, ' in text
    assert "the last 3 connections ended soon after" in text
    assert record.__dict__["mqtt_mid"] == mid
    assert record.__dict__["mqtt_size"] == len(topic) + 1
    if protocol == MQTTv5:
        assert "(code 1" in text


def test_a_message_larger_than_the_broker_takes_is_named_and_the_delay_grows(
    broker_factory: Callable[..., Mosquitto], caplog: pytest.LogCaptureFixture
) -> None:
    broker = broker_factory(options=("max_packet_size 1000",))
    app = make_app(broker.port, reconnect_delay_min=0.2, reconnect_delay_max=10)
    with Mqtt(app) as mqtt, Peer(broker.port, "behind"):
        wait_until(lambda: mqtt.connected)
        mqtt.publish("large", b"x" * 2000, 2)
        mqtt.publish("behind", b"x", 1)
        record = wait_blamed(caplog)
        assert 'on "large" (QoS 2, 2005 bytes)' in record.getMessage()
    first, second, third = delays(caplog)[:3]
    assert first < second < third


def test_a_subscribe_that_ends_each_connection_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def refuse(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind == "SUBSCRIBE":
            broker.send(MQTT5.disconnect(0x8F))
            broker.drop()
        return bool(packet.kind == "SUBSCRIBE")

    with ScriptedBroker(hook=refuse, version=MQTT5) as broker:
        app = make_app(
            broker.port, protocol_version=5, reconnect_delay_min=0.1, reconnect_delay_max=0.2
        )
        with Mqtt(app) as mqtt:
            mqtt.subscribe("bad/#")
            record = wait_blamed(caplog)
    assert "(code 143)" in record.getMessage()
    assert 'soon after SUBSCRIBE to "bad/#" was sent' in record.getMessage()


def test_a_will_that_the_broker_may_not_take_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedBroker(close_after=1) as broker:
        app = make_app(broker.port, last_will_topic="bad\nwill", last_will_message="x")
        with Mqtt(app):
            found = 'does not take the will on "bad\\nwill" (MQTT_LAST_WILL_TOPIC)'
            wait_until(lambda: found in caplog.text)
