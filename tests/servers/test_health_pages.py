"""`/healthz` and `/readyz` of real servers, while their broker hangs."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from support.servers import PATIENCE, AppServer
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

READY = (200, {"ready": True, "reasons": {}})
ALIVE = (200, {"alive": True, "reasons": {}})


def asked(server: AppServer, path: str) -> tuple[int, Any]:
    try:
        return 200, json.loads(server.request(path))
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("gunicorn-sync", "all"),
        ("gunicorn-sync-preload", "shared"),
        ("gunicorn-gevent", "leader"),
        ("uwsgi-lazy", "leader"),
        ("uwsgi", "all"),
        ("hypercorn", "shared"),
    ],
)
def test_workers_are_ready_while_the_broker_answers(
    kind: str, mode: str, broker_factory: Callable[..., Mosquitto], tmp_path: Path
) -> None:
    broker = broker_factory()

    def are_ready() -> bool:
        # Each worker answers for itself.
        return all(asked(server, "/readyz") == READY for _ in range(4 * server.kind.workers))

    def notices() -> Any:
        code, page = asked(server, "/readyz")
        # Another worker may just have heard of the broker.
        return None if (code, page) == READY else page["reasons"]

    with AppServer(tmp_path, kind, broker.port, MQTT_WORKER_MODE=mode) as server:
        # Those that still load the application do not answer, and uWSGI's miss a SIGTERM.
        server.visit_all()
        wait_until(are_ready, PATIENCE, "all workers are ready")
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            reasons = wait_until(notices, PATIENCE, "a worker notices")
            assert set(reasons) == {"MQTT"}
            assert asked(server, "/healthz") == ALIVE
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        wait_until(are_ready, PATIENCE, "all workers are ready again")
