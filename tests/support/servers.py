"""Real servers with several workers, which serve the application `tests/servers/serving.py`."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import sysconfig
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .peer import Peer
from .ports import free_port
from .server import HOST
from .server_process import ServerProcess, accepts
from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .broker_log import BrokerLog

SERVED = Path(__file__).parents[1] / "servers"
#: What the clients of the application are called, before the number of the worker.
CLIENT_ID = "served"
#: Numbers that are published at a time, and how often something is killed.
MESSAGES = int(os.environ.get("SERVERS_MESSAGES", "1000"))
ROUNDS = int(os.environ.get("SERVERS_ROUNDS", "2"))
#: Whether each server is tried in each mode, and not only where something differs.
EVERYTHING = "SERVERS_MESSAGES" in os.environ
MODES = ("all", "shared", "leader")
#: So many are published in a row, before a pause in seconds: 2,500 a second, at most.
A_BURST, PAUSE = 25, 0.01
#: Longer than anything here takes, in seconds.
PATIENCE = 60.0

_PYTHON = (sys.executable, "-m")
_GUNICORN = (*_PYTHON, "gunicorn", "--bind={address}", "--workers={workers}")


class Kind(NamedTuple):
    """One way to serve an application.

    command: with places for the address and the number of workers.
    workers: how many of them.
    first: whether a worker connects only with the first request that it gets.
    """

    command: tuple[str, ...]
    workers: int = 4
    first: bool = False


def _gunicorn(*options: str, first: bool = False) -> Kind:
    preload = ("--preload",) if first else ()
    return Kind((*_GUNICORN, *preload, *options, "serving:app"), first=first)


_GRACEFULLY = "--hook-master-start=unix_signal:15 gracefully_kill_them_all"


def uwsgi(*options: str, module: str = "serving", workers: int = 4) -> Kind:
    """Return what serves an application with uWSGI."""
    command = (
        f"{sysconfig.get_path('scripts')}/uwsgi",
        f"--home={sys.prefix}",
        "--http-socket={address}",
        "--need-app",
        f"--module={module}:app",
        # SIGTERM ends it: with workers, not in the middle of a request.
        _GRACEFULLY if "--master" in options else "--die-on-term",
    )
    return Kind((*command, *options), workers)


_WORKERS = ("--master", "--processes={workers}", "--enable-threads")
#: gunicorn's workers, by their names.
_CLASSES = {
    "sync": ("--worker-class=sync",),
    "gthread": ("--worker-class=gthread", "--threads=8"),
    "gevent": ("--worker-class=gevent",),
}
KINDS = {
    **{f"gunicorn-{name}": _gunicorn(*options) for name, options in _CLASSES.items()},
    **{
        f"gunicorn-{name}-preload": _gunicorn(*options, first=True)
        for name, options in _CLASSES.items()
    },
    "uwsgi-lazy": uwsgi(*_WORKERS, "--lazy-apps"),
    "uwsgi": uwsgi(*_WORKERS),
    "waitress": Kind((*_PYTHON, "waitress", "--listen={address}", "serving:app"), workers=1),
    "hypercorn": Kind(
        (*_PYTHON, "hypercorn", "--bind={address}", "--workers={workers}", "serving:asgi")
    ),
    "uvicorn": Kind((*_PYTHON, "uvicorn", "--port={port}", "--workers={workers}", "serving:asgi")),
}


def cases(thoroughly: Iterable[str], others: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return servers with modes: all modes for some, and one for each of the others."""
    if EVERYTHING:
        return [*itertools.product([*thoroughly, *others], MODES)]
    return [*itertools.product(thoroughly, MODES), *others.items()]


