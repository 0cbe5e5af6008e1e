"""Workers of one application: processes of their own, which do what they are told."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

from flask_mqtt import Client, MQTTv5, MQTTv311

from .running import closing
from .script import PREAMBLE, TESTS
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .mosquitto import Mosquitto

#: How long something may take on a machine that does other things, in seconds.
PATIENCE = 60

#: A line of Python for each line on stdin. Messages are printed as `got TOPIC PAYLOAD`.
WORKER = """
import json, logging
logging.basicConfig(format="%(levelname)s %(message)s")
app.config |= json.loads(sys.argv[2])
mqtt = Mqtt()

@mqtt.on_message()
def got(client, userdata, message):
    say("got", message.topic, message.payload.decode())

@mqtt.on_subscribe()
def subscribed(client, userdata, mid, granted, properties=None):
    say("subscribed", mid)

exec(sys.argv[3])
mqtt.init_app(app)
until(lambda: mqtt.connected)
say("connected", mqtt.client._client_id.decode())
for line in sys.stdin:
    exec(line)
"""


class Worker:
    """A process with an extension `mqtt` that is connected; it prints what it does."""

    def __init__(self, port: int, config: dict[str, Any], before: str) -> None:
        code = PREAMBLE + WORKER
        words = [str(port), json.dumps(config), textwrap.dedent(before)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            cwd=TESTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.rstrip("\n") for line in self.process.stdout)

    def wait_for(self, begin: str, count: int = 1, timeout: float = 20) -> list[str]:
        """Wait for lines that begin so, and return the rest of each."""

        def found() -> list[str]:
            assert self.process.poll() is None or not self._reader.is_alive(), self.lines
            return self.having(begin)

        try:
            wait_until(lambda: len(found()) >= count, timeout, f"{count} lines {begin!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(self.lines)) from None
        return self.having(begin)

    def having(self, begin: str) -> list[str]:
        """Return the rest of each line so far that begins so."""
        return [line[len(begin) :].strip() for line in list(self.lines) if line.startswith(begin)]

    @property
    def client_id(self) -> str:
        """As which it is connected."""
        return self.wait_for("connected")[0]

    @property
    def messages(self) -> list[str]:
        """The payloads of the messages so far."""
        return [line.split(" ", 1)[1] for line in self.having("got ")]

    def tell(self, line: str) -> None:
        """Have it run a line of Python."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def subscribe(self, topic: str, qos: int = 1) -> None:
        """Have it subscribe, and wait until the broker has said that it sends from now on."""
        before = len(self.having("subscribed"))
        self.tell(f"mqtt.subscribe({topic!r}, {qos})")
        self.wait_for("subscribed", before + 1)

    def ask(self, expression: str) -> str:
        """Return what an expression is there, as text."""
        before = len(self.having("answer"))
        self.tell(f"say('answer', {expression})")
        return self.wait_for("answer", before + 1)[-1]

    def stop(self) -> None:
        """Have it do nothing any more: it stays connected, and keeps what it holds."""
        self.process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def finish(self) -> None:
        """End it at once, with the thread that reads what it says."""
        self.kill()
        # A child of its own may still have the pipe.
        self._reader.join(PATIENCE)

    def end(self) -> int:
        """End it as its application would, and return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)


class Workers:
    """Starts workers of one application."""

    def __init__(self, stack: contextlib.ExitStack, folder: Path) -> None:
        self._stack = stack
        #: Where their slots are.
        self.folder = folder

    def start(self, port: int, *, before: str = "", **config: Any) -> Worker:
        """Start one that connects to a port of this machine.

        before: code that runs before `init_app`.
        config: keys without the prefix and in lower case.
        """
        keys = {f"MQTT_{name.upper()}": value for name, value in config.items()}
        worker = Worker(port, keys, before)
        self._stack.enter_context(worker.process)
        # First of all when the test ends, as the process would wait for its input.
        self._stack.callback(worker.finish)
        return worker

    def pair(self, port: int, **options: Any) -> tuple[Worker, Worker]:
        """Start two, of which the first has slot 0."""
        first = self.start(port, **options)
        assert first.client_id is not None
        return first, self.start(port, **options)


#: What the workers of a `Site` do when their connection begins and ends.
CONNECTING = """
    @mqtt.on_connect()
    def now_connected(client, *_):
        mqtt.subscribe("in/#", 1)
        say("as", client.stats()["client_id"] or "-")

    @mqtt.on_disconnect()
    def now_disconnected():
        say("disconnected")
"""


class Site:
    """Workers with one configuration, whose sessions outlive them.

    before: code that each of them runs before `init_app`.
    awaited: a line of each that is waited for.
    config: keys as those of `Workers.start`.
    """

    def __init__(
        self,
        workers: Workers,
        broker: Mosquitto,
        before: str,
        *,
        awaited: str = "connected",
        **config: Any,
    ) -> None:
        self._workers = workers
        self._port = broker.port
        self._before = before
        self._awaited = awaited
        self._config = {"client_id": "site", "clean_session": False} | config

    def start(self, before: str | None = None, *, awaited: str | None = None) -> Worker:
        """Start one, with other code or another line to wait for where that is given."""
        code = self._before if before is None else before
        worker = self._workers.start(self._port, before=code, **self._config)
        worker.wait_for(awaited or self._awaited, timeout=PATIENCE)
        return worker


def wait_until_it_leads(worker: Worker) -> None:
    """Wait until a standby has become the leader, with a connection or without one."""
    wait_until(lambda: worker.ask("mqtt.is_leader") == "True", PATIENCE, "it is the leader")


def payloads(worker: Worker) -> list[str]:
    """Return what a worker has handled, where its handler says ``message PAYLOAD``."""
    return [line.split()[0] for line in worker.having("message")]


@contextlib.contextmanager
def client_of(broker: Mosquitto, **options: Any) -> Iterator[Client]:
    """Give a client of the test's own, which is connected."""
    with closing(Client(**options)) as client:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        wait_until(client.is_connected, PATIENCE, "the client is connected")
        yield client


def has_session(broker: Mosquitto, client_id: str, version: int = MQTTv311) -> bool:
    """Return whether the broker has a session of a client that is not connected."""
    is_5 = version == MQTTv5
    kept: dict[str, Any] = {} if is_5 else {"clean_session": False}
    first: dict[str, Any] = {"clean_start": False} if is_5 else {}
    flags: list[dict[str, int]] = []
    with closing(Client(client_id=client_id, protocol=version, **kept)) as client:
        client.on_connect = lambda _client, _userdata, given, _rc: flags.append(given)
        client.connect("127.0.0.1", broker.port, **first)
        client.loop_start()
        wait_until(lambda: flags, PATIENCE, "the CONNACK")
    return bool(flags[0]["session present"])
