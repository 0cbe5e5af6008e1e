"""What a pool of handler threads keeps of messages that are handled, and its acknowledgements."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from flask_mqtt.dispatch import pool
from support.packets import MQTT311
from support.pool import Gate, mids, pool_of
from support.running import closing
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted import ScriptedBroker


@pytest.fixture
def client(scripted: ScriptedBroker) -> Iterator[Client]:
    with closing(Client()) as client:
        client.configure(handler_threads=4)
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        yield client


#: In a process of its own, whose memory is looked at.
BLOCKED = """
    import resource
    app.config["MQTT_HANDLER_THREADS"] = 2
    mqtt, blocked, seen = Mqtt(), threading.Event(), []

    def resident():
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() >> 20

    @mqtt.on_message()
    def handler(client, userdata, message):
        if message.topic == "blocked":
            blocked.wait()
        seen.append(len(message.payload))

    mqtt.init_app(app)
    until(lambda: mqtt.connected)
    before = resident()
    say("ready")
    until(lambda: len(seen) == 6000, 60)
    say(len(seen), sum(seen))
    say(resident() - before)
    blocked.set()
    until(lambda: len(seen) == 6001)
    mqtt.close()
    end()
"""


@pytest.mark.slow
def test_of_messages_handled_behind_a_blocked_one_only_the_receipts_are_kept(
    scripted: ScriptedBroker,
) -> None:
    payload = bytes(100_000)
    with running(BLOCKED, scripted.port) as script:
        script.expect("ready")
        scripted.send(MQTT311.publish("blocked", qos=1, mid=1))
        for mid in range(2, 6_002):
            scripted.send(MQTT311.publish("other", payload, qos=1, mid=mid))
        script.expect("6000 600000000")
        # Whole, they are 600 MB.
        assert int(script.line()) < 100
        assert script.seconds_to_exit() < 5
    assert mids(scripted) == list(range(1, 6_002))


def test_there_is_a_bound_for_receipts_and_then_the_blocked_handler_is_waited_for(
    scripted: ScriptedBroker, client: Client, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_MOST_UNACKNOWLEDGED", 50)
    client.on_message = gate.handle
    for number in range(200):
        scripted.publish("shut" if number == 0 else f"other/{number % 7}", b"%d" % number, qos=1)
    opened = pool_of(client)
    wait_until(lambda: opened._is_full and len(gate.seen) == 50)
    # The other ones are not even fetched, or wait beside the pool.
    assert len(opened._receipts) == 51
    assert mids(scripted) == []
    gate.open("shut")
    wait_until(lambda: len(gate.seen) == 200)
    scripted.wait_for("PUBACK", 200)
    assert mids(scripted) == list(range(1, 201))


@pytest.mark.parametrize("then", ["loop_start", "loop", "one thread", "mixed"])
def test_acknowledgements_keep_their_order_over_stops_and_starts(
    scripted: ScriptedBroker, client: Client, then: str
) -> None:
    count = 4_000
    seen: Counter[int] = Counter()
    orders: dict[str, list[int]] = {}
    handled = threading.Semaphore(0)

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        number = int(message.payload)
        seen[number] += 1
        orders.setdefault(message.topic, []).append(number)
        if number % 50 == 0:
            # Slow on purpose: stops come while handlers run.
            time.sleep(0.001)
        handled.release()

    client.on_message = handle

    def send() -> None:
        for first in range(1, count + 1, 200):
            numbers = range(first, first + 200)
            packets = [MQTT311.publish(f"t/{n % 9}", b"%d" % n, qos=1, mid=n) for n in numbers]
            scripted.send(b"".join(packets))

    sender = threading.Thread(target=send)
    sender.start()
    rounds = 0
    while len(seen) < count:
        rounds += 1
        how = ("loop_start", "loop", "one thread")[rounds % 3] if then == "mixed" else then
        client.loop_stop()
        if how == "loop":
            client.loop(0.001)
        client.configure(handler_threads=1 if how == "one thread" else 4)
        client.loop_start()
        for _ in range(40):
            assert handled.acquire(timeout=20)
    sender.join()
    scripted.wait_for("PUBACK", count)
    assert rounds > 3
    assert mids(scripted) == list(range(1, count + 1))
    assert set(seen.values()) == {1}
    assert all(numbers == sorted(numbers) for numbers in orders.values())


def open_when_it_is_closed(opened: pool.HandlerPool, gate: Gate) -> None:
    wait_until(lambda: opened._is_closed)
    gate.open("shut/1")


def test_what_waited_behind_a_blocked_handler_goes_on_in_the_thread_of_loop(
    scripted: ScriptedBroker, client: Client, gate: Gate
) -> None:
    client.on_message = gate.handle
    for number, topic in enumerate(["shut/1", "a", "shut/1", "b", "shut/1", "c"], 1):
        scripted.publish(topic, b"%d" % number, qos=1)
    opened = pool_of(client)
    wait_until(lambda: len(gate.seen) == 3 and opened._waiting == 2)
    assert mids(scripted) == []
    opening = threading.Thread(target=open_when_it_is_closed, args=(opened, gate))
    opening.start()
    client.loop_stop()
    opening.join()
    scripted.wait_for("PUBACK", 2)
    # The third has not been handled: what came after it waits for it.
    assert mids(scripted) == [1, 2]
    while len(gate.seen) < 6:
        client.loop(0.1)
    scripted.wait_for("PUBACK", 6)
    assert mids(scripted) == [1, 2, 3, 4, 5, 6]
    payloads = [payload for _, payload in gate.seen]
    # The first three were handled beside each other.
    assert (sorted(payloads[:3]), payloads[3:]) == ([b"2", b"4", b"6"], [b"1", b"3", b"5"])


def test_a_message_whose_handler_ends_the_program_is_left_out_and_no_other_waits_for_it(
    scripted: ScriptedBroker, client: Client, gate: Gate
) -> None:
    interrupts = False

    def handle(client: Client, userdata: Any, message: Any) -> None:
        if interrupts and message.payload == b"3":
            raise KeyboardInterrupt
        gate.handle(client, userdata, message)

    client.on_message = handle
    for number, topic in enumerate(["shut/1", "a", "shut/1", "shut/1", "b"], 1):
        scripted.publish(topic, b"%d" % number, qos=1)
    opened = pool_of(client)
    wait_until(lambda: len(gate.seen) == 2 and opened._waiting == 2)
    interrupts = True
    opening = threading.Thread(target=open_when_it_is_closed, args=(opened, gate))
    opening.start()
    client.loop_stop()
    opening.join()
    with pytest.raises(KeyboardInterrupt):
        client.loop(1)
    while len(gate.seen) < 4:
        client.loop(0.1)
    scripted.wait_for("PUBACK", 4)
    assert mids(scripted) == [1, 2, 4, 5]
