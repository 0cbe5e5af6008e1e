"""The fields of log records that programs read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import Client as CoreClient


def fields(core: CoreClient | None, event: str, **values: Any) -> dict[str, Any]:
    """Return what goes into a record's ``extra``; the prefix keeps it apart from the record's own.

    Args:
        core: Whose broker and client identifier are meant, where the values do not say so; None
            where a test has something else in the place of a client.
        event: What happened, as in ``connection_lost``.
        values: By their names without ``mqtt_``.
    """
    broker, client_id = (None, "") if core is None else core.identity()
    values = {"event": event, "broker": broker, "client_id": client_id, **values}
    return {f"mqtt_{name}": value for name, value in values.items()}
