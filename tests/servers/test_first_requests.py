"""gunicorn with --preload: its parent handles messages, until workers serve requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, MESSAGES, PATIENCE, AppServer, publish
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

CASES = {
    "gunicorn-sync-preload": "all",
    "gunicorn-gthread-preload": "shared",
    "gunicorn-gevent-preload": "leader",
}


@pytest.mark.parametrize(("kind", "mode"), CASES.items())
def test_each_message_is_handled_as_often_as_the_mode_says(
    kind: str, mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    with AppServer(tmp_path, kind, roomy.port, MQTT_WORKER_MODE=mode) as server:
        # Before the first request, the parent handles them.
        wait_until(lambda: log.subscribed() == {CLIENT_ID}, PATIENCE, "the parent subscribes")
        before = range(MESSAGES, MESSAGES + 10)
        publish(roomy.port, before)
        wait_until(lambda: server.lines.handled().total() == len(before), PATIENCE)
        assert server.lines.pids == [server.pid]
        server.visit_all()
        wait_until(
            lambda: len(log.subscribed()) == server.subscribers, PATIENCE, "workers subscribe"
        )
        publish(roomy.port, range(MESSAGES))
        server.wait_handled(MESSAGES, others=len(before))
        server.visit()
        pids = {server.pid, *server.workers()}
    numbers = server.lines.by_number()
    assert {numbers.pop(number) for number in before} == {1}
    assert {number: count for number, count in numbers.items() if count != server.times} == {}
    assert len(numbers) == MESSAGES
    assert set(server.lines.pids) <= pids
    assert log.most_connects_a_second() <= server.kind.workers + 1
    assert log.taken_over() == []
