"""Peers that send more than they should, and clients whose memory is watched meanwhile.

with Hostile() as server, watched(server.port, transport="websockets") as client:
    server.attack(client, Attack("pings", accepted, again(ping)))
    assert client.grown() < 20
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import queue
import re
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .packets import MQTT311
from .server import HOST, Server, end
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Prepare = Callable[[socket.socket], Any]
    Flood = Callable[[Any], Iterable[bytes]]

CLIENT = Path(__file__).parents[1] / "hostile" / "watched_client.py"
MEGABYTE = 1_000_000

#: Clients try again soon, and end what hangs soon.
SETTINGS = {
    "keepalive": 1,
    "connection_timeout": 3,
    "handshake_timeout": 3,
    "reconnect_delay_min": 0.02,
    "reconnect_delay_max": 0.1,
}


class Figures(NamedTuple):
    """Of the client's process: memory in MB now and at most, whether it is connected, failures."""

    resident: float
    peak: float
    connected: bool
    failures: list[str]


class Attack(NamedTuple):
    """What a server does with a connection.

    prepare: gets the connection, and returns what the flood is sent with: something that has
        `sendall`, the connection itself in most cases.
    flood: gives what is sent, piece by piece. It gets what was prepared.
    most: so many bytes of it are sent.
    """

    kind: str
    prepare: Prepare
    flood: Flood
    most: int = 60 * MEGABYTE


class Watched:
    """A client in a process of its own."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        self._running = running
        self._before: Figures | None = None

    def look(self) -> Figures:
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        self._running.stdin.write("\n")
        self._running.stdin.flush()
        figures = Figures(*json.loads(self._running.stdout.readline()))
        self._before = self._before or figures
        return figures

    def grown(self) -> float:
        """Return by how many MB it has grown at most since it was first looked at."""
        figures = self.look()
        assert self._before is not None
        return figures.peak - self._before.resident


@contextlib.contextmanager
def watched(port: int, **config: Any) -> Iterator[Watched]:
    """Give a client that is on its way to a broker on this port, or connected to it."""
    given = {"broker_url": HOST, "broker_port": port, **SETTINGS, **config}
    keys = {name if name.isupper() else f"MQTT_{name.upper()}": given[name] for name in given}
    text = json.dumps(keys)
    with subprocess.Popen(
        [sys.executable, str(CLIENT), text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield Watched(running)
        finally:
            running.kill()


class Hostile(Server):
    """Takes a connection for each attack, and reads nothing on it after the preparation.

    patience: an attack ends where the client takes nothing for so many seconds.
    """

    def __init__(self, *, patience: float = 10) -> None:
        super().__init__()
        self.sent = 0
        self._patience = patience
        self._attacks: queue.Queue[Attack | None] = queue.Queue()
        self._waiting: queue.Queue[socket.socket | None] = queue.Queue()
        self._prepared = threading.Event()
        self._wanted = threading.Event()
        self._over = threading.Event()

    def listen(self) -> None:
        super().listen()
        self.start(self._work)

    def close(self) -> None:
        self._attacks.put(None)
        self._waiting.put(None)
        self._wanted.set()
        super().close()
        while not self._waiting.empty():
            if connection := self._waiting.get():
                connection.close()

    def take(self, connection: socket.socket) -> None:
        self._waiting.put(connection)

    def attack(self, client: Watched, attack: Attack, seconds: float = 30) -> None:
        """Send a flood, and wait until it is over: sent, or the client has left."""
        self.begin(attack)
        failures = len(client.look().failures)
        self.flood()
        assert self.is_over(seconds), f"{attack.kind}: the flood is not over"
        wait_until(
            lambda: self.sent >= attack.most or len(client.look().failures) > failures,
            what=f"{attack.kind}: the client has taken it, or left",
        )

    def begin(self, attack: Attack) -> None:
        """Prepare a connection."""
        while self._open:
            end(self._open.pop())
        self._prepared.clear()
        self._wanted.clear()
        self._over.clear()
        self._attacks.put(attack)
        assert self._prepared.wait(15), f"{attack.kind}: the client has not come"

    def flood(self) -> None:
        """Have the flood sent."""
        self._wanted.set()

    def is_over(self, seconds: float = 30) -> bool:
        """Wait until all is sent, or the client takes no more."""
        return self._over.wait(seconds)

    def _work(self) -> None:
        while attack := self._attacks.get():
            if connection := self._waiting.get():
                with contextlib.suppress(OSError):
                    self._attack(attack, self.keep(connection))
            self._over.set()

    def _attack(self, attack: Attack, connection: socket.socket) -> None:
        connection.settimeout(self._patience)
        prepared = attack.prepare(connection)
        if isinstance(prepared, socket.socket):
            # TLS takes the socket's descriptor over.
            self.keep(prepared)
        self.sent = 0
        self._prepared.set()
        self._wanted.wait()
        for piece in attack.flood(prepared):
            prepared.sendall(piece)
            self.sent += len(piece)
            if self.sent >= attack.most:
                return


#: Most MB that a client grows by.
MOST = 20


def fill_no_memory(attacks: Iterable[Attack], **config: Any) -> None:
    """Have one client attacked in every way, and look at its memory after each."""
    with Hostile() as server:
        config = {
            name: given(server.port) if callable(given) else given for name, given in config.items()
        }
        with watched(server.port, **config) as client:
            for attack in attacks:
                server.attack(client, attack)
                assert client.grown() < MOST, attack.kind


def again(block: bytes, *, first: bytes = b"") -> Flood:
    """Return the flood of a beginning, and of something that is sent again and again."""
    block = block * max(1, 100_000 // len(block))

    def flood(_: Any) -> Iterator[bytes]:
        yield first
        while True:
            yield block

    return flood


# -- beginnings -----------------------------------------------------------------------------------


def head_of(connection: Any) -> bytes:
    """Read the head of a request."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    return head


def frame(payload: bytes, first: int = 0x82) -> bytes:
    """Return a frame of a websocket as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65_536:
        return bytes([first, 126]) + struct.pack(">H", size) + payload
    return bytes([first, 127]) + struct.pack(">Q", size) + payload


def upgraded(connection: Any) -> Any:
    """Answer the request for a websocket."""
    key = re.findall(rb"(?i)sec-websocket-key: *(\S+)", head_of(connection))[0]
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return connection


def accepted(connection: Any) -> Any:
    """Answer the request for a websocket, and the CONNECT in it."""
    upgraded(connection)
    connection.recv(1)
    connection.sendall(frame(MQTT311.connack()))
    return connection


def nothing(connection: Any) -> Any:
    """Say nothing before the flood."""
    return connection


def asked(connection: Any) -> Any:
    """Read a request, and leave the answer to the flood."""
    head_of(connection)
    return connection
