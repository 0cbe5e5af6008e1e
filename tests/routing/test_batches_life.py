"""Batches at the ends of things: processes, interruptions, forks, other kinds of threads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTMessage, Retry
from support.batches import FOREVER, send
from support.packets import MQTT311
from support.pool import mids
from support.running import connected
from support.script import PREAMBLE, TESTS, running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from support.packets import Packet
    from support.scripted import ScriptedBroker


def kept(mqtt: Mqtt) -> int:
    return mqtt.client._parts.dispatcher.held.unacknowledged


class Limited:
    """A broker's hook that sends messages as long as few are not acknowledged."""

    def __init__(self, count: int, window: int) -> None:
        self.left = list(range(count))
        self.window = window
        self.in_flight = 0

    def hook(self, broker: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind == "PUBACK":
            self.in_flight -= 1
        if packet.kind in ("PUBACK", "SUBSCRIBE"):
            self.fill(broker)
        return False

    def fill(self, broker: ScriptedBroker) -> None:
        while self.left and self.in_flight < self.window:
            number = self.left.pop(0)
            self.in_flight += 1
            broker.send(MQTT311.publish("t/1", b"%d" % number, qos=1, mid=number + 1))


@pytest.mark.parametrize("window", [1, 20])
def test_a_broker_with_a_small_window_makes_few_batches_wait(
    scripted: ScriptedBroker, app: Flask, window: int
) -> None:
    count, wait = 40 * window, 0.5
    limited = Limited(count, window)
    scripted.hook = limited.hook
    begun: list[float] = []
    seen: list[bytes] = []
    with connected(app) as mqtt:

        @mqtt.batch("t/+", qos=1, wait=wait)
        def handle(client: Any, messages: list[MQTTMessage]) -> None:
            begun.append(time.monotonic())
            seen.extend(message.payload for message in messages)

        wait_until(lambda: len(seen) == count, 20)
    assert seen == [b"%d" % number for number in range(count)]
    waits = [1 for first, second in pairwise(begun) if second - first > wait / 2]
    # Else each of the 40 would: it is after 1, 2, 4, 8 and 16 others.
    assert len(waits) <= 10


END_OF_PROGRAM = """
    mqtt, seen = Mqtt(), []

    @mqtt.batch("t/+", qos=1, wait=600)
    def handle(client, messages):
        say(threading.current_thread().name, len(messages))

    mqtt.init_app(app)
    until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 3, 30)
    end()
"""


def test_what_is_collected_is_handled_at_the_end_of_the_program(scripted: ScriptedBroker) -> None:
    with running(END_OF_PROGRAM, scripted.port) as script:
        scripted.wait_for("SUBSCRIBE", timeout=60)
        send(scripted, range(3))
        assert script.line().startswith("end")
        assert script.line() == "mqtt-dispatch 3"
        assert script.finish() == 0, script.errors
    assert mids(scripted) == [1, 2, 3]
    assert scripted.packets[-1].kind == "DISCONNECT"


HANGING = """
    mqtt = Mqtt()

    @mqtt.batch("t/+", qos=1, max=2)
    def handle(client, messages):
        say("hangs")
        threading.Event().wait()

    mqtt.init_app(app)
    sys.stdin.readline()
    end()
"""


@pytest.mark.slow
def test_a_handler_that_hangs_does_not_keep_the_program_for_long(scripted: ScriptedBroker) -> None:
    with running(HANGING, scripted.port) as script:
        scripted.wait_for("SUBSCRIBE", timeout=60)
        send(scripted, range(3))
        script.expect("hangs")
        script.go()
        assert script.seconds_to_exit() < 9
    assert mids(scripted) == []
    assert scripted.packets[-1].kind == "DISCONNECT"


# -- in the thread of the application -------------------------------------------------------------


@pytest.fixture
def looping(scripted: ScriptedBroker, app: Flask) -> Iterator[Mqtt]:
    """An extension whose handlers are called by `loop`."""
    with connected(app) as mqtt:
        mqtt.client.loop_stop()
        yield mqtt


def loop_until(mqtt: Mqtt, what: Any) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        mqtt.client.loop(0.5)


def test_loop_handles_batches(scripted: ScriptedBroker, looping: Mqtt) -> None:
    seen: list[int] = []
    looping.batch("t/+", qos=1, max=3, wait=0.5)(lambda _client, all_: seen.append(len(all_)))
    send(scripted, range(5))
    loop_until(looping, lambda: len(seen) == 2)
    assert seen == [3, 2]
    scripted.wait_for("PUBACK", 5)


@pytest.mark.parametrize("size", [3, 4], ids=["by the time", "full"])
def test_a_batch_that_is_interrupted_is_not_acknowledged_and_none_waits_for_it(
    scripted: ScriptedBroker, looping: Mqtt, size: int
) -> None:
    seen: list[list[bytes]] = []

    @looping.batch("t/+", qos=1, max=4, wait=0.05)
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        seen.append([message.payload for message in messages])
        if len(seen) == 1:
            raise KeyboardInterrupt

    send(scripted, range(size))
    with pytest.raises(KeyboardInterrupt):
        looping.client.loop_forever()
    send(scripted, range(10, 12))
    loop_until(looping, lambda: len(seen) == 2)
    scripted.wait_for("PUBACK", 2)
    assert seen == [[b"%d" % number for number in range(size)], [b"10", b"11"]]
    assert mids(scripted) == [size + 1, size + 2]


def test_a_retry_that_is_interrupted_is_not_acknowledged_and_none_waits_for_it(
    scripted: ScriptedBroker, looping: Mqtt
) -> None:
    seen: list[bytes] = []

    @looping.topic("t/+", qos=1, retry=Retry(times=3, backoff=0.01))
    def handle(client: Any, message: MQTTMessage) -> None:
        seen.append(message.payload)
        if len(seen) == 1:
            raise RuntimeError("on purpose")
        if len(seen) == 2:
            raise KeyboardInterrupt

    send(scripted, range(3))
    with pytest.raises(KeyboardInterrupt):
        looping.client.loop_forever()
    loop_until(looping, lambda: len(seen) == 4)
    scripted.wait_for("PUBACK", 2)
    assert seen == [b"0", b"0", b"1", b"2"]
    assert mids(scripted) == [2, 3]


# -- forks ----------------------------------------------------------------------------------------


def test_a_forked_child_leaves_batches_and_retries_to_its_parent(
    scripted: ScriptedBroker, app: Flask
) -> None:
    seen: list[int] = []
    with connected(app) as mqtt:

        @mqtt.batch("t/+", qos=1, wait=FOREVER, max=4)
        def handle(client: Any, messages: list[MQTTMessage]) -> None:
            seen.append(len(messages))

        @mqtt.topic("t/1", qos=1, retry=Retry(times=1, backoff=FOREVER, longest=FOREVER))
        def fail(client: Any, message: MQTTMessage) -> None:
            if message.payload == b"0":
                raise RuntimeError("on purpose")

        send(scripted, range(3))
        wait_until(lambda: kept(mqtt) == 3)
        child = os.fork()
        if child == 0:
            mqtt.close()
            os._exit(len(seen) + kept(mqtt))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert mids(scripted) == []
        send(scripted, range(3, 4))
        wait_until(lambda: seen == [4])


# -- green threads --------------------------------------------------------------------------------

GREEN = {
    "eventlet": "import eventlet\neventlet.monkey_patch()\n",
    "gevent": "from gevent import monkey\nmonkey.patch_all()\n",
}

#: Of six handler threads, all wait for the one that has a full batch.
GREEN_PROGRAM = """
app.config["MQTT_HANDLER_THREADS"] = int(sys.argv[2])
mqtt, seen, failed = Mqtt(), [], []

@mqtt.batch("t/+", qos=1, max=10, wait=0.05, timeout=60)
def handle(client, messages):
    # Other green threads have their turn meanwhile.
    time.sleep(0.01)
    seen.extend(message.payload for message in messages)

@mqtt.topic("t/<name>", qos=1, retry=flask_mqtt.Retry(times=2, backoff=0.01))
def fail(client, message, name):
    if message.payload == b"7" and len(failed) < 2:
        failed.append(1)
        raise RuntimeError("on purpose")

mqtt.init_app(app)
until(lambda: len(seen) == 95, 60)
mqtt.batch("u/+", qos=1, wait=600)(lambda client, messages: say("last", len(messages)))
say("more")
until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 3, 30)
mqtt.close()
say("failed", len(failed))
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 6])
@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize("kind", GREEN)
def test_green_threads_handle_batches(
    scripted: ScriptedBroker, kind: str, when: str, threads: int
) -> None:
    parts = [GREEN[kind], PREAMBLE] if when == "early" else [PREAMBLE, GREEN[kind]]
    code, arguments = "".join([*parts, GREEN_PROGRAM]), map(str, (scripted.port, threads))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=os.environ | {"EVENTLET_SHOW_DEPRECATION_WARNING": "0"},
        cwd=TESTS,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            scripted.wait_for(lambda packet: ("t/+", 1) in packet.filters, 1, 60)
            for number in range(95):
                scripted.publish(f"t/{number % 6}", b"%d" % number, qos=1)
            assert process.stdout.readline() == "more\n"
            scripted.wait_for(lambda packet: ("u/+", 1) in packet.filters)
            for number in range(3):
                scripted.publish("u/1", b"%d" % number, qos=1)
            assert process.stdout.readline() == "last 3\n"
            assert process.stdout.readline() == "failed 2\n"
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert mids(scripted) == list(range(1, 99))
