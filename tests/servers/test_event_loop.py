"""Async views under real ASGI servers: what they wait for does not hold up the event loop."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from support.servers import AppServer
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

PATIENCE = 30


@pytest.mark.parametrize("name", ["uvicorn", "hypercorn"])
def test_a_view_that_waits_for_room_and_for_the_broker_lets_the_loop_run(
    name: str, broker_factory: Callable[[], Mosquitto], tmp_path: Path
) -> None:
    broker = broker_factory()
    server = AppServer(tmp_path, name, broker.port, MQTT_MAX_OUTGOING_BYTES=1)
    words = tuple(word.replace("serving:asgi", "event_loop:asgi") for word in server.kind.command)
    server.kind = server.kind._replace(command=words, workers=1)
    with server, concurrent.futures.ThreadPoolExecutor(1) as requests:
        wait_until(lambda: server.request("/publish"), PATIENCE, "a message is acknowledged")
        loop = server.request("/loop").decode()
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            answer = requests.submit(server.request, "/publish")
            for _ in range(20):
                assert server.request("/loop").decode() == loop
            assert not answer.done()
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert json.loads(answer.result(PATIENCE)) == {"published": [True] * 3, "loop": int(loop)}
