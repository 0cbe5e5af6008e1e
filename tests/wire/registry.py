"""The scripts by name, with what each client has to do."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from support.packets import MQTT311

from .steps import CLOSED, Client

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.packets import Version
    from support.tls_server import TlsServer

    from .run import Run
    from .steps import Step

    Drive = Callable[[Run], object]
    Front = Callable[[Path, int], TlsServer]

MODULES = (
    "connecting",
    "closing",
    "publishing",
    "receiving",
    "subscribing",
    "refusing",
    "keeping_alive",
    "losing",
    "windows",
    "tls",
)


@dataclass(frozen=True)
class Side:
    """What one client has to do: the steps of all connections, and what its handlers see."""

    steps: tuple[Step, ...]
    sees: tuple[str, ...] = ()

    @property
    def ends_with_disconnect(self) -> bool:
        """Whether the last is that the client sends DISCONNECT and closes."""
        if len(self.steps) < 2 or self.steps[-1] != CLOSED:
            return False
        last = self.steps[-2]
        return isinstance(last, Client) and last.data[:1] == b"\xe0"


@dataclass(frozen=True)
class Case:
    """A script.

    drive: what the application does. A DISCONNECT at the end needs no line there.
    why: paho does otherwise, because of that; empty where both do the same.
    front: TLS between client and broker, made with a directory of certificates and a port.
    """

    name: str
    version: Version
    drive: Drive
    ours: Side
    paho: Side
    why: str
    front: Front | None


_CASES: dict[str, Case] = {}


def case(
    name: str,
    drive: Drive,
    steps: tuple[Step, ...],
    sees: tuple[str, ...] = (),
    *,
    version: Version = MQTT311,
    paho: tuple[Step, ...] | None = None,
    paho_sees: tuple[str, ...] | None = None,
    why: str = "",
    front: Front | None = None,
) -> None:
    """Add a script. Where paho does otherwise, its side is given too, and the reason."""
    name = f"{name}, MQTT {version.name}"
    ours = Side(steps, sees)
    theirs = Side(steps if paho is None else paho, sees if paho_sees is None else paho_sees)
    assert name not in _CASES, f"two scripts are called {name}"
    assert bool(why) == (ours != theirs), f"{name}: a difference needs a reason, no other does"
    _CASES[name] = Case(name, version, drive, ours, theirs, why, front)


def all_cases() -> dict[str, Case]:
    """Import all modules and return the scripts by name."""
    for module in MODULES:
        importlib.import_module(f".cases.{module}", __package__)
    return dict(_CASES)
