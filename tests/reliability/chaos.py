r"""A publisher and a subscriber whose connections fail again and again, and the bill at the end.

    PYTHONPATH=tests python -m reliability.chaos --seconds 600 --seed 1
    PYTHONPATH=tests python -m reliability.chaos --seconds 60 --protocol 5 --handler-threads 4 \
        --persistence --way wss

Both reach mosquitto through a `FaultProxy` with random faults: to packets, or with TLS and
websockets to whatever bytes come at once. Their sessions are persistent, and
the broker drops nothing. Numbered messages go out on several topics with QoS 1 and with QoS 2. In
the end the faults stop, everything arrives, and this holds, or the status is 1:

- QoS 1: nothing lost; the first occurrences in order, for each topic.
- QoS 2: nothing lost, nothing twice; in order, for each topic.
- Memory is as flat as `GROWTH` says, between a tenth of the time and its end.

What a seed decides is which faults come to which packets of a connection; when packets come is up
to the machine. When something does not hold, a file is left with every packet that the proxies saw.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flask_mqtt import Mqtt, MQTTv5, MQTTv311
from support.apps import make_app
from support.certificates import Certificates
from support.fault_proxy import FaultProxy
from support.faults import Act, RandomFaults
from support.mosquitto import Listener, Mosquitto
from support.running import subscribe
from support.wait import wait_until

if TYPE_CHECKING:
    from flask import Flask

    from flask_mqtt import MQTTMessage
    from support.fault_proxy import Seen

#: How likely each fault is for a packet, each way, and how many seconds some may take.
CHANCES = {
    Act.CUT_BEFORE: 0.0004,
    Act.CUT_AFTER: 0.0004,
    Act.CUT_AT: 0.0004,
    Act.RESET: 0.0004,
    Act.HALF_OPEN: 0.00002,
    Act.STALL: 0.00005,
    Act.DELAY: 0.002,
    Act.DUPLICATE: 0.05,
    Act.REORDER: 0.01,
    Act.SPLIT: 0.01,
    Act.COALESCE: 0.02,
}
#: How many times as likely they are where what passes is no packets: many come at once there.
OPAQUE = 4
#: How likely a handler is to take up to 0.1 s.
SLOW = 0.002
LONGEST = {Act.STALL: 4.0, Act.DELAY: 0.05}

TOPICS = {f"chaos/{qos}/{letter}": qos for letter in "abc" for qos in (1, 2)}
#: Messages on the way from the publisher to the subscriber's handler, at most.
AHEAD = 200
#: Bytes by which memory may grow.
GROWTH = 16 * 1024 * 1024
#: Seconds for what is left at the end.
DRAIN = 60

#: No limit in flight: mosquitto 2.0.11 sends a new message before those that wait beyond the limit.
BROKER = (
    "max_queued_messages 0",
    "max_inflight_messages 0",
    "log_type none",
    *(f"log_type {kind}" for kind in ("error", "warning", "notice", "information")),
)


class Stream(NamedTuple):
    """What has come on a topic, as far as it has to be remembered."""

    expected: int = 0
    repeated: int = 0


class Received:
    """The bill of the subscriber: which number comes next on each topic."""

    def __init__(self, seed: int) -> None:
        self.streams = dict.fromkeys(TOPICS, Stream())
        self._chance = random.Random(seed)
        self._pause = threading.Event()
        self.failures: list[str] = []

    def handle(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        """Judge a message, and sometimes take a while."""
        if self._chance.random() < SLOW:
            self._pause.wait(self._chance.uniform(0, 0.1))
        number = int(message.payload.split(b" ")[0])
        expected, repeated = self.streams[message.topic]
        if number == expected:
            self.streams[message.topic] = Stream(expected + 1, repeated)
            return
        self.streams[message.topic] = Stream(expected, repeated + 1)
        if number > expected or TOPICS[message.topic] == 2:
            self.failures.append(f"{message.topic}: {number} came, {expected} was expected")

    def count(self) -> int:
        """Return how many messages have come, without repetitions."""
        return sum(stream.expected for stream in self.streams.values())

    def repetitions(self) -> int:
        """Return how many have come again."""
        return sum(stream.repeated for stream in self.streams.values())


class Publisher:
    """Publishes as much as is confirmed and has come, and `AHEAD` more."""

    def __init__(self, mqtt: Mqtt, seed: int, received: Received) -> None:
        self._received = received
        self.sent = dict.fromkeys(TOPICS, 0)
        self._mqtt = mqtt
        self._chance = random.Random(seed)
        self._confirmed = 0
        self._changed = threading.Condition()
        mqtt.on_publish()(self._confirm)

    def count(self) -> int:
        """Return how many messages were accepted."""
        return sum(self.sent.values())

    def publish(self, topic: str) -> None:
        """Publish the next number on a topic, unless too many are on the way."""
        if self.count() - min(self._confirmed, self._received.count()) >= AHEAD:
            with self._changed:
                self._changed.wait(0.01)
            return
        padding = b"x" * int(self._chance.expovariate(1 / 200))
        payload = b"%d %b" % (self.sent[topic], padding)
        rc, mid = self._mqtt.publish(topic, payload, TOPICS[topic])
        assert mid, f"publish returned {rc}"
        self.sent[topic] += 1

    def is_confirmed(self) -> bool:
        """Whether every message is."""
        return self._confirmed == self.count()

    def _confirm(self, *_: Any) -> None:
        with self._changed:
            self._confirmed += 1
            self._changed.notify()


class Chaos:
    """One run. The broker, the proxies and the clients end with it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seconds, self.seed, self.protocol = options.seconds, options.seed, options.protocol
        seed = self.seed
        self.received = Received(seed)
        self.memory: list[int] = []
        self._lock = threading.Lock()
        self._trace = Path(tempfile.gettempdir()) / f"chaos-{seed}-{os.getpid()}.log"
        times = 1 if options.way == "tcp" else OPAQUE
        chances = {act: chance * times for act, chance in CHANCES.items()}
        self._faults = [RandomFaults(seed * 2 + side, chances, LONGEST) for side in (0, 1)]

    def run(self) -> None:
        """Run it, and print the bill. Raises AssertionError where something does not hold."""
        with (
            self._trace.open("w") as self._packets,
            tempfile.TemporaryDirectory() as directory,
            self._broker(Path(directory)) as broker,
            self._proxy(broker, 0, "pub") as first,
            self._proxy(broker, 1, "sub") as second,
            Mqtt(
                self._app(second, directory, "chaos-subscriber"), connect_async=True
            ) as subscriber,
            Mqtt(self._app(first, directory, "chaos-publisher"), connect_async=True) as publishing,
        ):
            self._proxies = (first, second)
            subscriber.on_message()(self.received.handle)
            wait_until(lambda: subscriber.connected)
            subscribe(subscriber, "chaos/#", 2)
            self.publisher = Publisher(publishing, self.seed, self.received)
            try:
                self._go_on()
                self._drain()
            except AssertionError:
                print(f"every packet that the proxies saw: {self._trace}")
                raise
            finally:
                self.report()
        self._trace.unlink()
        growth = self.memory[-1] - self.memory[0]
        assert growth < GROWTH, f"memory grew by {growth} bytes"

    def _broker(self, directory: Path) -> Mosquitto:
        (directory / "certificates").mkdir()
        (directory / "broker").mkdir()
        certificates = Certificates(directory / "certificates")
        self._ca = certificates.ca
        tls = Listener(certificate=certificates.server.certificate, key=certificates.server.key)
        websockets = Listener("websockets")
        listeners = {"tls": tls, "ws": websockets, "wss": replace(tls, kind="websockets")}
        return Mosquitto(directory / "broker", options=BROKER, listeners=listeners)

    def _proxy(self, broker: Mosquitto, number: int, who: str) -> FaultProxy:
        way = self.options.way
        port = broker.port if way == "tcp" else broker.listeners[way].port
        faults, opaque = self._faults[number], way != "tcp"
        return FaultProxy(port, faults, lambda seen: self._see(who, seen), opaque=opaque)

    def _app(self, proxy: FaultProxy, directory: str, client_id: str) -> Flask:
        file = Path(directory) / f"{client_id}.db"
        return make_app(
            proxy.port,
            client_id=client_id,
            clean_session=False,
            keepalive=1,
            reconnect_delay_min=0.02,
            reconnect_delay_max=0.2,
            protocol_version=self.protocol,
            handler_threads=self.options.handler_threads,
            persistence=str(file) if self.options.persistence else None,
            **self._way(),
        )

    def _way(self) -> dict[str, Any]:
        way, settings = self.options.way, dict[str, Any]()
        if way in ("ws", "wss"):
            settings["transport"] = "websockets"
        if way in ("tls", "wss"):
            settings |= {"tls_enabled": True, "tls_ca_certs": str(self._ca)}
        return settings

    def _see(self, who: str, seen: Seen) -> None:
        with self._lock:
            self._packets.write(f"{time.monotonic():.4f} {who} {seen}\n")

    def _go_on(self) -> None:
        start = time.monotonic()
        marks = [start + part * self.seconds for part in (0.1, 0.5, 1)]
        for topic in cycle(TOPICS):
            self.publisher.publish(topic)
            assert not self.received.failures, self.received.failures[:5]
            if time.monotonic() >= marks[0]:
                self.memory.append(resident())
                marks.pop(0)
                if not marks:
                    return

    def _drain(self) -> None:
        for faults, proxy in zip(self._faults, self._proxies, strict=True):
            faults.stop()
            proxy.drop()
        wait_until(self.publisher.is_confirmed, DRAIN, "the confirmation of every message")
        # What comes twice would come before these.
        wait_until(self._has_all, DRAIN, "every message")
        for topic in TOPICS:
            self.publisher.publish(topic)
        wait_until(self._has_all, DRAIN, "the last message of each topic")
        assert not self.received.failures, self.received.failures[:5]

    def _has_all(self) -> bool:
        return self.received.count() == self.publisher.count() or bool(self.received.failures)

    def report(self) -> None:
        """Print the bill."""
        counts = self._proxies[0].counts + self._proxies[1].counts
        faults = ", ".join(f"{act.value} {number}" for act, number in counts.most_common())
        connections = " and ".join(str(proxy.connections) for proxy in self._proxies)
        memory = ", ".join(f"{size / 1e6:.1f}" for size in self.memory)
        version = 5 if self.protocol == MQTTv5 else "3.1.1"
        threads = self.options.handler_threads
        more = f", {threads} handler threads" if threads > 1 else ""
        more += ", persistence" if self.options.persistence else ""
        more += f", {self.options.way}" if self.options.way != "tcp" else ""
        print(f"seed {self.seed}, {self.seconds:g} s, MQTT {version}{more}")
        print(f"faults: {counts.total()} ({faults})")
        print(f"connections of the publisher and the subscriber: {connections}")
        print(f"messages published: {self.publisher.count()}")
        print(f"messages received: {self.received.count()}")
        print(f"received again (QoS 1): {self.received.repetitions()}")
        print(f"memory at 10 %, 50 % and 100 % of the time: {memory} MB")


def resident() -> int:
    """Return the memory of this process, in bytes."""
    command = ["ps", "-o", "rss=", "-p", str(os.getpid())]
    return 1024 * int(subprocess.run(command, check=True, capture_output=True).stdout)


def main() -> int:
    """Read the arguments, run, and return the status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000))
    parser.add_argument("--protocol", type=int, choices=(MQTTv311, MQTTv5), default=MQTTv311)
    parser.add_argument("--handler-threads", type=int, default=1)
    parser.add_argument("--persistence", action="store_true", help="with a file for each client")
    parser.add_argument("--way", choices=("tcp", "tls", "ws", "wss"), default="tcp")
    options = parser.parse_args()
    logging.getLogger("flask_mqtt").setLevel(logging.CRITICAL)
    try:
        Chaos(options).run()
    except AssertionError as error:
        print(f"it does not hold: {error}")
        return 1
    print("it holds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
