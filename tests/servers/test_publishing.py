"""Requests that publish in several threads of several workers, while messages arrive."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import CLIENT_ID, MESSAGES, PATIENCE, ROUNDS, AppServer, cases, publish

if TYPE_CHECKING:
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + ROUNDS * PATIENCE)]

#: Threads for requests that each worker has.
THREADS = 8
#: Messages that one request publishes.
A_REQUEST = 25


@pytest.mark.parametrize(
    ("kind", "mode"), cases(["gunicorn-gthread"], {"gunicorn-gthread-preload": "leader"})
)
def test_requests_publish_while_messages_arrive(
    kind: str, mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    with AppServer(tmp_path, kind, roomy.port, MQTT_WORKER_MODE=mode) as server:
        server.begin(log)
        count = ROUNDS * MESSAGES

        def request(first: int) -> list[int]:
            results: list[int] = json.loads(server.request(f"/publish/{first}/{A_REQUEST}", b""))
            return results

        with ThreadPoolExecutor(server.kind.workers * THREADS) as requests:
            results = requests.map(request, range(0, count, A_REQUEST))
            publish(roomy.port, range(count))
            assert [rc for found in results for rc in found] == [0] * count
        server.wait_handled(count)
    assert set(server.lines.by_number().values()) == {server.times}
    published = log.published("requested")
    assert len(published) == count
    assert set(published.values()) == {1}
