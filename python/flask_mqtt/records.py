"""Log records: the fields that programs read, and writing them in threads of the package's."""

from __future__ import annotations

import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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


def write(log: Callable[..., None], text: str, *arguments: Any, **options: Any) -> None:
    """Write a record where nobody could catch what that raises, and a thread would end.

    A filter of the application's may need a request, for example, or its logger be of another kind.
    What it raises goes to stderr, with the exception that was to be logged.

    Args:
        log: The method of a logger.
        text: The text.
        arguments: For the placeholders in the text.
        options: As those of the method.
    """
    told = sys.exc_info()[1]
    try:
        log(text, *arguments, **options)
    except Exception:  # noqa: BLE001 - the application's
        traceback.print_exc()
        # It need not be shown with the one before: that may have been raised `from None`.
        if told is not None:
            traceback.print_exception(told)
