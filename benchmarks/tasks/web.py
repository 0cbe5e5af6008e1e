"""HTTP beside MQTT: waitress serves an empty view on eight connections, while messages come or not.

values: seconds without messages, and with; rate of the messages; load: the program that sends
requests; and of `Target`. The result is the share of the requests of a quiet second that is kept,
and the share of the messages that is received, in percent.
"""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from flask import Flask
from waitress.server import create_server

import peers
from peers.base import PATIENCE, Target
from tasks import WARM

if TYPE_CHECKING:
    from peers.base import Peer

CONNECTIONS = 8
#: Times without messages and with, in turn, because a machine is not always equally fast.
ROUNDS = 2


def run(name: str, values: dict[str, Any]) -> dict[str, float]:
    """Measure."""
    peer = peers.load(name)(Target(**values["target"]))
    app: Flask = getattr(peer, "app", None) or Flask("bench")
    app.add_url_rule("/", view_func=lambda: "ok")
    peer.count([])
    peer.connect()
    port = serve(app)
    load, seconds = values["load"], values["seconds"] / ROUNDS
    requests(load, port, WARM)
    quiet = busy = received = 0.0
    for _ in range(ROUNDS):
        quiet += requests(load, port, seconds)
        peer.subscribe("bench/0", 0)
        time.sleep(WARM)
        before, began = peer.handled(), time.monotonic()
        busy += requests(load, port, seconds)
        received += (peer.handled() - before) / (time.monotonic() - began)
        peer.unsubscribe("bench/0")
        settle(peer)
    return {
        "kept": 100 * busy / quiet,
        "received": 100 * received / ROUNDS / values["rate"],
        "quiet_rate": quiet / ROUNDS,
    }


def settle(peer: Peer) -> None:
    """Wait until the client has handled what had arrived."""
    before = -1
    while (handled := peer.handled()) != before:
        before = handled
        time.sleep(WARM / 4)


def serve(app: Flask) -> int:
    """Start waitress on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = create_server(app, sockets=[listener], threads=CONNECTIONS)
    threading.Thread(target=server.run, daemon=True).start()
    port = int(listener.getsockname()[1])
    socket.create_connection(("127.0.0.1", port), PATIENCE).close()
    return port


def requests(load: str, port: int, seconds: float) -> float:
    """Send requests; return how many a second were answered."""
    command = [load, "load", "--port", str(port), "--connections", str(CONNECTIONS)]
    command += ["--seconds", str(seconds)]
    # It ends when its standard input does.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sending:
        assert sending.stdout is not None
        found = json.loads(sending.stdout.readline())
    return float(found["requests"] / found["seconds"])
