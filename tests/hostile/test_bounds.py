"""What a broker can make a client's process keep: its memory, measured from outside."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from support.packets import MQTT5, MQTT311, PINGRESP
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

CLIENT = Path(__file__).parent / "stuck_client.py"
READ = 64 * 1024


class Memory(NamedTuple):
    """Of the client's process, in MB; how many of its connections ended, and if there is one."""

    resident: float
    reserved: float
    ends: int
    connected: bool


class Stuck:
    """A client in a process of its own, whose handler never returns."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running

    def memory(self) -> Memory:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write("\n")
        self._running.stdin.flush()
        return Memory(*json.loads(self._running.stdout.readline()))


@contextlib.contextmanager
def stuck(broker: ScriptedBroker, **settings: int | str) -> Iterator[Stuck]:
    """Give such a client, which is connected and has a handler that waits."""
    items = [f"{name}={value}" for name, value in settings.items()]
    with subprocess.Popen(
        [sys.executable, str(CLIENT), str(broker.port), *items],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            client = Stuck(running)
            wait_until(lambda: client.memory().connected)
            yield client
        finally:
            running.kill()


def has_read_all(broker: ScriptedBroker, count: int = 1) -> None:
    """Wait until the client has read all that was sent: it answers this."""
    broker.ack("PUBREL", 77)
    broker.wait_for("PUBCOMP", count, 30)


@pytest.mark.parametrize("kind", ["QoS 0", "QoS 2", "with others that are dropped"])
def test_small_messages_that_wait_do_not_keep_what_was_read_with_them(
    kind: str, scripted: ScriptedBroker
) -> None:
    # 500 messages of ten bytes, and 32 MB of other packets around them.
    others = PINGRESP * (READ // 2)
    settings: dict[str, int | str] = {}
    # Those of QoS 2 wait for it.
    scripted.withhold.add("PUBREL")
    if kind == "with others that are dropped":
        settings = {"incoming_overflow": "drop-oldest", "max_incoming_bytes": 100_000}
        others = MQTT311.publish("t", b"x" * 12_000) * 5
    with stuck(scripted, **settings) as client:
        scripted.publish("t", b"first")
        has_read_all(scripted)
        before = client.memory()
        for number in range(500):
            qos = {"QoS 0": 0, "QoS 2": 2}.get(kind, 1)
            mid = number + 100 if qos else 0
            scripted.send(MQTT311.publish("t", b"x" * 10, qos=qos, mid=mid) + others)
        has_read_all(scripted, 2)
        after = client.memory()
    assert after.resident - before.resident < 12
    assert after.ends == 0


def test_a_packet_that_is_announced_takes_no_memory_before_it_comes(
    scripted: ScriptedBroker,
) -> None:
    with stuck(scripted) as client:
        scripted.publish("t", b"first")
        has_read_all(scripted)
        before = client.memory()
        # A PUBLISH of 256 MB, of which a hundredth comes.
        scripted.send(b"\x30\xff\xff\xff\x7f\x00\x01t" + bytes(2_000_000))
        wait_until(lambda: client.memory().resident > before.resident + 1)
        after = client.memory()
    assert after.resident - before.resident < 20
    assert after.reserved - before.reserved < 50


def send_often(broker: ScriptedBroker, block: bytes) -> None:
    """Send 400 MB of it on the first connection."""
    for _ in range(400_000_000 // len(block)):
        broker.send(block, 0)


@pytest.mark.parametrize(
    "packet",
    [MQTT311.ack("PUBREL", 9), MQTT311.ack("PUBREC", 9), MQTT311.publish("t", b"x", qos=2, mid=9)],
    ids=["PUBREL", "PUBREC", "PUBLISH"],
)
def test_a_broker_that_wants_answers_and_reads_none_fills_no_memory_and_is_left(
    packet: bytes, scripted: ScriptedBroker
) -> None:
    with stuck(scripted, keepalive=1) as client:
        before = client.memory()
        scripted.pause()
        block = packet * 10_000
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            send_often(scripted, block)
        after = client.memory()
        assert after.resident - before.resident < 20
        scripted.resume()
        scripted.wait_connected(2, 10)
        wait_until(lambda: client.memory().ends == 1)


def settled(client: Stuck) -> bool:
    """Whether the client's memory stays the same for a while."""
    before = client.memory().resident
    time.sleep(0.2)
    return client.memory().resident - before < 1


def test_aliases_make_no_more_of_what_is_read_than_may_wait() -> None:
    # Ten bytes each, which stand for a topic of 60,000.
    topic = "a" * 60_000
    properties = {"TopicAlias": 1}
    first = MQTT5.publish(topic, b"", properties=properties)
    others = MQTT5.publish("", b"", properties=properties) * 20_000
    with ScriptedBroker(version=MQTT5) as broker, stuck(broker, aliases=10) as client:
        before = client.memory()
        broker.send(first + others)
        wait_until(lambda: client.memory().resident > before.resident + 10)
        wait_until(lambda: settled(client))
        after = client.memory()
    # 16 MiB wait, and a mebibyte is with the handler.
    assert after.resident - before.resident < 40
