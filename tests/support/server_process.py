"""A server program that a test starts and stops by its pid."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from .server import HOST
from .wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

MISSING = (
    "{name} is missing, and these tests run against a real one. Install it (Debian, Ubuntu: "
    "apt install {package}; macOS: brew install {formula}) or run ./scripts/test, which does."
)


def find_program(name: str, package: str = "mosquitto", formula: str = "") -> str:
    """Return the path of a program of a package; the test run ends where there is none."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    program = shutil.which(name, path=path)
    if program is None:
        message = MISSING.format(name=name, package=package, formula=formula or package)
        raise pytest.UsageError(message)
    return program


class ServerProcess:
    """One process with a directory of its own for its log. A context manager.

    Subclasses say which command starts it, how to see that it accepts, and its environment.
    """

    #: How long it may take to accept, in seconds.
    start_timeout = 30.0

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = HOST
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        directory.mkdir(parents=True, exist_ok=True)

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _accepts(self) -> bool:
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        """Return its environment, or None for that of the tests."""
        return None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, f"{self} has not been started"
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.directory / "log").read_text(errors="replace")

    @property
    def log_since_start(self) -> str:
        """What it has logged since it was last started."""
        content = (self.directory / "log").read_bytes()
        return content[self._log_start :].decode(errors="replace")

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
        """Start it and wait until it accepts; where it does not, it is ended."""
        with (self.directory / "log").open("ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
            )
        try:
            wait_until(self._ready, self.start_timeout, f"{type(self).__name__} to accept")
        except BaseException:
            self.kill()
            raise

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

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            name, status = type(self).__name__, self._process.returncode
            msg = f"{name} ended with status {status}:\n{self.log}"
            raise AssertionError(msg)
        return self._accepts()


def accepts(address: tuple[str, int] | Path) -> bool:
    """Whether somebody accepts connections at a host and port, or on a unix socket."""
    try:
        if isinstance(address, tuple):
            socket.create_connection(address, timeout=1).close()
        else:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(1)
                probe.connect(str(address))
    except OSError:
        return False
    return True
