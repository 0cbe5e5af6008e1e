"""SIGTERM under real servers: the handler that runs may finish, and everything is sent."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.peer import Peer
from support.servers import CLIENT_ID, KINDS, PATIENCE, AppServer, descendants, is_alive
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

#: Those that connect when the application is loaded; waitress and uvicorn with the lines of the
#: documentation.
SERVERS = [name for name, kind in KINDS.items() if not kind.first]

#: What servers write when they get SIGTERM. Others write nothing, or leave a request in the middle.
TOLD = {
    "gunicorn-sync": "Handling signal: term",
    "gunicorn-gthread": "Handling signal: term",
    "gunicorn-gevent": "Handling signal: term",
    "uwsgi-lazy": "graceful shutdown triggered",
    "uwsgi": "graceful shutdown triggered",
    "uvicorn": "Shutting down",
}


class Stopping(AppServer):
    """A server of `stopping.py` with one worker."""

    def __init__(self, directory: Path, kind: str, broker_port: int) -> None:
        super().__init__(directory, kind, broker_port, MQTT_CLEAN_SESSION=False)
        self.go = directory / "go"
        self.kind = self.kind._replace(workers=1)
        self._is_uvicorn = kind == "uvicorn"
        self._further = {"GO": str(self.go)}
        if kind == "waitress":
            self._further["HANDLES_SIGTERM"] = "1"

    def _command(self) -> list[str]:
        served = "stopping:asgi" if self._is_uvicorn else "stopping:requests"
        words = (word.replace("serving:asgi", served) for word in super()._command())
        return [word.replace("serving:app", "stopping:app") for word in words]

    def _environment(self) -> dict[str, str]:
        return super()._environment() | self._further

    def noted(self) -> list[str]:
        """Return what the handler has noted."""
        return self.lines.path.read_text().split()

    def terminate(self) -> list[int]:
        """Send SIGTERM, and return the processes that are to end."""
        processes = [self.pid, *descendants(self.pid)]
        assert self._process is not None
        self._process.terminate()
        return processes


@pytest.mark.parametrize("kind", SERVERS)
def test_a_handler_that_runs_may_finish(
    kind: str, broker_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = broker_factory()
    log = BrokerLog(broker, CLIENT_ID)
    with Stopping(tmp_path, kind, broker.port) as server, Peer(broker.port, "done") as peer:
        wait_until(log.subscribed, PATIENCE, "it subscribes")
        with Peer(broker.port) as sender:
            for payload in (b"first", b"second"):
                sender.publish("work", payload, qos=1)
        wait_until(lambda: server.noted() == ["begun"], PATIENCE, "the handler runs")
        # uWSGI misses a SIGTERM while it still loads the application.
        assert server.request() == b"ready"
        processes = server.terminate()
        wait_until(lambda: "last" in server.noted(), PATIENCE, "no further handler begins")
        assert any(map(is_alive, processes))
        server.go.touch()
        assert peer.receive(PATIENCE).payload == b"first"
        wait_until(lambda: not any(map(is_alive, processes)), PATIENCE, "it ends")
        # The second one is the next process'.
        assert server.noted() == ["begun", "last", "done"]

    def told() -> list[str]:
        return re.findall(rf"\d+: Received (PUBACK|DISCONNECT) from {CLIENT_ID}", broker.log)

    # The broker may read the last packets after the process has ended.
    wait_until(lambda: "DISCONNECT" in told())
    assert told() == ["PUBACK", "DISCONNECT"]


@pytest.mark.parametrize("kind", TOLD)
def test_a_request_that_runs_may_finish_too(
    kind: str, broker_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = broker_factory()
    log = BrokerLog(broker, CLIENT_ID)
    with (
        Stopping(tmp_path, kind, broker.port) as server,
        Peer(broker.port, "done") as peer,
        ThreadPoolExecutor() as browser,
    ):
        wait_until(log.subscribed, PATIENCE, "it subscribes")
        page = browser.submit(server.request, "/slow")
        wait_until(lambda: server.noted() == ["asked"], PATIENCE, "the request runs")
        with Peer(broker.port) as sender:
            sender.publish("work", b"first", qos=1)
        wait_until(lambda: server.noted() == ["asked", "begun"], PATIENCE, "the handler runs")
        processes = server.terminate()
        wait_until(lambda: TOLD[kind] in server.log, PATIENCE, "it is told")
        server.go.touch()
        assert page.result(PATIENCE) == b"slow"
        assert peer.receive(PATIENCE).payload == b"first"
        wait_until(lambda: not any(map(is_alive, processes)), PATIENCE, "it ends")
    wait_until(lambda: log.disconnects() == [CLIENT_ID])
