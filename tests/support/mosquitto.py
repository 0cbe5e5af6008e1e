"""A real mosquitto, started for a test and stopped by its pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

HOST = "127.0.0.1"
INSTALL = (
    "mosquitto is missing, and these tests run against a real one. Install it (Debian, Ubuntu: "
    "apt install mosquitto; macOS: brew install mosquitto) or run ./scripts/test, which does."
)


def find_program(name: str) -> str:
    """Return the path of a program of mosquitto; the test run ends where there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which(name, path=path)
    if program is None:
        raise pytest.UsageError(INSTALL)
    return program


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """One mosquitto process with its configuration in a directory of its own.

    directory: holds the configuration, the log and, with `persistence`, the database.
    ports: one per listener; 0 takes a free one.
    users: names and passwords; anonymous clients are then refused.
    acl: lines of an ACL file.
    options: further lines of the configuration.
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
    ) -> None:
        self.directory = directory
        self.ports = tuple(port or free_port() for port in ports)
        self.host = HOST
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        lines = [f"listener {port} {HOST}" for port in self.ports]
        lines += [f"allow_anonymous {'false' if users else 'true'}"]
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
        lines += ["log_type all", "set_tcp_nodelay true", *options]
        self._config = directory / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")

    @property
    def port(self) -> int:
        """The port of the first listener."""
        return self.ports[0]

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "mosquitto has not been started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.directory / "log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until every listener accepts."""
        program = find_program("mosquitto")
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self._config)], stdout=log, stderr=log
            )
        for port in self.ports:
            wait_until(partial(self._accepts, port), 10, f"mosquitto on port {port}")

    def stop(self) -> None:
        """Stop it and wait for its end."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """Stop it and start it again on the same ports."""
        self.stop()
        self.start()

    def _accepts(self, port: int) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            msg = f"mosquitto ended with status {self._process.returncode}:\n{self.log}"
            raise AssertionError(msg)
        try:
            with socket.create_connection((HOST, port), timeout=1):
                return True
        except OSError:
            return False

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
