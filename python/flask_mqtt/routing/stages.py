"""What is done with a route's message, in stages around the call of its handler."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from ..handlers.coroutines import finished
from ..handlers.naming import name_of
from ..records import write
from .counts import Counts
from .hooks import with_hooks
from .invalid import InvalidMessages
from .payloads import with_payload
from .responses import Responses, with_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import MQTTMessage
    from .invoke import Invoke
    from .later import Later
    from .route import Route

logger = logging.getLogger("flask_mqtt")


class Common(NamedTuple):
    """What the stages of all routes have in common."""

    counts: Counts
    invalid: InvalidMessages
    responses: Responses


def compose(route: Route, common: Common, later: Later) -> Invoke:
    """Return the stages of a route, but for the outermost: see `entry`.

    Args:
        route: The route. A stage that it has no option for is not there, and takes no time.
        common: What the stages need.
        later: What the route keeps.
    """
    invoke = later.inside(calling(route))
    if route.payload is not None:
        invoke = with_payload(invoke, route.payload, route, common.invalid)
    invoke = with_hooks(invoke, route.scopes, of_batch=route.options.batching is not None)
    if route.options.response:
        # What a hook or the handler of an error returns is a response too, as with requests.
        invoke = with_response(invoke, route, common.responses)
    return later.around(invoke)


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
    route: Route, common: Common
) -> tuple[Callable[[Any, Any, MQTTMessage], Any], Callable[[Invoke], None]]:
    """Return the handler of messages that a route is for the client, and what sets its stages.

    It is the outermost stage, which finds the values in the topic.

    Args:
        route: The route.
        common: What the stages need.
    """
    match = route.pattern.match
    counts = common.counts
    invoke = calling(route)
    if route.payload is not None:
        route.payload.decoder.routes += 1

    def handle(client: Any, _userdata: Any, message: MQTTMessage) -> Any:
        values = match(message.topic)
        if values is None:
            counts.add("not_converted")
            write(logger.debug, "%r does not fit the route %r", message.topic, route.pattern.rule)
            return None
        return invoke(client, message, values)

    def set_stages(stages: Invoke) -> None:
        nonlocal invoke
        invoke = stages

    # What records and observers call it by.
    handle.__module__, handle.__qualname__ = "", name_of(route.handler)
    return handle, set_stages
