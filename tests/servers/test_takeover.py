"""Leaders that are killed under real servers: another worker takes over."""

from __future__ import annotations

import functools
import os
import signal
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, PATIENCE, AppServer, publish
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROUNDS = 3


@pytest.mark.parametrize(
    "kind",
    ["gunicorn-gthread", "gunicorn-gevent", "gunicorn-gevent-preload", "gunicorn-sync-preload"],
)
def test_another_worker_takes_over(kind: str, roomy: Mosquitto, tmp_path: Path) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    config = {"MQTT_WORKER_MODE": "leader", "MQTT_CLEAN_SESSION": False}
    with AppServer(tmp_path, kind, roomy.port, **config) as server:
        server.begin(log)
        for turn in range(ROUNDS):
            numbers = range(turn * 10, turn * 10 + 10)
            publish(roomy.port, numbers)
            handled = functools.partial(server.has_handled, numbers)
            wait_until(handled, PATIENCE, f"all of {numbers} are handled")
            os.kill(server.lines.pids[-1], signal.SIGKILL)
            if server.kind.first:
                # The worker in its place connects with its first request.
                server.visit_all()
        publish(roomy.port, [100])
        wait_until(lambda: server.has_handled([100]), PATIENCE, "the last leader handles a message")
        assert len(server.lines.pids) == ROUNDS + 1
    assert log.taken_over() == []
