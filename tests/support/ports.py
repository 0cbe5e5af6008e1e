"""Ports of this machine, of which it is known what happens there."""

from __future__ import annotations

import contextlib
import socket
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from .server import HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bound and not listening: nobody else is given these ports.
_reserved: deque[socket.socket] = deque()

#: So many ports are reserved at once, the newest ones.
MOST = 200


def free_port(host: str = HOST) -> int:
    """Return a port of the address that nobody uses or is given, for a program to listen on.

    It stays reserved by a socket that is bound to it. The program can bind it all the same, since
    both allow that (SO_REUSEADDR, as servers do) and only one of them listens.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reserving = socket.socket(family)
    reserving.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        reserving.bind((host, 0))
    except OSError:
        reserving.close()
        raise
    if len(_reserved) == MOST:
        _reserved.popleft().close()
    _reserved.append(reserving)
    port: int = reserving.getsockname()[1]
    return port


def closed_port() -> int:
    """Return a port of localhost where nobody listens: a connection is refused."""
    return free_port()


def has_ipv6() -> bool:
    """Whether this machine has ::1."""
    try:
        free_port("::1")
    except OSError:
        return False
    return True


@contextlib.contextmanager
def unanswered_port() -> Iterator[int]:
    """Give a port of localhost where a connection attempt gets no answer: its backlog is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind((HOST, 0))
        listener.listen(0)
        port: int = listener.getsockname()[1]
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        yield port


def unanswered(port: int) -> int:
    """Return how many attempts to connect to a port of localhost wait for an answer."""
    # Addresses are hexadecimal, and the state 02 is SYN_SENT.
    return Path("/proc/net/tcp").read_text().count(f":{port:04X} 02 ")


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """Give a port that takes connections and never says anything."""
    with socket.create_server((HOST, 0)) as listener:
        yield listener.getsockname()[1]
