"""Log records: the fields that programs read, and writing them in threads of the package's."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from .discretion import forget
from .guards import Troubles, goes_on, show

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Client as CoreClient

logger = logging.getLogger("flask_mqtt")


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


def write(log: Callable[..., Any], text: str, *arguments: Any, **options: Any) -> None:
    """Write a record, whatever loggers, filters and handlers of the application's do.

    A filter may need a request, for example, or the logger be of another kind. What it raises goes
    to stderr, with the exception that was to be logged. A log handler may publish or subscribe,
    which may lead to another record; one that this leads to in turn is not written.

    Args:
        log: The method of a logger.
        text: The text.
        arguments: For the placeholders in the text.
        options: As those of the method.

    Raises:
        BaseException: In a thread of the application's, what is meant to end that, as Ctrl-C is.
    """
    told = sys.exc_info()[1]
    thread = threading.get_ident()
    depth = _writing.get(thread, 0)
    if depth == _MOST_NESTED:
        return
    try:
        _writing[thread] = depth + 1
        log(text, *arguments, **options)
    except BaseException as error:
        if goes_on(error):
            raise
        # What was to be told need not be shown with this one: it may be raised `from None`.
        show(error, told)
    finally:
        # No call comes before it is done, in which Ctrl-C could be raised.
        if depth:
            _writing[thread] = depth
        else:
            # A log handler may have forked.
            _writing.pop(thread, None)


def trouble(core: CoreClient | None, error: BaseException) -> None:
    """Write that a thread of the package's goes on after a failure that no handler has raised."""
    untold = _troubles.count(error)
    if untold is None:
        return
    # What shows tracebacks with local variables has no secrets to show.
    forget(error)
    more = f", as {untold} times before" if untold else ""
    write(
        logger.error,
        "An MQTT thread continues after a failure outside of handlers%s",
        more,
        exc_info=error,
        extra=fields(core, "thread_goes_on", count=untold + 1),
    )


_troubles = Troubles()

#: How deep records of a thread may lead to others. Python has no end to that before 3.14.
_MOST_NESTED = 2

#: How many records each thread is writing, by its identifier, where it is writing any.
_writing: dict[int, int] = {}

# The threads of the parent are not in a forked child, and others may have their identifiers.
os.register_at_fork(after_in_child=_writing.clear)
