"""Clusters of three nodes on this machine."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

from interop import rabbitmq
from interop.broker import Program, ports
from interop.brokers import RMQTTD, mosquitto_version, nats_version, rmqttd_version, toml
from support.mosquitto import Mosquitto
from support.server import HOST
from support.server_process import ServerProcess, find_program

from .tap import Packet, Tap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

SIZE = 3


class Node:
    """A node, with a tap that clients connect to.

    server: None for a way to a broker that other nodes lead to, too; then only connections end.
    """

    def __init__(
        self, name: str, server: ServerProcess | None, port: int, packets: list[Packet]
    ) -> None:
        self.name = name
        self._server = server
        self._tap = Tap(name, port, packets)

    @property
    def port(self) -> int:
        """The port of the tap."""
        return self._tap.port

    @property
    def log(self) -> str:
        """What the node has logged so far."""
        return self._server.log if self._server else ""

    def start(self) -> None:
        """Start it and wait until it accepts; then clients reach it. Raises AssertionError."""
        if self._server:
            try:
                self._server.start()
            except AssertionError as error:
                log = self._server.log_since_start[-5000:]
                raise AssertionError(f"{self.name} does not start: {error}\n{log}") from None
        self._tap.listen()

    def kill(self) -> None:
        """End it at once, with its connections."""
        if self._server:
            self._server.kill()
        self._tap.stop_listening()
        self._tap.drop()

    def close(self) -> None:
        """End it at the end of the run."""
        self._tap.close()
        if self._server:
            self._server.stop()


class Cluster:
    """Three nodes, running for as long as a `with` lasts.

    title: the name of the broker.
    modes: the modes of workers that it can serve.
    packets: what passed between nodes and clients.
    """

    title: ClassVar[str]
    modes: ClassVar[tuple[str, ...]]

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.packets: list[Packet] = []
        self.nodes: list[Node] = []
        self._stack = contextlib.ExitStack()

    def version(self) -> str:
        """Return the version that is installed."""
        raise NotImplementedError

    def make(self) -> Sequence[tuple[ServerProcess | None, int]]:
        """Return the servers with their ports for MQTT."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            for number, (server, port) in enumerate(self.make(), 1):
                node = Node(f"node {number}", server, port, self.packets)
                self.nodes.append(node)
                self._stack.callback(node.close)
            # At once, as some nodes accept only when they have found others.
            with ThreadPoolExecutor(SIZE) as starting:
                list(starting.map(Node.start, self.nodes))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def run(self, server: ServerProcess) -> None:
        """Start a process that ends with the cluster."""
        self._stack.enter_context(server)


class OneMosquitto(Cluster):
    """No cluster, but one mosquitto that is reached in three ways; a way dies instead of a node."""

    title = "Mosquitto"
    modes = ("shared", "leader")

    def version(self) -> str:
        return mosquitto_version()

    def make(self) -> list[tuple[None, int]]:
        server = Mosquitto(self.directory / "mosquitto")
        self.run(server)
        return [(None, server.port)] * SIZE


