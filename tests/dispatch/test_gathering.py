"""Messages of a stream are read together; what the application waits for is not held up by that.

Messages that one read has brought have the same timestamp. Messages that one read of
acknowledgements lets go reach the broker together.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.running import connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GAP = 0.001
LAST = 50


class Stream:
    """A broker that sends a message each millisecond, and what a client makes of them."""

    def __init__(self, broker: ScriptedBroker, qos: int) -> None:
        self._broker = broker
        self._qos = qos
        self._over = threading.Event()
        self._received: list[tuple[float, int]] = []
        self.handler: Callable[[int], None] = lambda _mid: None

    def handle(self, _client: Any, _userdata: Any, message: Any) -> None:
        self._received.append((message.timestamp, message.mid))
        self.handler(message.mid)

    def send(self) -> None:
        while not self._over.wait(GAP):
            self._broker.publish("stream", b"x", qos=self._qos)

    def end(self) -> None:
        self._over.set()

    def reads(self) -> int:
        """Return how many reads have brought the last messages; 0 where there were not so many."""
        last = self._received[-LAST:]
        return len({timestamp for timestamp, _ in last}) if len(last) == LAST else 0

    def is_gathered(self) -> bool:
        return 0 < self.reads() < LAST // 2

    def comes_alone(self) -> bool:
        return self.reads() > LAST * 2 // 3


@contextlib.contextmanager
def streaming(broker: ScriptedBroker, gather_time: float, qos: int = 0) -> Iterator[Any]:
    """Give the stream, and the client that gets it."""
    stream = Stream(broker, qos)
    sender = threading.Thread(target=stream.send)
    with connected(make_app(broker.port, gather_time=gather_time)) as mqtt:
        mqtt.on_message()(stream.handle)
        sender.start()
        try:
            yield stream, mqtt
        finally:
            stream.end()
            sender.join()


@pytest.mark.parametrize("qos", [0, 1])
def test_messages_of_a_stream_are_read_together(qos: int) -> None:
    with ScriptedBroker() as broker, streaming(broker, 0.01, qos) as (stream, _):
        wait_until(stream.is_gathered, what="messages are gathered")


def test_without_a_gather_time_each_message_is_read_when_it_comes() -> None:
    with ScriptedBroker() as broker, streaming(broker, 0) as (stream, _):
        wait_until(stream.comes_alone, what="messages come alone")


def test_nothing_is_gathered_while_the_application_waits_for_an_acknowledgement() -> None:
    with (
        ScriptedBroker(withhold={"PUBACK"}) as broker,
        streaming(broker, 0.01) as (stream, mqtt),
    ):
        wait_until(stream.is_gathered, what="messages are gathered")
        info = mqtt.publish("command", b"go", 1)
        wait_until(stream.comes_alone, what="messages come alone")
        broker.ack("PUBACK", info.mid)
        wait_until(stream.is_gathered, what="messages are gathered again")


def test_a_handler_that_blocks_holds_up_no_acknowledgement_of_those_before() -> None:
    blocked, release = threading.Event(), threading.Event()
    held: list[int] = []

    def block(mid: int) -> None:
        if not held:
            held.append(mid)
            blocked.set()
            release.wait(30)

    with ScriptedBroker() as broker, streaming(broker, 0.01, 1) as (stream, _):
        wait_until(stream.is_gathered, what="messages are gathered")
        stream.handler = block
        try:
            assert blocked.wait(10)
            stream.end()
            broker.wait_for(lambda packet: packet.kind == "PUBACK" and packet.mid == held[0] - 1)
        finally:
            release.set()
        broker.wait_for(lambda packet: packet.kind == "PUBACK" and packet.mid == held[0])


def test_what_is_published_meanwhile_goes_out_and_is_answered() -> None:
    with ScriptedBroker() as broker, streaming(broker, 0.01) as (stream, mqtt):
        wait_until(stream.is_gathered, what="messages are gathered")
        for _ in range(10):
            info = mqtt.publish("command", b"go", 1)
            info.wait_for_publish(20)
            assert info.is_published()


def bursts(broker: ScriptedBroker, last: int) -> int:
    """Return in how many bursts the last PUBLISH packets have come."""
    times = [packet.at for packet in broker.of("PUBLISH")][-last:]
    return 1 + sum(after - before > GAP / 4 for before, after in itertools.pairwise(times))


def acknowledge_one_by_one(broker: ScriptedBroker, first: int, count: int) -> None:
    for number in range(first + 1, first + count + 1):
        broker.wait_for("PUBLISH", number)
        broker.ack("PUBACK", broker.of("PUBLISH")[number - 1].mid)
        time.sleep(GAP)  # a broker that takes its time


@pytest.mark.parametrize(("queued", "is_gathered"), [(400, True), (19, False)])
def test_acknowledgements_are_gathered_while_messages_are_queued(
    queued: int, is_gathered: bool
) -> None:
    with (
        ScriptedBroker(withhold={"PUBACK"}) as broker,
        connected(make_app(broker.port, gather_time=0.01)) as mqtt,
    ):

        def is_as_expected() -> bool:
            first = len(broker.of("PUBLISH"))
            infos = [mqtt.client.publish("queued", b"x", 1) for _ in range(20 + queued)]
            arguments = (broker, first, len(infos))
            sender = threading.Thread(target=acknowledge_one_by_one, args=arguments)
            sender.start()
            infos[-1].wait_for_publish(30)
            sender.join()
            last = 200 if is_gathered else queued
            # Those of the last window are acknowledged without any that follow.
            return (bursts(broker, last) < last // 2) == is_gathered

        # A machine that is busy for a moment makes bursts of its own.
        wait_until(is_as_expected, 30, what="acknowledgements are read as they should be")
