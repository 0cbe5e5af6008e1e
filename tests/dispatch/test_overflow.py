"""More messages than handlers can take: what is queued, what is dropped, what is said about it."""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.packets import MQTT311
from support.peer import Peer
from support.running import connected, subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_mqtt import Mqtt
    from support.mosquitto import Mosquitto
    from support.scripted import ScriptedBroker

#: More than the buffers of two sockets take of large messages.
LARGE = b"x" * 60_000


class Held:
    """Handlers that wait in their first message, and keep the payloads of all of them."""

    def __init__(self, mqtt: Mqtt) -> None:
        self.payloads: list[bytes] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        mqtt.on_message()(self._message)

    def _message(self, client: Any, userdata: Any, message: Any) -> None:
        self.begun.set()
        self.go_on.wait(30)
        self.payloads.append(message.payload)


@contextlib.contextmanager
def held(port: int, **config: Any) -> Iterator[tuple[Mqtt, Held]]:
    """Give a client whose handlers wait until `go_on` is set."""
    with connected(make_app(port, **config)) as mqtt:
        handlers = Held(mqtt)
        try:
            yield mqtt, handlers
        finally:
            handlers.go_on.set()


def hold(broker: ScriptedBroker, handlers: Held) -> None:
    """Have the dispatcher wait in the handler of a message of its own."""
    broker.publish("t", b"first")
    assert handlers.begun.wait(20)


def has_read_all(broker: ScriptedBroker) -> None:
    """Wait until the client has read all that was sent: it answers this."""
    broker.ack("PUBREL", 77)
    broker.wait_for("PUBCOMP")


def numbers(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = [record.getMessage() for record in caplog.records if record.name == "flask_mqtt"]
    return [line for line in lines if "dropped" in line or "dropping" in line]


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("drop-oldest", numbers(1000)[-10:]), ("drop-newest", numbers(1000)[:10])],
)
def test_messages_of_qos_0_beyond_the_bound_are_dropped_and_told_in_two_lines(
    policy: str, kept: list[bytes], scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"incoming_overflow": policy, "max_incoming_messages": 10}
    with held(scripted.port, **config) as (_, handlers):
        hold(scripted, handlers)
        scripted.send(b"".join(MQTT311.publish("t", payload) for payload in numbers(1000)))
        has_read_all(scripted)
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == 11)
        assert handlers.payloads == [b"first", *kept]
        wait_until(lambda: len(told(caplog)) > 1)
        begun, over = told(caplog)
        assert "dropping QoS 0 messages" in begun
        assert "990 QoS 0 messages were discarded" in over
        # It all works as before.
        scripted.publish("t", b"after")
        wait_until(lambda: handlers.payloads[-1] == b"after")


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_the_bound_of_bytes_drops_too(policy: str, scripted: ScriptedBroker) -> None:
    config = {"incoming_overflow": policy, "max_incoming_bytes": 10 * len(LARGE)}
    with held(scripted.port, **config) as (_, handlers):
        hold(scripted, handlers)
        for _ in range(200):
            scripted.publish("t", LARGE)
        has_read_all(scripted)
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == 10)
        scripted.publish("t", b"last")
        wait_until(lambda: b"last" in handlers.payloads)
        assert handlers.payloads.count(LARGE) == 9


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
@pytest.mark.parametrize("qos", [1, 2])
def test_messages_of_qos_1_and_2_are_never_dropped_whatever_the_policy(
    policy: str, qos: int, broker: Mosquitto
) -> None:
    topic = f"overflow/{policy}/{qos}"
    # Mosquitto queues no more than 1000.
    count = 900
    config = {"incoming_overflow": policy, "max_incoming_messages": 10, "keepalive": 1}
    with (
        held(broker.port, **config, client_id=topic) as (mqtt, handlers),
        connected(make_app(broker.port)) as publisher,
    ):
        subscribe(mqtt, topic, qos)
        for payload in numbers(count):
            publisher.publish(topic, payload, qos)
        # The dispatcher waits for three times the keep alive, and most messages with it.
        assert handlers.begun.wait(20)
        assert not handlers.go_on.wait(3)
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == count, 20)
        assert handlers.payloads == numbers(count)
        assert mqtt.connected
    assert f"{topic} has exceeded timeout" not in broker.log


def test_of_a_mixture_all_of_qos_1_arrive_in_order_and_none_of_qos_0_is_out_of_it(
    scripted: ScriptedBroker,
) -> None:
    config = {"incoming_overflow": "drop-oldest", "max_incoming_messages": 20}
    with held(scripted.port, **config) as (_, handlers):
        hold(scripted, handlers)
        for number, payload in enumerate(numbers(200)):
            important = number % 20 == 0
            mid = number + 1 if important else 0
            scripted.send(MQTT311.publish("t", payload, qos=int(important), mid=mid))
        has_read_all(scripted)
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == 21)
        scripted.publish("t", b"last")
        wait_until(lambda: b"last" in handlers.payloads)
        received = [int(payload) for payload in handlers.payloads[1:-1]]
        assert received == sorted(received)
        assert len(received) == 20
        assert set(range(0, 200, 20)) < set(received)


def test_by_default_nothing_is_dropped_and_the_broker_is_held_back(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with held(scripted.port, max_incoming_messages=10) as (_, handlers):
        hold(scripted, handlers)

        def flood() -> None:
            for number in range(300):
                scripted.publish("t", str(number).encode().ljust(len(LARGE)))

        flooding = threading.Thread(target=flood)
        flooding.start()
        flooding.join(1)
        assert flooding.is_alive(), "the client reads on, though nobody takes what it reads"
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == 301)
        flooding.join(20)
        assert [int(payload) for payload in handlers.payloads[1:]] == list(range(300))
    assert told(caplog) == []


def test_limits_that_are_changed_hold_from_the_next_connection_on(
    scripted: ScriptedBroker,
) -> None:
    with held(scripted.port) as (mqtt, handlers):
        mqtt.client.configure(incoming_overflow="drop-newest", max_incoming_messages=3)
        scripted.drop()
        scripted.wait_connected(2)
        wait_until(lambda: mqtt.connected)
        hold(scripted, handlers)
        for payload in numbers(10):
            scripted.publish("t", payload)
        has_read_all(scripted)
        handlers.go_on.set()
        wait_until(lambda: len(handlers.payloads) == 4)
        scripted.publish("t", b"last")
        wait_until(lambda: b"last" in handlers.payloads)
        assert handlers.payloads == [b"first", b"0", b"1", b"2", b"last"]


def test_where_nothing_is_dropped_nothing_is_said(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytes] = []
    app = make_app(broker.port, incoming_overflow="drop-oldest")
    with connected(app) as mqtt, Peer(broker.port) as peer:
        mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
        subscribe(mqtt, "overflow/none")
        for payload in numbers(500):
            peer.publish("overflow/none", payload)
        wait_until(lambda: len(seen) == 500)
    assert seen == numbers(500)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
