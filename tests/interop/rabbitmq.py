"""Nodes of RabbitMQ, each with a directory of its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from support.ports import free_port
from support.server import HOST

from .broker import Program

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCRIPTS = Path("/usr/lib/rabbitmq/bin")


def version() -> str:
    """Return the version that is installed. Raises ValueError where there is none."""
    [home] = SCRIPTS.parent.glob("lib/rabbitmq_server-*")
    return home.name.rpartition("-")[2]


class Registrar(Program):
    """Erlang's epmd, which knows the ports of the nodes."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        super().__init__(
            directory, ("epmd", "-address", HOST, "-port", str(self.port)), [self.port]
        )


class Node(Program):
    """A node. `start` waits until it serves.

    name: `NAME@localhost` is the node's.
    registrar: the port of the registrar.
    settings: of rabbitmq.conf.
    serves: the ports of MQTT, and of other listeners.
    home: the folder of the Erlang cookie, which nodes of a cluster share; its own without one.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        registrar: int,
        settings: Mapping[str, object],
        serves: Sequence[int],
        home: Path | None = None,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        config, plugins = directory / "rabbitmq.conf", directory / "enabled_plugins"
        listens = {"listeners.tcp": "none", "log.console": "true", "log.file": "false"}
        lines = [f"{key} = {value}\n" for key, value in {**listens, **settings}.items()]
        config.write_text("".join(lines))
        plugins.write_text("[rabbitmq_mqtt, rabbitmq_web_mqtt].\n")
        environment = {
            "HOME": home or directory,
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": registrar,
            "RABBITMQ_NODENAME": f"{name}@localhost",
            "RABBITMQ_DIST_PORT": free_port(),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": directory / "data",
            "RABBITMQ_LOG_BASE": directory,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": directory / "pid",
            "RABBITMQ_CONF_ENV_FILE": directory / "none",
            "RABBITMQ_CONFIG_FILE": config,
            "RABBITMQ_ENABLED_PLUGINS_FILE": plugins,
            "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the node instead of its parent
        }
        words = {key: str(value) for key, value in environment.items()}
        super().__init__(directory, [str(SCRIPTS / "rabbitmq-server")], serves, words)
