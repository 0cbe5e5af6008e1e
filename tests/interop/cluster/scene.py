"""A run: orders are published while a worker and a node die, and the node comes back."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from flask import Flask

from flask_mqtt import Mqtt
from support.server import HOST
from support.wait import wait_until

from .hosts import WORKERS, Handled, Host
from .verdict import PUBLISHER, Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from pathlib import Path

    from .nodes import Cluster

#: The hosts, and the nodes that their workers try first, second and third.
HOSTS = {"a": (0, 1, 2), "b": (1, 2, 0)}
#: The nodes that the publisher tries: it dies with that of host b.
PUBLISHER_TRIES = (1, 2, 0)
#: Which node dies.
VICTIM = 1
PER_SECOND = 200
#: When a worker is killed, a node is killed and the node is started again, as shares of all orders.
WORKER_DIES, NODE_DIES, NODE_RETURNS = 0.25, 0.5, 0.75
READY = 60.0
#: Seconds without another order, after which what is missing counts as lost.
QUIET = 20.0


class Run(NamedTuple):
    """What a run is about: the mode of the workers, and how many orders there are."""

    mode: str
    orders: int


def play(kind: type[Cluster], run: Run, directory: Path) -> Verdict:
    """Play a run with a new cluster, new hosts and a new publisher."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(kind(directory / "cluster"))
        hosts = []
        for name, tries in HOSTS.items():
            ports = [cluster.nodes[index].port for index in tries]
            keys = {"WORKER_MODE": run.mode, "SHARED_GROUP": "shop"}
            hosts.append(stack.enter_context(Host(directory / name, name, ports, keys)))
        publisher = stack.enter_context(_publisher(cluster))
        _await_readiness(publisher, cluster, hosts, run.mode)
        with ThreadPoolExecutor(1) as doing:  # as starting a node takes a while
            accepted = _publish(publisher, run.orders, _events(cluster, hosts), doing)
        _await_the_end(publisher, hosts, accepted, run.mode)
        every = list(HOSTS) if run.mode == "leader" else []
        return judge(accepted, cluster.packets, _handled(hosts), every)


def _publisher(cluster: Cluster) -> Mqtt:
    app = Flask(PUBLISHER)
    app.config["MQTT_BROKER_URL"] = [
        f"mqtt://{HOST}:{cluster.nodes[index].port}" for index in PUBLISHER_TRIES
    ]
    app.config["MQTT_CLIENT_ID"] = PUBLISHER
    app.config["MQTT_RECONNECT_DELAY_MIN"] = 0.2
    app.config["MQTT_RECONNECT_DELAY_MAX"] = 1
    return Mqtt(app, connect_async=True)


def _handled(hosts: list[Host]) -> list[Handled]:
    return [line for host in hosts for line in host.handled()]


def _await_readiness(publisher: Mqtt, cluster: Cluster, hosts: list[Host], mode: str) -> None:
    """Publish orders with negative numbers until everybody who is to handle orders has had one."""
    per_host = 1 if mode == "leader" else WORKERS
    tries = iter(range(-1, -sys.maxsize, -1))

    def ready() -> bool:
        number = next(tries)
        publisher.publish(f"orders/{number}", str(number), qos=1)
        # How often it asks, and time for the order to be handled.
        time.sleep(0.2)
        busy = {(line.host, line.pid) for line in _handled(hosts)}
        return len(busy) >= per_host * len(hosts)

    try:
        wait_until(ready, READY, "workers that handle orders")
    except AssertionError as error:
        logs = [f"{node.name}:\n{node.log[-3000:]}" for node in cluster.nodes]
        logs += [f"host {host.name}:\n{host.log[-3000:]}" for host in hosts]
        raise AssertionError("\n".join([str(error), *logs])) from None


def _events(cluster: Cluster, hosts: list[Host]) -> dict[float, Callable[[], None]]:
    victim = cluster.nodes[VICTIM]

    def kill_worker() -> None:
        os.kill(hosts[0].handled()[-1].pid, signal.SIGKILL)

    return {WORKER_DIES: kill_worker, NODE_DIES: victim.kill, NODE_RETURNS: victim.start}


def _publish(
    publisher: Mqtt, orders: int, events: dict[float, Callable[[], None]], doing: Executor
) -> list[int]:
    """Publish orders at a steady rate, and return the numbers of those that were accepted."""
    done = []
    due = {int(share * orders): event for share, event in events.items()}
    accepted = []
    begin = time.monotonic()
    for number in range(orders):
        if event := due.get(number):
            done.append(doing.submit(event))
        time.sleep(max(0.0, begin + number / PER_SECOND - time.monotonic()))
        rc, _ = publisher.publish(f"orders/{number}", str(number), qos=1)
        if rc in (0, 4):  # 4: kept for the next connection
            accepted.append(number)
    for each in done:
        each.result()
    return accepted


def _await_the_end(publisher: Mqtt, hosts: list[Host], accepted: list[int], mode: str) -> None:
    """Wait until all orders were handled, or for so long that the rest counts as lost."""
    wanted = {
        (number, host.name if mode == "leader" else "") for number in accepted for host in hosts
    }
    before, since = -1, time.monotonic()
    while time.monotonic() - since < QUIET:
        lines = _handled(hosts)
        stats = publisher.stats()
        done = {(line.number, line.host if mode == "leader" else "") for line in lines}
        if wanted <= done and not stats["in_flight"] + stats["queued"]:
            return
        progress = len(lines) + stats["published"]["messages"]["qos1"]
        if progress != before:
            before, since = progress, time.monotonic()
        time.sleep(0.1)
