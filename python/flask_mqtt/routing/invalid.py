"""What becomes of messages whose payload is not what their route takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..guards import goes_on
from ..handlers.coroutines import finished
from ..handlers.naming import name_of
from .lines import Lines
from .retries import log_failure
from .sending import core_of

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from ..payloads import InvalidPayload
    from .counts import Counts
    from .dead_letters import DeadLetters
    from .route import Route

#: Bytes of a payload that the log shows.
_SHOWN = 100


class InvalidMessages:
    """Counts them, sends them on as dead letters, and tells the application, or else the log."""

    def __init__(self, counts: Counts, dead_letters: DeadLetters) -> None:
        """Prepare.

        Args:
            counts: Where they are counted.
            dead_letters: What publishes them if the route says so.
        """
        self._counts = counts
        self._dead_letters = dead_letters
        text = "Invalid payload on %.100r for %s: %s; it is %s"
        self._lines = Lines(logging.WARNING, text, "invalid")

    def take(self, route: Route, client: Any, message: MQTTMessage, error: InvalidPayload) -> Any:
        """Do what is due. The message is acknowledged after that, as any other.

        Args:
            route: The route.
            client: The client.
            message: The message.
            error: What is wrong with it.

        Returns:
            What the handler returns.
        """
        self._counts.add("invalid")
        core = core_of(client)
        # First, since the handler may fail.
        template, no_prefix = route.options.dead_letter, route.options.no_prefix
        if template is not None:
            self._dead_letters.send(core, message, template, str(error), no_prefix=no_prefix)
        for scope in reversed(route.scopes):
            if scope.invalid is not None:
                return self._tell(scope.invalid, core, client, message, error)
        self._log(core, route, message, error)
        return None

    def _tell(
        self,
        handler: Any,
        core: CoreClient | None,
        client: Any,
        message: MQTTMessage,
        error: InvalidPayload,
    ) -> Any:
        """Call the application's handler. Its failure is none of the route's, which is over."""
        try:
            return finished(handler(client, message, error))
        except BaseException as failure:
            if goes_on(failure):
                raise
            log_failure(core, name_of(handler), message.topic, failure)
        return None

    def _log(
        self, core: CoreClient | None, route: Route, message: MQTTMessage, error: InvalidPayload
    ) -> None:
        handler = name_of(route.handler)
        values = {"topic": message.topic, "handler": handler}
        values |= {"path": error.path, "reason": error.reason}
        arguments = message.topic, handler, error, shown(message.payload)
        self._lines.write(core, "invalid_payload", *arguments, **values)


def shown(payload: Any) -> str:
    """Return the beginning of a payload, in printable characters, and how long it is."""
    if not isinstance(payload, (bytes, bytearray, str)):
        # A handler has put something else there.
        return type(payload).__name__
    if len(payload) <= _SHOWN:
        return repr(payload)
    unit = "characters" if isinstance(payload, str) else "bytes"
    return f"{payload[:_SHOWN]!r}… ({len(payload)} {unit})"
