"""Processes that are killed while they publish or receive with a file, and what arrives in the end.

    PYTHONPATH=tests python -m support.killed publisher --qos 1 --kills 100 --seed 1
    PYTHONPATH=tests python -m support.killed receiver --way wss --handler-threads 4

Each message that a process says it has published (`publish` returned 0 or 4) must arrive, and with
QoS 2 exactly once, as the broker keeps the session. On the receiving side each message must be
handled, and only one whose handler was running, or had just ended, more than once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask_mqtt import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, Client

from .certificates import Certificates
from .mosquitto import Listener, Mosquitto
from .running import closing
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

TOPIC = "killed/t"
#: Longer than anything here takes.
PATIENCE = 60.0
#: Seconds after which a process that publishes has nothing to say.
SILENCE = 12.0


#: What else the clients of the processes that are killed are set to, from the command line.
_settings: dict[str, Any] = {}


def client(name: str, port: int, file: Path | None = None) -> Client:
    """Make a client whose session the broker keeps, and connect it."""
    made = Client(client_id=name, clean_session=False)
    if file is not None:
        made._parts.settings.change(**_settings)
    made._parts.settings.change(
        persistence=None if file is None else str(file), reconnect_delay_min=0.05, max_queued=0
    )
    made.connect_async("127.0.0.1", port)
    return made


def publish_for_ever(port: int, file: Path, qos: int, first: int) -> None:
    """Publish numbers, and say which ones are accepted."""
    publisher = client("publisher", port, file)
    publisher.loop_start()
    for number in range(first, sys.maxsize):
        if publisher.publish(TOPIC, str(number), qos)[0] in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            os.write(1, b"%d\n" % number)


def publish_the_rest(port: int, file: Path, qos: int) -> None:
    """Send everything in the file, and a message after it."""
    publisher = client("publisher", port, file)
    publisher.loop_start()
    wait_until(publisher.is_connected, PATIENCE)
    publisher.publish(TOPIC, "end", qos).wait_for_publish(PATIENCE)
    publisher.close()


def receive_for_ever(port: int, file: Path) -> None:
    """Handle messages, and say when each handler begins and ends."""
    receiver = client("receiver", port, file)

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        os.write(1, b"begin %s\n" % message.payload)
        os.write(1, b"end %s\n" % message.payload)

    receiver.on_message = handle
    receiver.on_connect = lambda *_: receiver.subscribe(TOPIC, 2)
    receiver.on_subscribe = lambda *_: os.write(1, b"ready\n")
    if _settings.get("handler_threads", 1) == 1:
        receiver.loop_forever(retry_first_connection=True)
    receiver.loop_start()
    # Until it is killed.
    threading.Event().wait()


@dataclass
class Outcome:
    """What a run has shown."""

    kills: int = 0
    accepted: set[str] = field(default_factory=set)
    arrived: Counter[str] = field(default_factory=Counter)
    #: Messages whose handler was running, or had just ended, at a kill.
    excused: set[str] = field(default_factory=set)

    @property
    def lost(self) -> set[str]:
        """Accepted, and not there."""
        return self.accepted - self.arrived.keys()

    @property
    def twice(self) -> set[str]:
        """There more than once without excuse."""
        return {text for text, count in self.arrived.items() if count > 1} - self.excused

    def __str__(self) -> str:
        """Tell it in one line."""
        return (
            f"{self.kills} kills, {len(self.accepted)} accepted, {self.arrived.total()} arrived, "
            f"{len(self.lost)} lost, {len(self.twice)} more than once"
        )


@contextlib.contextmanager
def child(*arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run this module in another process."""
    settings = ["--settings", json.dumps(_settings)]
    command = [sys.executable, "-m", "support.killed", *map(str, arguments), *settings]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def lines(stream: IO[bytes] | None) -> list[str]:
    """Return what a process that has ended has said in whole lines."""
    assert stream is not None
    return [
        line[:-1] for line in stream.read().decode().splitlines(keepends=True) if line[-1] == "\n"
    ]


def kill_later(process: subprocess.Popen[bytes], seconds: random.Random) -> list[str]:
    """Let a process say something, kill it at a random moment, and return what it has said.

    Without a broker it may have nothing to say, when as much waits as may.
    """
    assert process.stdout is not None
    said = (
        [process.stdout.readline()] if select.select([process.stdout], [], [], SILENCE)[0] else []
    )
    time.sleep(seconds.random() * 0.15)
    process.kill()
    return [line.decode().rstrip("\n") for line in said] + lines(process.stdout)