class AppServer(ServerProcess):
    """A server with the application. What it starts has ended when it has stopped.

    kind: a key of `KINDS`, or another way.
    broker_port: where the application's broker is.
    config: further keys of the application.
    """

    def __init__(self, directory: Path, kind: str | Kind, broker_port: int, **config: Any) -> None:
        super().__init__(directory)
        self.kind = KINDS[kind] if isinstance(kind, str) else kind
        self.port = free_port()
        self.lines = Lines(directory / "lines")
        self._config = {
            "MQTT_BROKER_URL": HOST,
            "MQTT_BROKER_PORT": broker_port,
            "MQTT_CLIENT_ID": CLIENT_ID,
            **config,
        }
        mode = config.get("MQTT_WORKER_MODE", "all")
        #: How many of its clients subscribe, once all workers have connected.
        self.subscribers = 1 if mode == "leader" else self.kind.workers
        #: How often each message is handled then.
        self.times = self.kind.workers if mode == "all" else 1

    def _command(self) -> list[str]:
        places = {
            "address": f"{HOST}:{self.port}",
            "port": self.port,
            "workers": self.kind.workers,
        }
        return [word.format_map(places) for word in self.kind.command]

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONPATH": str(SERVED),
            # Its locks are not those of another test.
            "TMPDIR": str(self.directory),
            # gunicorn 25 has a socket there.
            "HOME": str(self.directory),
            "LINES": str(self.lines.path),
            "CONFIG": json.dumps(self._config),
            # gunicorn's worker for gevent patches late with --preload, and is told so.
            "PYTHONWARNINGS": "ignore",
        }

    def _accepts(self) -> bool:
        return accepts((HOST, self.port))

    def stop(self) -> None:
        """Ask it to end, as an administrator does, and wait until all of it has."""
        if self._process is None:
            return
        pids = descendants(self.pid)
        self._process.terminate()
        try:
            if self.kind.command[0].endswith("uwsgi"):
                # It misses a SIGTERM while a worker still loads the application.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE / 4)
                self._process.terminate()
            self._process.wait(PATIENCE)
            wait_until(lambda: not any(map(is_alive, pids)), PATIENCE, "its workers end too")
        except BaseException:
            super().kill()
            _kill(pids)
            raise
        self._process = None

    def kill(self) -> None:
        """End it and its workers at once."""
        if self._process is not None:
            pids = descendants(self.pid)
            super().kill()
            _kill(pids)

    def begin(self, log: BrokerLog) -> None:
        """Have its workers connect, and wait until those that subscribe have done so."""
        if self.kind.first:
            self.visit_all()
        what = f"{self.subscribers} clients subscribe"
        wait_until(lambda: len(log.subscribed()) >= self.subscribers, PATIENCE, what)

    def settle(self, log: BrokerLog) -> None:
        """Wait until all workers have connected, so that these connections count no more."""
        workers = self.kind.workers
        what = f"{workers} workers have connected"
        wait_until(lambda: log.have_connected(workers), PATIENCE, what)

    def workers(self) -> list[int]:
        """Return the processes that it has started."""
        return descendants(self.pid)

    def reload(self) -> None:
        """Have it begin anew with other workers, as gunicorn and uWSGI do on SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def request(self, path: str = "/", data: bytes | None = None) -> bytes:
        """Ask for a page."""
        url = f"http://{HOST}:{self.port}{path}"
        with urllib.request.urlopen(url, data, timeout=PATIENCE) as response:
            content: bytes = response.read()
        return content

    def visit(self) -> set[int]:
        """Ask for some pages at once, and return who has answered. Some may get no answer."""

        def pid(_: int) -> int:
            try:
                return int(self.request())
            except (OSError, HTTPException):
                # A worker has been killed.
                return 0

        with concurrent.futures.ThreadPoolExecutor(2 * self.kind.workers) as visitors:
            return {*visitors.map(pid, range(2 * self.kind.workers))} - {0}

    def visit_all(self) -> None:
        """Ask for pages until each worker has answered."""
        seen: set[int] = set()

        def has_seen_all() -> bool:
            seen.update(self.visit())
            return len(seen) >= self.kind.workers

        wait_until(has_seen_all, PATIENCE, f"{self.kind.workers} workers answer: {seen}")

    def wait_handled(self, count: int, *, others: int = 0) -> None:
        """Wait until so many messages are handled, each `times` times, and some others once."""
        wait_until(
            lambda: self.lines.handled().total() >= count * self.times + others,
            PATIENCE,
            f"{count} messages are handled {self.times} times each",
        )

    def has_handled(self, numbers: Iterable[int], mode: str = "") -> bool:
        """Whether numbers have been handled: in mode all, each by the client of each worker."""
        if mode != "all":
            by_number = self.lines.by_number()
            return all(number in by_number for number in numbers)
        handled = self.lines.handled()
        clients = [CLIENT_ID, *(f"{CLIENT_ID}-{slot}" for slot in range(1, self.kind.workers))]
        return all((client, number) in handled for client in clients for number in numbers)


class Lines:
    """The file to which the application writes what it handles."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0
        #: How often each client has handled each number.
        self._handled: Counter[tuple[str, int]] = Counter()
        #: The processes that have handled something, the one of the newest line last.
        self.pids: list[int] = []

    def handled(self) -> Counter[tuple[str, int]]:
        """Return how often each client has handled each number, so far."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
            complete = content[: content.rfind(b"\n") + 1]
            self._read += len(complete)
            for line in complete.decode().splitlines():
                pid, client, number = line.split()
                self._handled[client, int(number)] += 1
                if self.pids[-1:] != [int(pid)]:
                    self.pids = [*(one for one in self.pids if one != int(pid)), int(pid)]
        return self._handled

    def by_number(self) -> Counter[int]:
        """Return how often each number was handled, by whomever."""
        numbers: Counter[int] = Counter()
        for (_, number), times in self.handled().items():
            numbers[number] += times
        return numbers

    def clients(self) -> set[str]:
        """Return the clients that have handled something."""
        return {client for client, _ in self.handled()}


@contextlib.contextmanager
def visitors(server: AppServer) -> Iterator[None]:
    """Have requests come all the time: with --preload, a worker connects with its first one."""
    ending = threading.Event()

    def visit() -> None:
        while not ending.wait(0.05):
            server.visit()

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


def publish(port: int, numbers: Iterable[int]) -> int:
    """Publish numbers with QoS 1, each when the broker has the one before; return how many."""
    count = 0
    with Peer(port) as peer:
        for number in numbers:
            peer.publish("numbered", b"%d" % number, qos=1)
            count += 1
            if count % A_BURST == 0:
                time.sleep(PAUSE)
    return count


def descendants(pid: int) -> list[int]:
    """Return the processes that one has started, and those that they have."""
    try:
        children = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return [one for child in children for one in (child, *descendants(child))]


def is_alive(pid: int) -> bool:
    """Whether there is such a process, other than one that has ended and is not waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        if is_alive(pid):
            os.kill(pid, signal.SIGKILL)
