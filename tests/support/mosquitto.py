"""A real mosquitto, started for a test and stopped by its pid."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from .ports import free_port
from .server import HOST
from .server_process import ServerProcess, accepts, find_program

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Listener:
    """One more place where mosquitto listens.

    kind: "tcp", "websockets" (any path; subprotocol mqtt) or "unix" (without TLS).
    host, port: of "tcp" and "websockets"; ::1 for IPv6, and port 0 takes a free one.
    path: of "unix"; by default a socket in the broker's directory.
    certificate, key: the server's, in PEM; given, the listener speaks TLS.
    cafile: whose certificates clients may show.
    require_certificate: refuse clients that show none; needs `cafile`.
    tls_version: the lowest that is accepted: "tlsv1.1", "tlsv1.2" or "tlsv1.3".
    ciphers: OpenSSL's list for TLS up to 1.2.
    options: further lines of the configuration for this listener.
    """

    kind: Literal["tcp", "websockets", "unix"] = "tcp"
    host: str = HOST
    port: int = 0
    path: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    cafile: Path | None = None
    require_certificate: bool = False
    tls_version: str = ""
    ciphers: str = ""
    options: tuple[str, ...] = ()

    def placed(self, default_path: Path) -> Listener:
        """Return it with the port or path that it gets."""
        if self.kind == "unix":
            return replace(self, path=self.path or default_path)
        return replace(self, port=self.port or free_port(self.host))

    @property
    def address(self) -> tuple[str, int] | Path:
        """Where it listens: host and port, or the path of the socket."""
        if self.kind == "unix":
            assert self.path is not None, "the listener belongs to no broker yet"
            return self.path
        return (self.host, self.port)

    def lines(self) -> list[str]:
        """Return its part of the configuration."""
        if self.kind == "unix":
            return [f"listener 0 {self.path}", *self.options]
        lines = [f"listener {self.port} {self.host}"]
        if self.kind == "websockets":
            lines.append("protocol websockets")
            if ":" not in self.host:
                # Without it, mosquitto 2.0 binds websockets to every address of the machine.
                lines.append("socket_domain ipv4")
        settings = {
            "certfile": self.certificate,
            "keyfile": self.key,
            "cafile": self.cafile,
            "require_certificate": "true" if self.require_certificate else "",
            "tls_version": self.tls_version,
            "ciphers": self.ciphers,
        }
        lines += [f"{name} {value}" for name, value in settings.items() if value]
        return [*lines, *self.options]


class Mosquitto(ServerProcess):
    """One mosquitto process with its configuration in a directory of its own.

    directory: holds the configuration, the log and, with `persistence`, the database.
    ports: one per plain listener; 0 takes a free one.
    users: names and passwords; anonymous clients are then refused.
    acl: lines of an ACL file.
    options: further lines of the configuration.
    listeners: further listeners by name; the attribute has them with their ports and paths.
        One of "websockets" needs one of another kind, or mosquitto 2.0 does not start.
    """

    def __init__(
        self,
        directory: Path,
        ports: tuple[int, ...] = (0,),
        *,
        users: Mapping[str, str] | None = None,
        acl: tuple[str, ...] = (),
        persistence: bool = False,
        options: tuple[str, ...] = (),
        listeners: Mapping[str, Listener] | None = None,
    ) -> None:
        super().__init__(directory)
        self.ports = tuple(port or free_port() for port in ports)
        self.listeners = {
            name: listener.placed(directory / f"{name}.sock")
            for name, listener in (listeners or {}).items()
        }
        # What is set after a listener can belong to it, so what holds for all comes first.
        lines = [f"allow_anonymous {'false' if users else 'true'}"]
        if users:
            lines.append(f"password_file {self._password_file(users)}")
        if acl:
            acl_file = directory / "acl"
            acl_file.write_text("\n".join(acl) + "\n")
            acl_file.chmod(0o600)
            lines.append(f"acl_file {acl_file}")
        if persistence:
            lines += ["persistence true", f"persistence_location {directory}{os.sep}"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            # Started by root it would change to a user who cannot read this directory.
            lines.append("user root")
        lines += ["log_type all", "set_tcp_nodelay true"]
        lines += [f"listener {port} {HOST}" for port in self.ports]
        lines += options
        for listener in self.listeners.values():
            lines += listener.lines()
        self._config = directory / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def port(self) -> int:
        """The port of the first plain listener."""
        return self.ports[0]

    def _command(self) -> list[str]:
        return [find_program("mosquitto"), "-c", str(self._config)]

    def _accepts(self) -> bool:
        # Its ports accept before it has read the certificates, and it may end for those.
        if not re.search(r"mosquitto version \S+ running", self.log_since_start):
            return False
        plain: list[tuple[str, int] | Path] = [(HOST, port) for port in self.ports]
        further = [listener.address for listener in self.listeners.values()]
        return all(accepts(address) for address in plain + further)

    def _password_file(self, users: Mapping[str, str]) -> Path:
        passwords = self.directory / "passwords"
        passwords.write_text("".join(f"{name}:{secret}\n" for name, secret in users.items()))
        passwords.chmod(0o600)
        subprocess.run(
            [find_program("mosquitto_passwd"), "-U", str(passwords)],
            check=True,
            capture_output=True,
        )
        return passwords
