"""How often each message is handled by an application that a real server serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, MESSAGES, AppServer, cases, publish

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

THOROUGHLY = ("gunicorn-sync", "gunicorn-sync-preload", "uwsgi")
OTHERS = {
    "uwsgi-lazy": "shared",
    "gunicorn-gevent": "shared",
    "waitress": "all",
    "hypercorn": "shared",
    "uvicorn": "leader",
}


@pytest.mark.parametrize(("kind", "mode"), cases(THOROUGHLY, OTHERS))
def test_each_message_is_handled_as_often_as_the_mode_says(
    kind: str, mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    with AppServer(tmp_path, kind, roomy.port, MQTT_WORKER_MODE=mode) as server:
        server.begin(log)
        publish(roomy.port, range(MESSAGES))
        server.wait_handled(MESSAGES)
        server.visit()
    # What is handled too often may be handled at the end only.
    numbers = server.lines.by_number()
    assert {number: count for number, count in numbers.items() if count != server.times} == {}
    assert len(numbers) == MESSAGES
    assert len(server.lines.clients()) == server.subscribers
    print("connections in the second that had most:", log.most_connects_a_second())
    assert log.most_connects_a_second() <= server.kind.workers + 1
    assert log.taken_over() == []
