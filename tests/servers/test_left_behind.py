"""Workers that are replaced by others with other numbers leave nothing behind at the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flask_mqtt.process import slots
from flask_mqtt.process.slots_file import MOST_SLOTS
from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, PATIENCE, AppServer, publish
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def left(file: Path) -> int:
    """Return under how many numbers there is something, or will be when the workers end."""
    return file.read_bytes()[:MOST_SLOTS].count(1)


@pytest.mark.parametrize("mode", ["shared", "leader"])
def test_a_rolling_restart_leaves_no_session(
    mode: str, roomy: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    log = BrokerLog(roomy, CLIENT_ID)
    config = {"MQTT_WORKER_MODE": mode, "MQTT_CLEAN_SESSION": False}
    with AppServer(tmp_path, "gunicorn-sync", roomy.port, **config) as server:
        server.begin(log)
        old = set(server.workers())
        server.reload()
        wait_until(lambda: not old & set(server.workers()), PATIENCE, "the old workers end")
        count = publish(roomy.port, range(200))
        [file] = tmp_path.rglob("*.slots")
        # The new workers have the numbers of the old ones, or those are finished.
        wait_until(
            lambda: left(file) == server.subscribers and not slots.free_dirty(file.stem),
            PATIENCE,
            f"only {server.subscribers} sessions are left, and are those of workers",
        )
        wait_until(lambda: server.has_handled(range(count)), PATIENCE, "all are handled")
        assert max(server.lines.by_number().values()) == 1
