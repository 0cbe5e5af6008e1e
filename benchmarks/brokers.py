"""Starts what a client connects to, on the loopback, and ends it again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from suites.case import Broker

#: Seconds that a program has to listen or to end.
PATIENCE = 10

MOSQUITTO = """
listener {port} 127.0.0.1
allow_anonymous true
persistence false
log_dest none
max_inflight_messages 1000
set_tcp_nodelay true
"""
TLS = """
certfile {folder}/certificate.pem
keyfile {folder}/key.pem
"""
WEBSOCKETS = "protocol websockets\n"


@dataclass(frozen=True)
class Place:
    """Where a broker listens, and the file with its certificate if it has one."""

    port: int
    certificate: str = ""


@contextlib.contextmanager
def running(broker: Broker) -> Iterator[Place]:
    """Run a broker, and what feeds it."""
    with contextlib.ExitStack() as stack:
        if broker.kind == "none":
            yield Place(0)
        elif broker.kind == "costless":
            yield Place(stack.enter_context(program("serve", *broker.options)))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            place, plain = stack.enter_context(mosquitto(broker.transport, folder))
            if broker.options:
                stack.enter_context(program("feed", "--port", str(plain), *broker.options))
            yield place


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[int]:
    """Run the costless broker's program; give the port that it prints."""
    command = [str(places.PROGRAM), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


@contextlib.contextmanager
def mosquitto(transport: str, folder: Path) -> Iterator[tuple[Place, int]]:
    """Run mosquitto; give where it listens for clients, and its port without TLS and websockets."""
    port, plain = free_ports()
    text = MOSQUITTO.format(port=port)
    certificate = ""
    if transport == "tls":
        certificate = make_certificate(folder)
        text += TLS.format(folder=folder)
    elif transport == "websockets":
        text += WEBSOCKETS
    if transport == "tcp":
        plain = port
    else:
        text += f"listener {plain} 127.0.0.1\n"
    configuration = folder / "mosquitto.conf"
    configuration.write_text(text)
    with subprocess.Popen(["mosquitto", "-c", str(configuration)]) as process:
        try:
            for each in {port, plain}:
                wait_for(each, process)
            yield Place(port, certificate), plain
        finally:
            process.terminate()


def free_ports() -> tuple[int, int]:
    """Find two ports on which nobody listens."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return int(one.getsockname()[1]), int(two.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a program listens."""
    end = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"mosquitto does not listen on port {port}")
        time.sleep(0.01)


def make_certificate(folder: Path) -> str:
    """Make a certificate for localhost and its key; return the certificate's file."""
    certificate = folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(certificate)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    (folder / "key.pem").chmod(0o644)
    folder.chmod(0o755)
    return str(certificate)
