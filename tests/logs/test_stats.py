"""`stats()`: what it counts is what went over the wire."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, get_type_hints, is_typeddict

import pytest

from flask_mqtt import Client, Mqtt, Stats
from support.apps import make_app
from support.packets import MQTT5, MQTT311
from support.ports import closed_port
from support.running import connected, unconfirmed
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

ONE_OF_EACH = {"qos0": 1, "qos1": 1, "qos2": 1}


def has_shape(value: Any, kind: Any) -> bool:
    """Whether a value is what a type, which may be a TypedDict or optional, says."""
    if is_typeddict(kind):
        hints = get_type_hints(kind)
        return (
            isinstance(value, dict)
            and value.keys() == hints.keys()
            and all(has_shape(value[name], hint) for name, hint in hints.items())
        )
    options = getattr(kind, "__args__", None)
    if options is None:
        return type(value) is kind
    return any(has_shape(value, option) for option in options)


def sums(stats: Stats) -> tuple[int, int]:
    """Return the messages that were received and published."""
    counts = stats["received"]["messages"], stats["published"]["messages"]
    received, published = (count["qos0"] + count["qos1"] + count["qos2"] for count in counts)
    return received, published


def received_by(broker: ScriptedBroker) -> int:
    return sum(len(packet.raw) for packet in broker.packets)


def exchange(broker: ScriptedBroker, mqtt: Mqtt) -> None:
    """Have a message of each QoS go each way."""
    before = sums(mqtt.stats())
    handled = len(broker.of("PUBACK"))
    for qos in (0, 1, 2):
        mqtt.publish("out", b"x" * 100, qos)
        broker.publish("in", b"y" * 1000, qos=qos)
    wait_until(lambda: sums(mqtt.stats()) == (before[0] + 3, before[1] + 3))
    # They follow the handlers.
    broker.wait_for("PUBACK", handled + 1)
    broker.wait_for("PUBCOMP", handled + 1)


@pytest.mark.smoke
def test_a_client_without_a_connection_has_counted_nothing() -> None:
    stats = Mqtt().stats()
    assert has_shape(stats, Stats)
    assert json.loads(json.dumps(stats)) == stats
    assert (stats["connected"], stats["connected_since"], stats["last_error"]) == (
        False,
        None,
        None,
    )
    assert stats["broker"] is None
    assert sums(stats) == (0, 0)
    assert stats == Client().stats()


@pytest.mark.parametrize("version", [4, 5])
def test_bytes_are_those_of_the_wire_over_all_connections(version: int) -> None:
    with ScriptedBroker(version=MQTT5 if version == 5 else MQTT311) as broker:
        mqtt = Mqtt(make_app(broker.port, protocol_version=version, reconnect_delay_min=0.05))
        mqtt.on_message()(lambda _client, _userdata, _message: None)
        wait_until(lambda: mqtt.connected)
        exchange(broker, mqtt)
        broker.drop()
        broker.wait_connected(2)
        wait_until(lambda: mqtt.stats()["connections"] == 2)
        exchange(broker, mqtt)
        mqtt.close()
        broker.wait_for("DISCONNECT")
        stats = mqtt.stats()
        assert stats["published"]["bytes"] == received_by(broker)
        assert stats["received"]["bytes"] == broker.sent_bytes
        assert stats["published"]["messages"] == {"qos0": 2, "qos1": 2, "qos2": 2}
        assert stats["received"]["messages"] == {"qos0": 2, "qos1": 2, "qos2": 2}
        assert has_shape(stats, Stats)


def test_a_connection_and_its_loss_are_counted_and_told(scripted: ScriptedBroker) -> None:
    began = time.time()
    app = make_app(scripted.port, client_id="me", reconnect_delay_min=0.05)
    with connected(app) as mqtt:
        stats = mqtt.stats()
        assert (stats["broker"], stats["client_id"]) == (f"127.0.0.1:{scripted.port}", "me")
        assert stats["connected_since"] is not None
        assert began - 1 < stats["connected_since"] < time.time() + 1
        assert (stats["connections"], stats["reconnects"]) == (1, 0)
        assert stats["last_error"] is None
        scripted.stop_listening()
        scripted.drop()
        wait_until(lambda: mqtt.stats()["failed_attempts"] >= 2)
        stats = mqtt.stats()
        assert (stats["connected"], stats["connected_since"]) == (False, None)
        assert stats["last_error"] is not None
        assert "Connection refused" in stats["last_error"]["text"]
        assert began - 1 < stats["last_error"]["time"] < time.time() + 1
        scripted.listen()
        wait_until(lambda: mqtt.stats()["connected"])
        stats = mqtt.stats()
        assert (stats["connections"], stats["reconnects"]) == (2, 1)
        assert stats["last_error"] is not None, "it stays, with its time"


def test_a_connection_that_the_application_makes_again_is_no_reconnect(
    scripted: ScriptedBroker,
) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.client.reconnect()
        wait_until(lambda: mqtt.stats()["connections"] == 2)
        stats = mqtt.stats()
        assert (stats["reconnects"], stats["failed_attempts"], stats["last_error"]) == (0, 0, None)


def test_refusals_and_attempts_that_nobody_answers_are_failed_attempts() -> None:
    with ScriptedBroker(connack=[5, 5, 0]) as broker:
        app = make_app(broker.port, username="me", password="hunter2", reconnect_delay_min=0.02)
        with connected(app) as mqtt:
            stats = mqtt.stats()
            assert (stats["failed_attempts"], stats["connections"]) == (2, 1)
            assert "hunter2" not in repr(stats)
            assert stats["last_error"] is not None
            assert "not authorized" in stats["last_error"]["text"]
    mqtt = Mqtt()
    with pytest.raises(ConnectionRefusedError):
        mqtt.init_app(make_app(closed_port()))
    assert mqtt.stats()["failed_attempts"] == 1


def test_what_is_not_confirmed_is_in_flight_or_queued_and_what_is_sent_again_is_counted() -> None:
    with ScriptedBroker(withhold={"PUBACK", "PUBREC"}, session_present=True) as broker:
        app = make_app(broker.port, max_inflight=2, reconnect_delay_min=0.05)
        with connected(app) as mqtt:
            for qos in (1, 2, 1, 2, 1):
                mqtt.publish("t", b"x" * 1000, qos)
            stats = mqtt.stats()
            assert (stats["in_flight"], stats["queued"]) == (2, 3)
            assert 5_000 < stats["outgoing_bytes"] < 10_000
            assert sums(stats) == (0, 0)
            broker.wait_for("PUBLISH", 2)
            broker.withhold = set()
            broker.drop()
            wait_until(lambda: sums(mqtt.stats()) == (0, 5))
            stats = mqtt.stats()
            assert stats["published"]["messages"] == {"qos0": 0, "qos1": 3, "qos2": 2}
            assert (stats["in_flight"], stats["queued"], stats["outgoing_bytes"]) == (0, 0, 0)
            repeated = [packet for packet in broker.of("PUBLISH") if packet.dup]
            assert stats["published"]["repeated"] == len(repeated) == 2


def test_messages_that_do_not_fit_are_counted(scripted: ScriptedBroker) -> None:
    scripted.withhold.add("PUBACK")
    app = make_app(
        scripted.port, max_inflight=1, max_queued=1, max_outgoing_bytes=10_000, publish_timeout=0.01
    )
    with connected(app) as mqtt:
        for _ in range(4):
            mqtt.publish("t", b"x", 1)
        assert mqtt.stats()["dropped"]["queue_full"] == 2
        scripted.pause()
        refused = 0
        while not refused:
            refused += bool(mqtt.publish("t", b"x" * 1_000_000)[0])
        assert mqtt.stats()["dropped"]["queue_full"] == 3
        scripted.resume()


def test_qos_0_without_a_connection_and_lost_with_one_is_counted() -> None:
    with ScriptedBroker(connack=None) as broker, Mqtt(make_app(broker.port)) as mqtt:
        broker.wait_for("CONNECT")
        for _ in range(3):
            mqtt.publish("t", b"x")
        assert mqtt.stats()["unwritten"] == 3
        broker.stop_listening()
        broker.drop()
        wait_until(lambda: mqtt.stats()["dropped"]["unsent"] == 3)
        assert mqtt.stats()["unwritten"] == 0
        mqtt.publish("t", b"x")
        assert mqtt.stats()["dropped"]["offline"] == 1


def test_what_the_broker_does_not_take_is_counted() -> None:
    connack = MQTT5.connack(properties={"MaximumQoS": 1, "MaximumPacketSize": 100})

    def refuse(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind == "PUBLISH" and packet.qos:
            broker.send(MQTT5.ack("PUBACK", packet.mid, 0x87))
            return True
        return False

    with (
        ScriptedBroker(version=MQTT5, connack=connack, hook=refuse) as broker,
        connected(make_app(broker.port, protocol_version=5)) as mqtt,
    ):
        mqtt.publish("t", b"x", 2)
        mqtt.publish("t", b"x" * 200)
        assert mqtt.stats()["dropped"]["refused"] == 2
        mqtt.publish("t", b"x", 1)
        wait_until(lambda: mqtt.stats()["dropped"]["refused"] == 3)
        assert sums(mqtt.stats()) == (0, 0)


def test_every_message_that_was_accepted_is_somewhere() -> None:
    with unconfirmed() as (broker, mqtt):
        accepted = 0
        for number in range(300):
            accepted += mqtt.publish("t", b"x" * 100, number % 3)[1] > 0
            if number == 150:
                broker.drop()
            stats = mqtt.stats()
            waiting = stats["in_flight"] + stats["queued"] + stats["unwritten"]
            lost = stats["dropped"]["unsent"] + stats["dropped"]["offline"]
            assert sums(stats)[1] + waiting + lost == accepted == number + 1


def test_what_waits_for_a_handler_and_the_pause_that_follows_are_told(
    scripted: ScriptedBroker,
) -> None:
    entered, released = threading.Event(), threading.Event()
    with connected(make_app(scripted.port, max_incoming_messages=10)) as mqtt:

        @mqtt.on_message()
        def handle(client: Any, userdata: Any, message: Any) -> None:
            entered.set()
            released.wait(10)

        scripted.publish("t", b"first")
        assert entered.wait(20)
        for _ in range(9):
            scripted.publish("t", b"x" * 100)
        wait_until(lambda: mqtt.stats()["waiting_incoming"]["messages"] == 9)
        stats = mqtt.stats()
        assert 900 <= stats["waiting_incoming"]["bytes"] < 9_000
        assert stats["reading"] == {"paused": False, "pauses": 0, "seconds": 0.0}
        scripted.publish("t", b"x" * 100)
        wait_until(lambda: mqtt.stats()["reading"]["paused"])
        wait_until(lambda: mqtt.stats()["reading"]["seconds"] > 0.01)
        released.set()
        wait_until(lambda: not mqtt.stats()["reading"]["paused"])
        stats = mqtt.stats()
        assert (stats["reading"]["pauses"], stats["received"]["messages"]["qos0"]) == (1, 11)
        wait_until(lambda: mqtt.stats()["waiting_incoming"] == {"messages": 0, "bytes": 0})


@pytest.mark.slow
def test_lines_for_on_log_that_are_dropped_are_counted(scripted: ScriptedBroker) -> None:
    entered, released = threading.Event(), threading.Event()
    lines: list[str] = []
    with connected(make_app(scripted.port)) as mqtt:

        @mqtt.on_log()
        def handle(_client: Any, _userdata: Any, _level: int, line: str) -> None:
            if "PUBLISH" in line:
                lines.append(line)
                entered.set()
                released.wait(10)

        mqtt.publish("t")
        assert entered.wait(20)
        for _ in range(20_100):
            mqtt.publish("t")
        wait_until(lambda: sums(mqtt.stats())[1] == 20_101)
        dropped = mqtt.stats()["dropped"]["log_lines"]
        assert dropped > 0
        released.set()
        wait_until(lambda: len(lines) == 20_101 - dropped)


def test_a_handler_that_fails_is_counted(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, _message: 1 / 0)
        for _ in range(3):
            scripted.publish("t")
        wait_until(lambda: mqtt.stats()["handlers"]["failures"] == 3)


@pytest.mark.slow
def test_every_thread_may_ask_also_in_a_handler_and_the_numbers_only_grow(
    scripted: ScriptedBroker,
) -> None:
    scripted.echo = True
    in_handler: list[tuple[int, int]] = []
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(lambda *_arguments: in_handler.append(sums(mqtt.stats())))
        seen: list[list[tuple[int, int]]] = [[] for _ in range(4)]

        def ask(mine: list[tuple[int, int]]) -> None:
            while not mine or mine[-1] != (300, 300):
                mine.append(sums(mqtt.stats()))

        threads = [threading.Thread(target=ask, args=(mine,)) for mine in seen]
        for thread in threads:
            thread.start()
        for number in range(300):
            mqtt.publish("t", b"x", number % 3)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        wait_until(lambda: len(in_handler) == 300)
    for column in (0, 1):
        for answers in [*seen, in_handler]:
            assert [answer[column] for answer in answers] == sorted(
                answer[column] for answer in answers
            )


@pytest.mark.smoke
def test_with_a_real_broker_and_after_close(broker: Mosquitto) -> None:
    with connected(make_app(broker.port)) as mqtt:
        mqtt.subscribe("stats/#", 2)
        for qos in (0, 1, 2):
            mqtt.publish("stats/t", b"x", qos)
        wait_until(lambda: sums(mqtt.stats()) == (3, 3))
    stats = mqtt.stats()
    assert stats["published"]["messages"] == stats["received"]["messages"] == ONE_OF_EACH
    assert not stats["connected"]
    assert (stats["connections"], stats["last_error"]) == (1, None)
