"""Real proxies: tinyproxy for HTTP CONNECT and microsocks for SOCKS5.

with SocksProxy(directory, "user", "secret") as proxy:
    connect_through(proxy.url)
    proxy.wait_until_used_for(broker.port)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from .ports import free_port
from .server import HOST
from .server_process import ServerProcess, accepts, find_program
from .wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path


class Proxy(ServerProcess):
    """A proxy on a free port; with a user and password it refuses whoever does not give them.

    Further processes can run from one directory only one after another.
    """

    scheme = ""
    # What the log says of a connection that was made for a client.
    connection = ""

    def __init__(self, directory: Path, user: str = "", password: str = "") -> None:
        super().__init__(directory)
        self.port = free_port()
        self.user, self.password = user, password

    @property
    def address(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL as a client gives it, with the user and password that the proxy wants."""
        if not self.user:
            return self.address
        who = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{who}@{self.host}:{self.port}"

    def targets(self) -> list[str]:
        """Return the "host:port" of every connection that it made or was asked for, in order."""
        return re.findall(self.connection, self.log)

    def wait_until_used_for(self, port: int) -> None:
        """Wait until the log has a connection to the port. Raises AssertionError."""
        wait_until(
            lambda: any(target.endswith(f":{port}") for target in self.targets()),
            what=f"{type(self).__name__} to connect to port {port}",
        )

    def _accepts(self) -> bool:
        return accepts((HOST, self.port))


class HttpProxy(Proxy):
    """tinyproxy. Its answers: 407 without and 401 with wrong credentials, 500 for no connection.

    User and password may have letters, digits, "-", "." and "_" only.
    """

    scheme = "http"
    connection = r"Request \(file descriptor \d+\): CONNECT (\S+)"

    def _command(self) -> list[str]:
        lines = [f"Port {self.port}", f"Listen {HOST}", "LogLevel Connect", "Timeout 60"]
        if self.user:
            lines.append(f"BasicAuth {self.user} {self.password}")
        config = self.directory / "tinyproxy.conf"
        config.write_text("\n".join(lines) + "\n")
        program = find_program("tinyproxy", "tinyproxy-bin", "tinyproxy")
        return [program, "-d", "-c", str(config)]


class SocksProxy(Proxy):
    """microsocks. It refuses a wrong password and says why it could not connect."""

    scheme = "socks5"
    connection = r"connected to (\S+)"

    def _command(self) -> list[str]:
        program = find_program("microsocks", "microsocks")
        command = [program, "-i", HOST, "-p", str(self.port)]
        if self.user:
            command += ["-u", self.user, "-P", self.password]
        return command
