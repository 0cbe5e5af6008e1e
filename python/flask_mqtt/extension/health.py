"""Whether an extension can do its work now."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from ..process.standby import Waiting
from ..waiting import wait_until_settled
from . import driving

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from ..stats import CoreHealth


@dataclasses.dataclass(frozen=True)
class Health:
    """Whether an extension can do its work; true if it can.

    Attributes:
        healthy: The same.
        reason: Why not; empty if it is healthy. It names no filters, and nothing secret.
        unanswered: The first ten filters of which the broker has not acknowledged the SUBSCRIBE, as
            they were sent: with `MQTT_PREFIX`, and in mode `"shared"` with `$share/`.
        refused: The first ten filters that it has refused, in the same form.
    """

    healthy: bool
    reason: str = ""
    unanswered: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether it is healthy."""
        return self.healthy


_WITHOUT_CONNECTION = Health(healthy=False, reason="there is no connection to a broker")
_UNUSED = Health(healthy=False, reason="this process connects with its first use")


def check_limits(max_age: float | None, timeout: float) -> None:
    """Check the arguments of `Mqtt.healthy`.

    Raises:
        TypeError: One is not a number of seconds.
        ValueError: One is negative.
    """
    for name, value in (("max_age", max_age), ("timeout", timeout)):
        if value is None and name == "max_age":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            message = f"{name} must be a number of seconds, not {value!r}"
            raise TypeError(message)
        if not value >= 0:
            message = f"{name} must be at least 0 seconds, not {value!r}"
            raise ValueError(message)


def health_of(mqtt: Any, max_age: float | None, timeout: float) -> Health:
    """Look at the health of an extension: see `Mqtt.healthy`."""
    check_limits(max_age, timeout)
    parts = driving.parts(mqtt.client)
    if parts is None:
        # What stands in for a client has nothing else to say.
        return Health(healthy=True) if mqtt.connected else _WITHOUT_CONNECTION
    parts.holder.notice_fork()
    core = parts.holder.core
    state = core.health()
    if state["silence"] is None:
        stands_in: object = core
        return _UNUSED if type(stands_in) is Waiting else _WITHOUT_CONNECTION
    if state["unanswered"][0] or state["refused"][0]:
        return _unsubscribed(state)
    if max_age is None or state["silence"] <= max_age:
        return Health(healthy=True)
    return _round_trip(core, state["silence"], timeout)


def _unsubscribed(state: CoreHealth) -> Health:
    (unanswered, first_unanswered), (refused, first_refused) = state["unanswered"], state["refused"]
    reasons = [
        f"{count} of the subscriptions {text}"
        for count, text in (
            (refused, "refused by the broker"),
            (unanswered, "not acknowledged by the broker"),
        )
        if count
    ]
    return Health(
        healthy=False,
        reason=", ".join(reasons),
        unanswered=tuple(first_unanswered),
        refused=tuple(first_refused),
    )


def _round_trip(core: CoreClient, silence: float, timeout: float) -> Health:
    answer = core.ping()
    if answer is None:
        return _WITHOUT_CONNECTION
    wait_until_settled(answer, timeout)
    if answer.is_published():
        return Health(healthy=True)
    if not answer.is_pending():
        return _WITHOUT_CONNECTION
    if core.health()["paused"]:
        return Health(
            healthy=False, reason="nothing is read from the broker: the handlers are behind"
        )
    reason = (
        f"the broker had been silent for {silence:.1f} s, and has not answered a PINGREQ within "
        f"{timeout:g} s"
    )
    return Health(healthy=False, reason=reason)


def is_alive(mqtt: Any) -> bool:
    """Whether an extension has no thread that has ended though nobody has told it to."""
    parts = driving.parts(mqtt.client)
    if parts is None:
        return True
    parts.holder.notice_fork()
    return not parts.dispatcher.has_failed
