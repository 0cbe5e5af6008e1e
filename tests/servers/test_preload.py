"""gunicorn with --preload: its master handles messages until the first request comes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.process import slots
from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, MESSAGES, PATIENCE, AppServer, publish, visitors
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.mark.parametrize("file", [None, "messages.db"])
@pytest.mark.parametrize("mode", ["all", "shared", "leader"])
def test_none_is_missing_or_comes_twice_when_workers_take_over_from_the_master(
    mode: str, file: str | None, roomy: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = BrokerLog(roomy, CLIENT_ID)
    config: dict[str, Any] = {"MQTT_WORKER_MODE": mode, "MQTT_CLEAN_SESSION": False}
    if file is not None:
        config["MQTT_PERSISTENCE"] = str(tmp_path / file)
    with (
        AppServer(tmp_path, "gunicorn-sync-preload", roomy.port, **config) as server,
        contextlib.ExitStack() as stack,
    ):
        wait_until(log.subscribed, PATIENCE, "the master subscribes")

        def numbers() -> Iterator[int]:
            yield from range(MESSAGES)
            # The master has its slot while each of them is forked.
            count = server.kind.workers
            wait_until(lambda: len(server.workers()) == count, PATIENCE, "all workers are there")
            stack.enter_context(visitors(server))
            yield from range(MESSAGES, 4 * MESSAGES)

        publish(roomy.port, numbers())
        wait_until(
            lambda: server.has_handled(range(4 * MESSAGES)), PATIENCE, "all messages are handled"
        )
        server.visit_all()
        master = server.pid
        # A worker goes on with the master's session: nobody else would ever end it.
        [slots_file] = tmp_path.rglob("*.slots")
        wait_until(
            lambda: not slots.free_dirty(slots_file.stem), PATIENCE, "no session is left behind"
        )
    assert master in server.lines.pids
    assert len(server.lines.pids) == (2 if mode == "leader" else 1 + server.kind.workers)
    if mode != "all":
        assert set(server.lines.by_number().values()) == {1}
    assert log.taken_over() == []
    assert log.most_connects_a_second() <= server.kind.workers + 1
