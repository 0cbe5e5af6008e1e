"""Workers that are killed, or replaced on SIGHUP, while messages arrive: none is missing.

The sessions are persistent, so the broker keeps what nobody has acknowledged.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from support.broker_log import BrokerLog
from support.servers import (
    CLIENT_ID,
    MESSAGES,
    PATIENCE,
    ROUNDS,
    AppServer,
    cases,
    is_alive,
    publish,
    visitors,
)
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mosquitto import Mosquitto

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + ROUNDS * 2 * PATIENCE)]

GUNICORN = ("gunicorn-sync", "gunicorn-sync-preload")
#: Other moments each time; a run that fails says which.
SEED = random.SystemRandom().randrange(10**6)


def twice(server: AppServer, mode: str) -> int:
    """Return how many messages were handled more often than they need to be."""
    handled = server.lines.handled() if mode == "all" else server.lines.by_number()
    return sum(count > 1 for count in handled.values())


def killing(server: AppServer, numbers: range, chance: random.Random) -> Iterator[int]:
    """Give the numbers, and kill a worker before one of them."""
    fatal = chance.choice(numbers[len(numbers) // 10 :])
    for number in numbers:
        if number == fatal:
            # The one that handles messages in mode leader: the others have nothing to lose.
            server.lines.handled()
            alive = [pid for pid in server.lines.pids if is_alive(pid)]
            victim = alive[-1] if alive else chance.choice(server.workers())
            os.kill(victim, signal.SIGKILL)
        yield number


@pytest.mark.parametrize(
    ("kind", "mode"), cases(GUNICORN, {"uwsgi-lazy": "shared", "uwsgi": "leader"})
)
def test_none_is_missing_when_a_worker_is_killed(
    kind: str, mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    print("seed", SEED)
    chance = random.Random(SEED)
    log = BrokerLog(roomy, CLIENT_ID)
    config = {"MQTT_WORKER_MODE": mode, "MQTT_CLEAN_SESSION": False}
    with AppServer(tmp_path, kind, roomy.port, **config) as server:
        server.begin(log)
        server.settle(log)
        with visitors(server):
            for turn in range(ROUNDS):
                numbers = range(turn * MESSAGES, (turn + 1) * MESSAGES)
                publish(roomy.port, killing(server, numbers, chance))
                none_is_missing = functools.partial(server.has_handled, numbers, mode)
                wait_until(none_is_missing, PATIENCE, f"all of {numbers} are handled")
        # uWSGI's workers miss a SIGTERM while they load the application.
        server.visit_all()
    print("handled more often than needed:", twice(server, mode))
    print("connections in the second that had most:", log.most_connects_a_second())
    assert log.most_connects_a_second() <= server.kind.workers + 1


def replacing(server: AppServer) -> Iterator[int]:
    """Give numbers until all workers have been replaced, and for a while after that."""
    old = set(server.workers())
    first, deadline = 0, time.monotonic() + PATIENCE
    server.reload()
    while old & set(server.workers()) and time.monotonic() < deadline:
        yield first
        first += 1
    yield from range(first, first + MESSAGES)


@pytest.mark.parametrize(
    ("kind", "mode"), cases(["gunicorn-sync"], {"gunicorn-sync-preload": "shared"})
)
def test_none_is_missing_when_all_workers_are_replaced(
    kind: str, mode: str, roomy: Mosquitto, tmp_path: Path
) -> None:
    log = BrokerLog(roomy, CLIENT_ID)
    config = {"MQTT_WORKER_MODE": mode, "MQTT_CLEAN_SESSION": False}
    with AppServer(tmp_path, kind, roomy.port, **config) as server:
        server.begin(log)
        server.settle(log)
        with visitors(server):
            count = publish(roomy.port, replacing(server))
            wait_until(lambda: server.has_handled(range(count)), PATIENCE, "all are handled")
    print(f"of {count} messages, handled more often than needed:", twice(server, mode))
    print("connections in the second that had most:", log.most_connects_a_second())
    assert log.most_connects_a_second() <= server.kind.workers + 1
    assert log.taken_over() == []
