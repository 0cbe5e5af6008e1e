"""The reloader of the development server: one process is connected, whichever is served."""

from __future__ import annotations

import contextlib
import threading
import uuid
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.peer import Peer
from support.reloading import KINDS, MAKE, DevServer
from support.servers import PATIENCE
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mosquitto import Mosquitto

#: Under load, five reloads take a while.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RELOADS = 5


class Publisher:
    """Publishes numbers with QoS 1, each when the broker has the one before."""

    def __init__(self, port: int, topic: str) -> None:
        self._port = port
        self._topic = topic
        self._ends = threading.Event()
        self.count = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Publish meanwhile."""
        thread = threading.Thread(target=self._publish)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()

    def _publish(self) -> None:
        with Peer(self._port) as peer:
            while not self._ends.wait(0.02):
                peer.publish(self._topic, b"%d" % self.count, qos=1)
                self.count += 1


@pytest.fixture
def name() -> str:
    return f"reloaded-{uuid.uuid4().hex}"


@pytest.mark.parametrize("kind", KINDS)
def test_each_message_is_handled_once_over_five_reloads(
    roomy: Mosquitto, tmp_path: Path, name: str, kind: str
) -> None:
    log, publisher = BrokerLog(roomy, name), Publisher(roomy.port, name)
    with DevServer(tmp_path, kind, roomy.port, name) as server:
        wait_until(lambda: name in log.subscribed(), PATIENCE)
        before = len(log.connects())
        with publisher.running():
            for _ in range(RELOADS):
                server.reload()
        numbers = range(publisher.count)
        wait_until(
            lambda: set(numbers) <= set(server.lines.by_number()), PATIENCE, "all are handled"
        )
        assert server.lines.by_number() == dict.fromkeys(numbers, 1)
        # Those of the reloader's parent, and of its children.
        assert before == server.kind.parent + 1
        assert len(log.connects()) == before + RELOADS
        assert log.taken_over() == []
    # Ctrl-C has left no process. Each connection has ended as it should, but perhaps the last one:
    # `subprocess.call` in the parent kills the child 0.25 s after Ctrl-C, and gevent's at once.
    wait_until(lambda: len(log.disconnects()) >= len(log.connects()) - 1, what="each DISCONNECT")
    assert len(log.disconnects()) <= len(log.connects())


def test_a_syntax_error_is_mended(broker: Mosquitto, tmp_path: Path, name: str) -> None:
    log = BrokerLog(broker, name)
    with DevServer(tmp_path, "flask run", broker.port, name) as server:
        wait_until(lambda: name in log.subscribed(), PATIENCE)
        server.change("this is no Python")
        # A change before that is not seen.
        wait_until(lambda: b"SyntaxError" in server.page(), PATIENCE, "the error is served")
        assert len(log.connects()) == 1
        with Peer(broker.port) as peer:
            peer.publish(name, b"0", qos=1)
        server.reload()
        wait_until(lambda: server.lines.by_number() == {0: 1}, PATIENCE, "it is handled")
        assert len(log.connects()) == 2
        assert log.taken_over() == []


@pytest.mark.parametrize("kind", ["flask run", "app.run, stat"])
def test_an_application_that_cannot_be_made_leaves_nothing(
    broker: Mosquitto, tmp_path: Path, name: str, kind: str
) -> None:
    make = MAKE + 'raise RuntimeError("not today")\n'
    server = DevServer(tmp_path, kind, broker.port, name, make)
    with pytest.raises(AssertionError, match="not today"):
        server.start()
    log = BrokerLog(broker, name)
    connects = log.connects()
    # Only `flask run` knows before that another process would serve.
    assert len(connects) == server.kind.parent
    wait_until(lambda: len(log.disconnects()) == len(connects), what="each DISCONNECT")


def test_a_parent_that_publishes_while_it_imports_lets_go_too(
    broker: Mosquitto, tmp_path: Path, name: str
) -> None:
    """With ``flask run`` it connects for that, under another name."""
    make = MAKE + 'mqtt.publish(os.environ["CLIENT_ID"] + "/up", qos=1)\n'
    log = BrokerLog(broker, name)
    with DevServer(tmp_path, "flask run", broker.port, name, make):
        wait_until(lambda: name in log.subscribed(), PATIENCE)
        assert [client for _, client in log.connects()] == [f"{name}-1", name]
        wait_until(lambda: f"{name}-1" in log.disconnects(), what="the DISCONNECT of the parent")