def kill_publishers(
    broker: Mosquitto, file: Path, qos: int, kills: int, seed: int, port: int = 0
) -> Outcome:
    """Kill processes that publish, on a port of the broker's; every fourth one finds no broker."""
    there = port or broker.port
    chance = random.Random(seed)
    outcome = Outcome()
    subscriber = client("subscriber", broker.port)
    subscriber.on_message = lambda _client, _userdata, message: outcome.arrived.update(
        [message.payload.decode()]
    )
    subscriber.on_connect = lambda *_: subscriber.subscribe(TOPIC, qos)
    subscribed: list[int] = []
    subscriber.on_subscribe = lambda *_: subscribed.append(1)
    with closing(subscriber):
        subscriber.loop_start()
        wait_until(lambda: subscribed, PATIENCE)
        number = 0
        for _ in range(kills):
            # A port where nobody listens.
            where = 1 if chance.random() < 0.25 else there
            with child("publish", where, file, qos, number) as process:
                said = kill_later(process, chance)
            outcome.kills += 1
            outcome.accepted.update(said)
            # One more may be in the file than was said.
            number = int(said[-1]) + 2 if said else number
        with child("rest", there, file, qos) as process:
            assert process.wait(PATIENCE) == 0
        wait_until(lambda: outcome.arrived["end"], PATIENCE, f"{outcome}")
    return outcome


def kill_receivers(broker: Mosquitto, file: Path, kills: int, seed: int, port: int = 0) -> Outcome:
    """Kill processes that receive with QoS 2, on a port of the broker's."""
    there = port or broker.port
    chance = random.Random(seed)
    outcome = Outcome()
    publisher = client("sender", broker.port)
    with closing(publisher):
        publisher.loop_start()
        with child("receive", there, file) as process:
            # From here on the broker keeps what is published.
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        number = 0
        for _ in range(kills):
            with child("receive", there, file) as process:
                stop = time.monotonic() + 0.4 + chance.random() * 0.5
                while time.monotonic() < stop:
                    publisher.publish(TOPIC, str(number), 2)
                    outcome.accepted.add(str(number))
                    number += 1
                    time.sleep(0.001)  # the rate of messages
                process.kill()
                note(outcome, lines(process.stdout))
            outcome.kills += 1
        with child("receive", there, file) as process:
            said = handled_by(process, outcome.lost)
            process.kill()
            note(outcome, said + lines(process.stdout))
    return outcome


def handled_by(process: subprocess.Popen[bytes], awaited: set[str]) -> list[str]:
    """Return what a receiver says until it has handled all of these."""
    said: list[str] = []
    awaited = {f"end {text}" for text in awaited}
    watchdog = threading.Timer(PATIENCE, process.kill)
    watchdog.start()
    while awaited and process.poll() is None:
        assert process.stdout is not None
        said.append(process.stdout.readline().decode().rstrip("\n"))
        awaited.discard(said[-1])
    watchdog.cancel()
    return said


def note(outcome: Outcome, said: list[str]) -> None:
    """Note what a receiver has said. What it did last may have to be done again."""
    outcome.arrived.update(line.removeprefix("end ") for line in said if line.startswith("end "))
    outcome.excused.update(line.split()[-1] for line in said[-2:])


def main() -> None:
    """Run a child, or kill as many as the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["publish", "rest", "receive", "publisher", "receiver"])
    parser.add_argument("arguments", nargs="*")
    parser.add_argument("--qos", type=int, default=1)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--way", choices=("tcp", "tls", "ws", "wss"), default="tcp")
    parser.add_argument("--handler-threads", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="a child's, as JSON")
    given = parser.parse_args()
    _settings.update(given.settings)
    match given.role, given.arguments:
        case "publish", [port, file, qos, first]:
            publish_for_ever(int(port), Path(file), int(qos), int(first))
        case "rest", [port, file, qos]:
            publish_the_rest(int(port), Path(file), int(qos))
        case "receive", [port, file]:
            receive_for_ever(int(port), Path(file))
        case role, []:
            with (
                tempfile.TemporaryDirectory() as directory,
                _broker(Path(directory), given.way, given.handler_threads) as (broker, port),
            ):
                file = Path(directory, "messages.db")
                if role == "publisher":
                    outcome = kill_publishers(
                        broker, file, given.qos, given.kills, given.seed, port
                    )
                else:
                    outcome = kill_receivers(broker, file, given.kills, given.seed, port)
                print(f"{role}, QoS {given.qos}, {given.way}, seed {given.seed}: {outcome}")


@contextlib.contextmanager
def _broker(directory: Path, way: str, threads: int) -> Iterator[tuple[Mosquitto, int]]:
    """Start a broker; also given is the port for processes that go this way."""
    for name in ("certificates", "broker"):
        (directory / name).mkdir()
    certificates = Certificates(directory / "certificates")
    tls = Listener(certificate=certificates.server.certificate, key=certificates.server.key)
    websockets = Listener("websockets")
    listeners = {"tls": tls, "ws": websockets, "wss": replace(tls, kind="websockets")}
    _settings["handler_threads"] = threads
    if way in ("ws", "wss"):
        _settings["transport"] = "websockets"
    if way in ("tls", "wss"):
        _settings.update(tls_enabled=True, tls_ca_certs=str(certificates.ca))
    options = ("max_queued_messages 0",)
    with Mosquitto(directory / "broker", options=options, listeners=listeners) as broker:
        yield broker, broker.port if way == "tcp" else broker.listeners[way].port


if __name__ == "__main__":
    main()
