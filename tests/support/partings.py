"""What becomes of messages that are on their way when a client, or its process, ends a connection.

A process with six clients is told to part, see `parting_process`; then it connects again, or
another one like it does. Three of its clients publish: one whose broker answers, one that gets no
answer any more, one without a connection. Three subscribe, with a message whose handler runs, and
another behind it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .packets import MQTT311
from .parting_process import PATIENCE, PUBLISHERS, QOS
from .peer import HOST, Peer
from .relay import Forwarder

if TYPE_CHECKING:
    from typing_extensions import Self

TESTS = Path(__file__).parent.parent

#: Partings, and whether the process goes on after them.
PARTINGS = {
    "disconnect": True,
    "close": True,
    "replaced": True,
    "taken over": True,
    "exit": False,
    "sigterm handled": False,
    "sigterm": False,
    "sigkill": False,
    "os._exit": False,
}
#: Those without a word to the broker: what was published just before may have been written or not.
ABRUPT = ("taken over", "sigterm", "sigkill", "os._exit")
#: What a message is doing at the parting.
PUBLISHED, RECEIVED = PUBLISHERS, ("1", "2")


class Cell(NamedTuple):
    """One parting, with which session, with or without a file."""

    parting: str
    clean: bool
    file: bool


#: How often each message was delivered: by what it was doing and its QoS.
Outcome = dict[str, tuple[int, int, int]]


def cells() -> list[Cell]:
    """Return all there are."""
    return [
        Cell(parting, clean, file)
        for parting in PARTINGS
        for file in (False, True)
        for clean in (True, False)
    ]


class Way(Forwarder):
    """A port that leads to a broker, unless it is shut. What is under way can be muted."""

    def __init__(self, target: int, *, is_open: bool = True) -> None:
        super().__init__(target)
        self.is_open = is_open
        self._brokers: set[socket.socket] = set()
        self._muted: set[socket.socket] = set()

    def mute(self) -> None:
        """From now on, nothing that the broker says on these connections arrives."""
        self._muted |= self._brokers

    def take(self, connection: socket.socket) -> None:
        if self.is_open:
            super().take(connection)
        else:
            connection.close()

    def connect(self, port: int) -> socket.socket:
        broker = super().connect(port)
        self._brokers.add(broker)
        return broker

    def pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        if source not in self._muted:
            target.sendall(data)


class _Process:
    """A process that does what it is told, and what it says."""

    def __init__(self, plan: dict[str, Any], handled: Counter[tuple[int, str]]) -> None:
        self._handled = handled
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.parting_process", json.dumps(plan)],
            cwd=TESTS,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._watchdog = threading.Timer(2 * PATIENCE, self._process.kill)
        self._watchdog.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._watchdog.cancel()
        with self._process as process:
            process.kill()

    def tell(self, word: str) -> None:
        """Tell it what to do."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()

    def wait_for(self, *words: object) -> None:
        """Read what it says up to these words."""
        wanted = " ".join(map(str, words))
        while (line := self._line()) != wanted:
            assert line, f"it ended, and {wanted!r} was awaited"

    def wait_for_end(self) -> int:
        """Read what it says up to its end, and return its status."""
        while self._line():
            pass
        return self._process.wait(PATIENCE)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if line.startswith("begin"):
            _, qos, payload = line.split()
            self._handled[int(qos), payload] += 1
        return line


def measure(port: int, number: int, cell: Cell) -> Outcome:
    """Part once from the broker on a port, and count what came of each message."""
    name = f"parting{number}"
    arrived: Counter[str] = Counter()
    handled: Counter[tuple[int, str]] = Counter()
    goes_on = PARTINGS[cell.parting]
    with (
        tempfile.TemporaryDirectory() as directory,
        Way(port) as answered,
        Way(port) as held,
        Way(port, is_open=False) as waiting,
        Peer(port, f"{name}/pub") as observer,
        Peer(port) as sender,
    ):
        ways = {"answered": answered, "held": held, "waiting": waiting}
        plan = {
            "name": name,
            "ports": {who: way.port for who, way in ways.items()},
            "directory": directory,
            **cell._asdict(),
        }
        with _Process(plan, handled) as process:
            process.tell("begin")
            process.wait_for("done", "begin")
            for payload in RECEIVED:
                for qos in QOS:
                    sender.publish(f"{name}/sub/{qos}", payload.encode(), qos=qos)
                    if payload == "1":
                        process.wait_for("begin", qos, payload)
            held.mute()
            process.tell("publish")
            process.wait_for("done", "publish")
            while not all(arrived[f"held {qos}"] for qos in (0, 1)):
                arrived[_payload(observer)] += 1
            process.tell("part")
            if not goes_on:
                process.wait_for_end()
            else:
                process.wait_for("done", "part")
                if cell.parting == "taken over":
                    names = [*PUBLISHERS[:2], *(f"sub{qos}" for qos in QOS)]
                    take_over(port, [f"{name}-{who}" for who in names], clean=cell.clean)
                waiting.is_open = True
                _finish(process, "again", sender, name)
        if not goes_on:
            waiting.is_open = True
            with _Process(plan, handled) as process:
                _finish(process, "next", sender, name)
        sender.publish(f"{name}/pub", b"last")
        while (payload := _payload(observer)) != "last":
            arrived[payload] += 1
    found = {who: _counts(arrived[f"{who} {qos}"] for qos in QOS) for who in PUBLISHED}
    return found | {number: _counts(handled[qos, number] for qos in QOS) for number in RECEIVED}


def _counts(numbers: Any) -> tuple[int, int, int]:
    first, second, third = numbers
    return first, second, third


def _payload(observer: Peer) -> str:
    return (observer.receive(PATIENCE).payload or b"").decode()


def _finish(process: _Process, word: str, sender: Peer, name: str) -> None:
    process.tell(word)
    process.wait_for("done", word)
    for qos in QOS:
        sender.publish(f"{name}/sub/{qos}", b"end", qos=qos)
        process.wait_for("begin", qos, "end")
    process.tell("finish")
    assert process.wait_for_end() == 0


def take_over(port: int, names: list[str], *, clean: bool) -> None:
    """Connect with the names of other clients, and end those connections again."""
    for name in names:
        with socket.create_connection((HOST, port)) as rival:
            rival.sendall(MQTT311.connect(name, clean=clean, keepalive=0))
            rival.settimeout(PATIENCE)
            assert rival.recv(4)
