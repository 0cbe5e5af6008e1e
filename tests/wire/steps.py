"""What happens on a connection, from the broker's side of it."""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    """The client sends exactly these bytes, one packet.

    hidden: where the bytes are random, from and to; only their number counts there.
    """

    data: bytes
    hidden: tuple[int, int] = (0, 0)


class Broker(NamedTuple):
    """The broker sends these bytes."""

    data: bytes


class Tell(NamedTuple):
    """The broker lets the script know that it came so far: `Run.told`."""

    name: str


class Wait(NamedTuple):
    """The broker waits until the script says so: `Run.tell`."""

    name: str


class Closed(NamedTuple):
    """The client has sent nothing more and closes the connection."""


class Cut(NamedTuple):
    """The broker ends the connection."""


Step = Client | Broker | Tell | Wait | Closed | Cut

CLOSED = Closed()
CUT = Cut()
