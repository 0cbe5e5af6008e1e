"""The documentation's SocketIO client, under eventlet, gevent and plain threads.

Three processes take part beside the broker: the application, a SocketIO client without any
patches, and the publisher, which is this one.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.peer import Peer
from support.ports import free_port
from support.server_process import accepts
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

GREEN = Path(__file__).parent
MESSAGES = 300
#: So many requests come at once.
CALLERS = 16
#: eventlet is told on import that it is no longer developed; that is the application's business.
QUIET = {"PYTHONWARNINGS": "ignore", "EVENTLET_SHOW_DEPRECATION_WARNING": "0"}

GUNICORN = [sys.executable, "-m", "gunicorn", "--workers=1", "--log-level=warning"]
HUB = [sys.executable, "hub_app.py"]


def hub(name: str, patched: str, mode: str = "") -> dict[str, str]:
    """Return the environment of an application under a hub; see hub_app.py."""
    return {"HUB": name, "PATCHED": patched, "MODE": mode or name}


#: Commands and environments.
SERVERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "eventlet": (HUB, hub("eventlet", "late")),
    "eventlet-patched-early": (HUB, hub("eventlet", "early")),
    "eventlet-with-threads": (HUB, hub("eventlet", "early", "threading")),
    "eventlet-unused": (HUB, hub("eventlet", "never", "threading")),
    "gevent": (HUB, hub("gevent", "late")),
    "gevent-patched-early": (HUB, hub("gevent", "early")),
    "gevent-with-threads": (HUB, hub("gevent", "early", "threading")),
    "gevent-unused": (HUB, hub("gevent", "never", "threading")),
    "threads": ([sys.executable, "threading_app.py"], {}),
    "gunicorn-gevent": (
        [*GUNICORN, "--worker-class=gevent", "hub_app:app"],
        hub("gevent", "early"),
    ),
    "gunicorn-gevent-preloaded": (
        [*GUNICORN, "--worker-class=gevent", "--preload", "hub_app:app"],
        hub("gevent", "never"),
    ),
    "gunicorn-gthread": (
        [*GUNICORN, "--worker-class=gthread", "--threads=20", "threading_app:app"],
        {},
    ),
}
#: Those of them that are tried with several threads for handlers too.
POOLS = ["eventlet", "eventlet-patched-early", "gevent", "gevent-patched-early", "threads"]


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
                running.wait(20)
            except subprocess.TimeoutExpired:
                running.kill()
                raise


@contextlib.contextmanager
def application(
    name: str,
    broker: Mosquitto,
    log: Path,
    threads: int,
    server: tuple[list[str], dict[str, str]],
) -> Iterator[str]:
    """Run the application under a server, with so many threads for handlers; give its URL."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command, environment = server
    command = command + ([f"--bind=127.0.0.1:{port}"] if "gunicorn" in command else [])
    variables = {"PORT": port, "BROKER_PORT": broker.port, "HANDLER_THREADS": threads}
    environment = environment | {key: str(value) for key, value in variables.items()}
    with process(command, log, CLIENT_ID=name, **environment) as running:

        def serves() -> bool:
            assert running.poll() is None, log.read_text()
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    return bool(response.read() == b"ready")
            except OSError:
                # gunicorn listens long before its worker has imported the application.
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
        application(name, broker, tmp_path / "application", threads, SERVERS[name]) as url,
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
    assert "Flask-SocketIO" not in application_log
    wait_until(lambda: f"Received DISCONNECT from {name}\n" in broker.log, what="its DISCONNECT")


@pytest.mark.parametrize("patched", ["after", "never"])
@pytest.mark.parametrize("name", ["eventlet", "gevent"])
def test_one_warning_names_the_remedy_where_handlers_cannot_wake_the_server(
    name: str, patched: str, broker: Mosquitto, tmp_path: Path
) -> None:
    log = tmp_path / "application"
    remedy = {"eventlet": "eventlet.monkey_patch()", "gevent": "gevent.monkey.patch_all()"}[name]
    with (
        application(f"{name}-{patched}", broker, log, 1, (HUB, hub(name, patched))) as url,
        Peer(broker.port) as peer,
    ):
        topic = f"green-{name}-{patched}"
        with urllib.request.urlopen(f"{url}/subscribe/{topic}", timeout=20) as response:
            assert response.read() == b"subscribed"
        subscribed = f"Sending SUBACK to {name}-{patched}\n"
        wait_until(lambda: subscribed in broker.log, 40, "the subscription")
        for _ in range(3):
            peer.publish(topic)
        wait_until(lambda: "Flask-SocketIO" in log.read_text(), 20, "a warning")
        wait_until(lambda: log.read_text().count("Received PUBLISH") == 3, 20, "all have come")
    # By its end, the process has handled all of them.
    lines = [line for line in log.read_text().splitlines() if "Flask-SocketIO" in line]
    assert len(lines) == 1
    assert f"async_mode='{name}'" in lines[0]
    assert f"Call {remedy} before all other imports" in lines[0]


def test_green_threads_wait_for_the_one_that_connects_in_a_forked_worker(
    broker: Mosquitto, tmp_path: Path
) -> None:
    name = "gunicorn-gevent-preloaded"
    log, port = tmp_path / "application", free_port()
    command, environment = SERVERS[name]
    environment = environment | {"PORT": str(port), "BROKER_PORT": str(broker.port)}
    url = f"http://127.0.0.1:{port}/publish/green-first"

    def publish(_: int) -> bytes:
        with urllib.request.urlopen(url, timeout=30) as response:
            return bytes(response.read())

    with (
        Peer(broker.port, "green-first") as peer,
        process([*command, f"--bind=127.0.0.1:{port}"], log, CLIENT_ID=name, **environment),
        concurrent.futures.ThreadPoolExecutor(CALLERS) as callers,
    ):
        wait_until(lambda: accepts(("127.0.0.1", port)), 40, "the application serves")
        # The first of them connects, and the others find it connecting.
        assert list(callers.map(publish, range(CALLERS))) == [b"0"] * CALLERS
        for _ in range(CALLERS):
            assert peer.receive(20).topic == "green-first"
    # The connection of the process that has forked, and that of its worker.
    assert broker.log.count(f" as {name} ") == 2
