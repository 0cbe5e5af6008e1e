"""`MQTT_HANDLER_THREADS`: messages handled beside each other, with the order of each topic kept."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from flask import current_app, g

from flask_mqtt import MQTT_ERR_SUCCESS, Client, Mqtt
from support.apps import make_app
from support.peer import Peer
from support.pool import Gate, handler_threads, mids, pool_of
from support.running import closing, connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

THREADS = 4


@pytest.fixture
def mqtt(scripted: ScriptedBroker) -> Iterator[Mqtt]:
    with connected(make_app(scripted.port, handler_threads=THREADS)) as mqtt:
        yield mqtt


@pytest.mark.smoke
def test_messages_are_handled_on_daemon_threads_and_the_rest_where_it_always_is(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    threads: dict[str, threading.Thread] = {}

    def note(what: str) -> Any:
        return lambda *_: threads.setdefault(what, threading.current_thread())

    mqtt.on_message()(note("message"))
    mqtt.on_publish()(note("publish"))
    mqtt.on_subscribe()(note("subscribe"))
    mqtt.publish("t", "x", 1)
    mqtt.subscribe("t")
    scripted.publish("t")
    wait_until(lambda: len(threads) == 3)
    assert handler_threads() == ["mqtt-dispatch"] + [f"mqtt-handler-{n + 1}" for n in range(4)]
    assert threads["publish"].name == threads["subscribe"].name == "mqtt-dispatch"
    assert threads["message"].name.startswith("mqtt-handler-")
    assert all(thread.daemon for thread in threads.values())


def test_one_thread_is_the_default_and_has_no_others_beside_it(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)):
        assert handler_threads() == ["mqtt-dispatch"]


def test_a_handler_that_blocks_holds_up_its_topic_alone(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    mqtt.on_message()(gate.handle)
    for number in range(3):
        scripted.publish("shut", b"%d" % number)
    for number in range(100):
        scripted.publish(f"other/{number}")
    wait_until(lambda: len(gate.seen) == 100)
    wait_until(lambda: gate.entered.count("shut") == 1)
    gate.open("shut")
    wait_until(lambda: len(gate.seen) == 103)
    assert gate.seen[-3:] == [("shut", b"0"), ("shut", b"1"), ("shut", b"2")]


def test_as_many_topics_at_once_as_there_are_threads(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    mqtt.on_message()(gate.handle)
    for number in range(6):
        scripted.publish(f"shut/{number}")
    wait_until(lambda: len(gate.entered) == THREADS)
    scripted.publish("other")
    mqtt.subscribe("marker")
    scripted.wait_for("SUBSCRIBE")
    # The threads take them in this order, but any of them may be the first to call its handler.
    assert sorted(gate.entered) == [f"shut/{number}" for number in range(4)]
    gate.open("shut/2")
    # A topic's turn comes in the order of its first message.
    wait_until(lambda: gate.entered[4:] == ["shut/4"])
    gate.open("shut/0")
    wait_until(lambda: gate.entered[5:] == ["shut/5"])
    gate.open("shut/5")
    wait_until(lambda: gate.entered[6:] == ["other"])


def test_the_order_of_each_topic_is_kept_whatever_the_others_do(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    # With a limit, mosquitto 2.0.11 sends a new message before those that wait beyond the limit.
    broker = broker_factory(options=("max_inflight_messages 0",))
    seen: defaultdict[str, list[int]] = defaultdict(list)
    running: set[str] = set()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        assert message.topic not in running
        running.add(message.topic)
        # Not equally slow, so that the messages of a topic could overtake each other.
        time.sleep(chance.choice((0, 0, 0.001)))
        seen[message.topic].append(int(message.payload))
        running.remove(message.topic)

    app = make_app(broker.port, handler_threads=8)
    topics = [f"pool/order/{number}" for number in range(20)]
    with connected(app) as mqtt, Mqtt(make_app(broker.port)) as publisher:
        mqtt.on_topic("pool/order/#")(handle)
        subscribe(mqtt, "pool/order/#", 2)
        # Mosquitto keeps 1,000 for a client that is behind.
        for number in range(900):
            assert publisher.publish(chance.choice(topics), str(number), number % 3)[0] == 0
        wait_until(lambda: sum(map(len, seen.values())) == 900, 30)
    for topic in topics:
        for qos in range(3):
            # QoS 2 goes its own way (PUBREL), so each QoS has an order of its own.
            numbers = [number for number in seen[topic] if number % 3 == qos]
            assert numbers == sorted(numbers)
    assert sorted(number for numbers in seen.values() for number in numbers) == list(range(900))


def test_acknowledgements_go_out_in_the_order_of_arrival(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    mqtt.on_message()(gate.handle)
    for topic in ("shut/1", "a", "shut/2", "b"):
        scripted.publish(topic, qos=1)
    wait_until(lambda: len(gate.seen) == 2)
    gate.open("shut/2")
    wait_until(lambda: len(gate.seen) == 3)
    # What could go out would go out before this.
    mqtt.publish("marker")
    scripted.wait_for("PUBLISH")
    assert mids(scripted) == []
    gate.open("shut/1")
    scripted.wait_for("PUBACK", 4)
    assert mids(scripted) == [1, 2, 3, 4]


def test_qos_2_is_completed_when_it_is_handled(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    mqtt.on_message()(gate.handle)
    scripted.publish("shut", qos=1, mid=1)
    wait_until(lambda: gate.entered)
    scripted.publish("a", qos=2, mid=2)
    assert scripted.wait_for("PUBCOMP").mid == 2
    assert mids(scripted) == []


def test_by_hand_messages_are_acknowledged_at_once(scripted: ScriptedBroker, gate: Gate) -> None:
    with closing(Client(manual_ack=True)) as client:
        client.configure(handler_threads=2)

        def handle(client: Client, userdata: Any, message: Any) -> None:
            gate.handle(client, userdata, message)
            client.ack(message.mid, message.qos)

        client.on_message = handle
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        scripted.publish("shut", qos=1)
        scripted.publish("a", qos=1)
        scripted.wait_for("PUBACK")
        assert mids(scripted) == [2]
        gate.open("shut")
        scripted.wait_for("PUBACK", 2)
        assert mids(scripted) == [2, 1]


def test_a_changed_message_changes_neither_its_order_nor_its_acknowledgement(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[bytes] = []

    @mqtt.on_message()
    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        seen.append(message.payload)
        message.topic, message.payload, message.qos, message.mid = "other", b"", 0, 0

    for number in range(50):
        scripted.publish("t", b"%d" % number, qos=1 + number % 2)
    scripted.wait_for("PUBACK", 25)
    scripted.wait_for("PUBCOMP", 25)
    assert sorted(seen, key=int) == [b"%d" % number for number in range(50)]
    assert mids(scripted) == sorted(mids(scripted))


def test_what_waits_is_bounded_and_goes_on_when_there_is_room(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    published: list[int] = []
    mqtt.on_publish()(lambda _client, _userdata, mid: published.append(mid))
    mqtt.on_message()(gate.handle)
    for number in range(1_000):
        scripted.publish("shut", b"%d" % number)
    scripted.publish("open", b"first")
    wait_until(lambda: ("open", b"first") in gate.seen)
    # One is handled and 1,000 may wait: with the next one the dispatcher waits too.
    scripted.publish("shut", b"1000")
    scripted.publish("shut", b"1001")
    scripted.publish("open", b"second")
    pool = pool_of(mqtt.client)
    wait_until(lambda: pool._is_full)
    assert mqtt.publish("t")[0] == MQTT_ERR_SUCCESS
    scripted.wait_for("PUBLISH")
    assert published == []
    assert len(gate.seen) == 1
    gate.open("shut")
    wait_until(lambda: len(gate.seen) == 1_004)
    wait_until(lambda: published)
    numbers = [int(payload) for topic, payload in gate.seen if topic == "shut"]
    assert numbers == list(range(1_002))


def test_what_waits_is_bounded_in_bytes(scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate) -> None:
    mqtt.on_message()(gate.handle)
    for _ in range(8):
        scripted.publish("shut", bytes(1_000_000))
    pool = pool_of(mqtt.client)
    wait_until(lambda: pool._is_full)
    # The first one may have been among them.
    assert pool._waiting_bytes in (4_000_000, 5_000_000)
    gate.open("shut")
    wait_until(lambda: len(gate.seen) == 8)
    assert pool._waiting_bytes == 0


def test_waiting_for_a_message_in_a_handler_is_refused(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    errors: list[RuntimeError] = []

    @mqtt.on_message()
    def handle(*_: Any) -> None:
        info = mqtt.publish("answer", "x", 1)
        with pytest.raises(RuntimeError) as caught:
            info.wait_for_publish(1)
        errors.append(caught.value)

    scripted.publish("t")
    wait_until(lambda: errors)
    assert "handler" in str(errors[0])


def test_each_handler_has_an_application_context_of_its_own(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    meeting = threading.Barrier(THREADS)
    seen: list[tuple[str, list[str], Any]] = []

    @mqtt.on_message()
    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        before = list(g)
        g.topic = message.topic
        meeting.wait(20)
        seen.append((current_app.name, before, g.topic == message.topic))

    for number in range(THREADS * 3):
        scripted.publish(f"{number}")
    wait_until(lambda: len(seen) == THREADS * 3)
    assert seen == [("tests", [], True)] * (THREADS * 3)


def test_a_context_ends_before_its_thread_waits(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    ended: list[str] = []
    scripted.publish("t")
    mqtt.on_message()(lambda *_: None)

    assert mqtt.app is not None
    mqtt.app.teardown_appcontext_funcs.append(
        lambda _: ended.append(threading.current_thread().name)
    )
    scripted.publish("t")
    wait_until(lambda: len(ended) >= 1)
    assert {name.rstrip("0123456789") for name in ended} == {"mqtt-handler-"}


def test_messages_that_came_before_any_handler_are_handled_by_the_threads(
    scripted: ScriptedBroker, mqtt: Mqtt, gate: Gate
) -> None:
    for number in range(200):
        scripted.publish("t", b"%d" % number, qos=1)
    mqtt.publish("marker")
    scripted.wait_for("PUBLISH")
    mqtt.on_message()(gate.handle)
    scripted.wait_for("PUBACK", 200)
    assert gate.seen == [("t", b"%d" % number) for number in range(200)]


def test_mosquitto_sends_a_slow_pool_everything_once(broker: Mosquitto) -> None:
    seen: list[bytes] = []

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        time.sleep(0.001)  # slow on purpose
        seen.append(message.payload)

    app = make_app(broker.port, handler_threads=4, client_id="slow-pool")
    with connected(app) as mqtt, Peer(broker.port) as peer:
        mqtt.on_message()(handle)
        subscribe(mqtt, "slow-pool/#", 1)
        for number in range(200):
            peer.publish(f"slow-pool/{number % 7}", b"%d" % number)
        wait_until(lambda: len(seen) == 200, 20)
    assert sorted(seen, key=int) == [b"%d" % number for number in range(200)]
