"""gunicorn with --preload: its master handles messages until the first request comes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, MESSAGES, PATIENCE, AppServer, publish, visitors
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("mode", ["all", "shared", "leader"])
def test_none_is_missing_or_comes_twice_when_workers_take_over_from_the_master(
    mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    config = {"MQTT_WORKER_MODE": mode, "MQTT_CLEAN_SESSION": False}
    with (
        AppServer(tmp_path, "gunicorn-sync-preload", roomy.port, **config) as server,
        contextlib.ExitStack() as stack,
    ):
        wait_until(log.subscribed, PATIENCE, "the master subscribes")

        def numbers() -> Iterator[int]:
            yield from range(MESSAGES)
            stack.enter_context(visitors(server))
            yield from range(MESSAGES, 4 * MESSAGES)

        publish(roomy.port, numbers())
        wait_until(
            lambda: server.has_handled(range(4 * MESSAGES)), PATIENCE, "all messages are handled"
        )
        server.visit_all()
        master = server.pid
    assert master in server.lines.pids
    assert len(server.lines.pids) == (2 if mode == "leader" else 1 + server.kind.workers)
    if mode != "all":
        assert set(server.lines.by_number().values()) == {1}
    assert log.taken_over() == []
    assert log.most_connects_a_second() <= server.kind.workers + 1