class RmqttCluster(Cluster):
    """rmqttd with its plug-ins for Raft and for shared subscriptions."""

    title = "RMQTT"
    modes = ("shared", "leader")

    def version(self) -> str:
        return rmqttd_version()

    def make(self) -> list[tuple[ServerProcess, int]]:
        names = range(1, SIZE + 1)
        rpc = [ports("rpc")["rpc"] for _ in names]
        raft = [ports("raft")["raft"] for _ in names]
        mqtt = [ports("mqtt")["mqtt"] for _ in names]
        made: list[tuple[ServerProcess, int]] = []
        for name in names:
            directory = self.directory / f"node-{name}"
            plugins = directory / "plugins"
            plugins.mkdir(parents=True)
            peers: dict[str, object] = {
                "node_grpc_addrs": [f"{each}@{HOST}:{rpc[each - 1]}" for each in names],
                "raft_peer_addrs": [f"{each}@{HOST}:{raft[each - 1]}" for each in names],
                "leader_id": 1,  # or nodes that start at once might each begin a cluster
            }
            lines = toml({"": peers}).partition("\n")[2]
            # Without this table it binds without SO_REUSEADDR, and `ports` keeps its port reserved.
            lines += toml({"raft": {"grpc_reuseaddr": True}})
            (plugins / "rmqtt-cluster-raft.toml").write_text(lines)
            (plugins / "rmqtt-shared-subscription.toml").write_text('strategy = "round_robin"\n')
            tables: dict[str, dict[str, object]] = {
                "node": {"id": name},
                "rpc": {"server_addr": f"{HOST}:{rpc[name - 1]}"},
                "log": {"to": "console", "level": "info"},
                "plugins": {
                    "dir": str(plugins),
                    "default_startups": ["rmqtt-cluster-raft", "rmqtt-shared-subscription"],
                    "disabled_default_startups": ["rmqtt-acl", "rmqtt-counter", "rmqtt-http-api"],
                },
                "listener.tcp.external": {
                    "addr": f"{HOST}:{mqtt[name - 1]}",
                    "allow_anonymous": True,
                    "max_mqueue_len": 10_000,  # or a session drops its oldest above 1,000
                },
            }
            config = directory / "rmqtt.toml"
            config.write_text(toml(tables))
            command = [str(RMQTTD), "--config", str(config)]
            made.append((Program(directory, command, [mqtt[name - 1]]), mqtt[name - 1]))
        return made


class RabbitMqCluster(Cluster):
    """RabbitMQ, with sessions as quorum queues, which have a copy on each node."""

    title = "RabbitMQ"
    modes = ("leader",)

    def version(self) -> str:
        return rabbitmq.version()

    def make(self) -> list[tuple[ServerProcess, int]]:
        registrar = rabbitmq.Registrar(self.directory / "epmd")
        self.run(registrar)
        names = [f"shop-{number}" for number in range(1, SIZE + 1)]
        made: list[tuple[ServerProcess, int]] = []
        for name in names:
            port = ports("mqtt")["mqtt"]
            settings = {
                "mqtt.allow_anonymous": "true",
                "mqtt.listeners.tcp.default": f"{HOST}:{port}",
                "mqtt.durable_queue_type": "quorum",
                "web_mqtt.tcp.ip": HOST,
                "web_mqtt.tcp.port": ports("ws")["ws"],
                "cluster_formation.peer_discovery_backend": "classic_config",
                **{
                    f"cluster_formation.classic_config.nodes.{number}": f"{each}@localhost"
                    for number, each in enumerate(names, 1)
                },
            }
            directory = self.directory / name
            node = rabbitmq.Node(
                directory, name, registrar.port, settings, [port], home=self.directory
            )
            made.append((node, port))
        return made


class NatsCluster(Cluster):
    """nats-server with JetStream, whose streams keep sessions and messages on three nodes."""

    title = "NATS"
    modes = ("leader",)

    def version(self) -> str:
        return nats_version()

    def make(self) -> list[tuple[ServerProcess, int]]:
        routes = [ports("route")["route"] for _ in range(SIZE)]
        addresses = ", ".join(f'"nats://{HOST}:{route}"' for route in routes)
        made: list[tuple[ServerProcess, int]] = []
        for number, route in enumerate(routes, 1):
            directory = self.directory / f"node-{number}"
            directory.mkdir(parents=True)
            used = ports("nats", "mqtt")
            config = directory / "nats.conf"
            config.write_text(
                f'host: "{HOST}"\nport: {used["nats"]}\nserver_name: "shop-{number}"\n'
                f'jetstream {{ store_dir: "{directory}" }}\n'
                f'cluster {{ name: "shop", listen: "{HOST}:{route}", routes: [{addresses}] }}\n'
                f'mqtt {{ host: "{HOST}", port: {used["mqtt"]} }}\n'
            )
            program = find_program("nats-server", "nats-server")
            server = Program(directory, [program, "-c", str(config)], [used["mqtt"]])
            made.append((server, used["mqtt"]))
        return made


CLUSTERS: tuple[type[Cluster], ...] = (OneMosquitto, RmqttCluster, RabbitMqCluster, NatsCluster)
