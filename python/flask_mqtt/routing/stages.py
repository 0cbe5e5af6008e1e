"""What is done with a route's message, in stages around the call of its handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..handlers.naming import name_of
from ..records import write

if TYPE_CHECKING:
    from .._core import MQTTMessage
    from .counts import Counts
    from .route import Route

logger = logging.getLogger("flask_mqtt")

#: A stage is called with the client, the message, and the values by their names. One that is around
#: another one is made by a function ``with_x(invoke, …) -> Invoke`` in its own module.
Invoke = Callable[[Any, "MQTTMessage", "dict[str, Any]"], Any]


def compose(route: Route, counts: Counts) -> Callable[[Any, Any, MQTTMessage], Any]:
    """Return the handler of messages that a route is for the client.

    Args:
        route: The route. What it has no option for is not there, and takes no time.
        counts: What becomes of its messages.
    """
    return matched(calling(route), route, counts)


def calling(route: Route) -> Invoke:
    """Return the innermost stage: the call of the handler."""
    handler = route.handler

    def invoke(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        return handler(client, message, **values)

    return invoke


def matched(invoke: Invoke, route: Route, counts: Counts) -> Callable[[Any, Any, MQTTMessage], Any]:
    """Return the outermost stage, which finds the values in the topic."""
    match = route.pattern.match

    def handle(client: Any, _userdata: Any, message: MQTTMessage) -> Any:
        values = match(message.topic)
        if values is None:
            counts.add("not_converted")
            write(logger.debug, "%r is no topic of the route %r", message.topic, route.pattern.rule)
            return None
        return invoke(client, message, values)

    # What records and observers call it by.
    handle.__module__, handle.__qualname__ = "", name_of(route.handler)
    return handle
