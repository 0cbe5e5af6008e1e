"""What is done with a route's message, in stages around the call of its handler."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..handlers.coroutines import finished
from ..handlers.naming import name_of
from ..records import write
from .hooks import with_hooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage
    from .counts import Counts
    from .invoke import Invoke
    from .route import Route

logger = logging.getLogger("flask_mqtt")


def compose(route: Route) -> Invoke:
    """Return the stages of a route, but for the outermost: see `entry`.

    Args:
        route: The route. A stage that it has no option for is not there, and takes no time.
    """
    return with_hooks(calling(route), route.scopes)


def calling(route: Route) -> Invoke:
    """Return the innermost stage: the call of the handler, and of a coroutine that it returns."""
    handler = route.handler

    def invoke(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        result = handler(client, message, **values)
        return result if result is None else finished(result)

    def invoke_plain(client: Any, message: MQTTMessage, _values: dict[str, Any]) -> Any:
        return finished(handler(client, client.user_data_get(), message))

    return invoke if route.options.subscribes else invoke_plain


def entry(
    route: Route, counts: Counts
) -> tuple[Callable[[Any, Any, MQTTMessage], Any], Callable[[Invoke], None]]:
    """Return the handler of messages that a route is for the client, and what sets its stages.

    It is the outermost stage, which finds the values in the topic.

    Args:
        route: The route.
        counts: What becomes of its messages.
    """
    match = route.pattern.match
    invoke = compose(route)

    def handle(client: Any, _userdata: Any, message: MQTTMessage) -> Any:
        values = match(message.topic)
        if values is None:
            counts.add("not_converted")
            write(logger.debug, "%r is no topic of the route %r", message.topic, route.pattern.rule)
            return None
        return invoke(client, message, values)

    def set_stages(stages: Invoke) -> None:
        nonlocal invoke
        invoke = stages

    # What records and observers call it by.
    handle.__module__, handle.__qualname__ = "", name_of(route.handler)
    return handle, set_stages
