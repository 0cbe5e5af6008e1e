"""The documentation's SocketIO client, under eventlet, gevent and plain threads.

Three processes take part beside the broker: the application, a SocketIO client without any
patches, and the publisher, which is this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.peer import Peer
from support.ports import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

GREEN = Path(__file__).parent
MESSAGES = 300
#: eventlet is told on import that it is no longer developed; that is the application's business.
QUIET = {"PYTHONWARNINGS": "ignore", "EVENTLET_SHOW_DEPRECATION_WARNING": "0"}

GUNICORN = [sys.executable, "-m", "gunicorn", "--workers=1", "--log-level=warning"]
SERVERS = {
    "eventlet": [sys.executable, "eventlet_app.py"],
    "eventlet-patched-early": [sys.executable, "eventlet_early_app.py"],
    "gevent": [sys.executable, "gevent_app.py"],
    "gevent-patched-early": [sys.executable, "gevent_early_app.py"],
    "threads": [sys.executable, "threading_app.py"],
    "gunicorn-gevent": [*GUNICORN, "--worker-class=gevent", "gevent_early_app:app"],
    "gunicorn-gthread": [
        *GUNICORN,
        "--worker-class=gthread",
        "--threads=20",
        "threading_app:app",
    ],
}
#: Those of them that are tried with several threads for handlers too.
POOLS = [name for name in SERVERS if "gunicorn" not in name]


@contextlib.contextmanager
def process(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a process in the folder of the scripts; it is ended by SIGINT, then by force."""
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command,
            cwd=GREEN,
            env=os.environ | QUIET | environment,
            stdin=subprocess.PIPE,
            stdout=errors if "CLIENT_ID" in environment else subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as running,
    ):
        try:
            yield running
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)
            try:
                running.wait(5)
            except subprocess.TimeoutExpired:
                running.kill()
                raise


@contextlib.contextmanager
def application(name: str, broker: Mosquitto, log: Path, threads: int) -> Iterator[str]:
    """Run the application under a server, with so many threads for handlers; give its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = SERVERS[name] + ([f"--bind=127.0.0.1:{port}"] if "gunicorn" in name else [])
    variables = {"PORT": port, "BROKER_PORT": broker.port, "HANDLER_THREADS": threads}
    environment = {key: str(value) for key, value in variables.items()}
    with process(command, log, CLIENT_ID=name, **environment) as running:

        def serves() -> bool:
            assert running.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    return bool(response.read() == b"ready")
            except (urllib.error.URLError, ConnectionError):
                return False

        wait_until(serves, 40, "the application serves")
        yield url


@pytest.mark.parametrize(
    ("name", "threads"), [(name, 1) for name in SERVERS] + [(name, 4) for name in POOLS]
)
def test_300_messages_reach_a_socketio_client_in_order(
    name: str, threads: int, broker_factory: Callable[[], Mosquitto], tmp_path: Path
) -> None:
    broker = broker_factory()
    listener_log = tmp_path / "listener"
    with (
        application(name, broker, tmp_path / "application", threads) as url,
        Peer(broker.port, "green/out") as peer,
        process(
            [sys.executable, "listener.py", url, str(MESSAGES)],
            listener_log,
            PYTHONPATH=str(GREEN.parent),
        ) as listener,
    ):
        wait_until(lambda: f"Sending SUBACK to {name}\n" in broker.log, 40, "the subscription")
        sent = [str(number) for number in range(MESSAGES)]
        for payload in sent:
            peer.publish("green/in/numbers", payload.encode())
        assert listener.stdout is not None
        line = listener.stdout.readline()
        assert line, listener_log.read_text() + (tmp_path / "application").read_text()
        assert json.loads(line) == sent
        assert peer.receive().payload == b"published"
        wait_until(lambda: f"Received UNSUBSCRIBE from {name}\n" in broker.log)
    application_log = (tmp_path / "application").read_text()
    # eventlet patched late writes a traceback of its own, from a look at Flask's proxies.
    assert "flask_mqtt/" not in application_log
    assert "MQTT handler" not in application_log
    wait_until(lambda: f"Received DISCONNECT from {name}\n" in broker.log, what="its DISCONNECT")
