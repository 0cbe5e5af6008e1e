"""What all brokers of the table have in common."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from support.ports import free_port
from support.server import HOST
from support.server_process import ServerProcess, accepts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from support.certificates import Certificates

Way = dict[str, Any]


class Program(ServerProcess):
    """A process that serves ports of 127.0.0.1."""

    start_timeout = 90.0

    def __init__(
        self,
        directory: Path,
        command: Sequence[str],
        ports: Sequence[int],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(directory)
        self._ports = ports
        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        self._words = ["env", f"--chdir={directory}", *settings, *command]

    def _command(self) -> list[str]:
        return self._words

    def _accepts(self) -> bool:
        return all(accepts((HOST, port)) for port in self._ports)


class Broker:
    """A broker: its processes run for as long as a `with` lasts.

    title: the heading of its column.
    absent: what it does not offer according to its own documentation, and what that says: keys of
        features. Where there is a way to try it, it is tried all the same.
    """

    title: ClassVar[str]
    absent: ClassVar[Mapping[str, str]] = {}

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.directory = directory
        self.certificates = certificates
        self.ways: dict[str, Way] = {}
        self._stack = contextlib.ExitStack()

    def version(self) -> str:
        """Return the version of the broker that is installed. Raises OSError without one."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it and fill `ways`: "tcp", "tls", "mutual", "ws", "wss", "unix", "locked".

        "locked" lets nobody in without a password. A name with a 5 at its end is for MQTT 5 only.
        """
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self.start()
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

    def way(self, via: str, version: int) -> Way:
        """Return the configuration that leads to it. Raises KeyError where there is no way."""
        return self.ways[f"{via}5" if version == 5 and f"{via}5" in self.ways else via]

    def run(self, server: ServerProcess) -> None:
        """Start a process that ends with the broker."""
        self._stack.enter_context(server)

    def add_ways(self, **ports: int) -> None:
        """Add ways by their names; what follows from the name is set here."""
        for name, port in ports.items():
            self.ways[name] = _way(name.removesuffix("5"), port, self.certificates)


def _way(name: str, port: int, certificates: Certificates) -> Way:
    way: Way = {"broker_url": HOST, "broker_port": port}
    if name in ("ws", "wss"):
        way["transport"] = "websockets"
    if name in ("tls", "mutual", "wss"):
        way |= {"tls_enabled": True, "tls_ca_certs": str(certificates.ca)}
    if name == "mutual":
        client = certificates.client
        way |= {"tls_certfile": str(client.certificate), "tls_keyfile": str(client.key)}
    return way


def ports(*names: str) -> dict[str, int]:
    """Return a free port for each name."""
    free = [free_port() for _ in names]
    if len(set(free)) < len(free):  # one was free twice
        return ports(*names)
    return dict(zip(names, free, strict=True))
