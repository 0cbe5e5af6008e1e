"""What many scripts begin or end with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wire.steps import CLOSED, Broker, Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.codec import Properties
    from support.packets import Version
    from wire.run import Run
    from wire.steps import Step

#: For MQTT 5: a session that outlives its connection.
STAYS: Properties = {"SessionExpiryInterval": 100}


def login(
    version: Version, *, clean: bool = True, present: bool = False, keepalive: int = 60
) -> tuple[Step, ...]:
    """CONNECT of the client `c`, and CONNACK."""
    properties = STAYS if version.level == 5 and not clean else None
    return (
        Client(version.connect(clean=clean, keepalive=keepalive, properties=properties)),
        Broker(version.connack(present=present)),
    )


def starting(*arguments: Any, **options: Any) -> Callable[[Run], object]:
    """Make a script that connects with the arguments of `Run.start`, and does nothing else."""
    return lambda run: run.start(*arguments, **options)


def disconnects(version: Version) -> tuple[Step, ...]:
    """DISCONNECT, and the end of the connection."""
    return (Client(version.disconnect()), CLOSED)
