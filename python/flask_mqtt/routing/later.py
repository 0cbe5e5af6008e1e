"""What a route does besides calling its handler at once: batches, retries, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..guards import goes_on, text_of
from ..handlers.coroutines import finished
from ..handlers.naming import name_of
from .batches import Collector
from .retries import Retries

if TYPE_CHECKING:
    from .._core import MQTTMessage
    from ..dispatch.dispatcher import Dispatcher
    from .counts import Counts
    from .dead_letters import DeadLetters
    from .invoke import Invoke
    from .overdue import Overdue
    from .route import Route


class Means(NamedTuple):
    """What a router has for all of its routes."""

    #: What calls handlers; None where something else stands in for the client.
    dispatcher: Dispatcher | None
    counts: Counts
    dead_letters: DeadLetters
    overdue: Overdue


class Later:
    """The state of one route whose messages are handled. Without such options it has none."""

    def __init__(self, route: Route, means: Means) -> None:
        """Make what the options of a route want.

        Args:
            route: The route.
            means: See there.
        """
        self._route = route
        self._means = means
        self._name = name_of(route.handler)
        self._collector: Collector | None = None
        self._retries: Retries | None = None
        options, dispatcher = route.options, means.dispatcher
        if dispatcher is None:
            return
        if options.batching is not None:
            self._collector = Collector(
                self._call_for_batch,
                route.handler,
                options.batching,
                options.retry,
                dispatcher,
                means.counts,
                self._give_up,
            )
        elif options.retry is not None:
            self._retries = Retries(
                route.handler, options.retry, dispatcher, means.counts, self._give_up
            )

    def inside(self, invoke: Invoke) -> Invoke:
        """Return what is in the place of the call of a route's handler.

        Args:
            invoke: The call.
        """
        if self._route.options.batching is not None:
            return self._add
        timeout = self._route.options.timeout
        return invoke if timeout is None else self._watched(invoke, timeout)

    def around(self, invoke: Invoke) -> Invoke:
        """Return what deals with the failures of all other stages.

        Args:
            invoke: These.
        """
        if self._retries is not None:
            return self._retries.around(invoke)
        if self._route.options.dead_letter is not None and self._collector is None:
            return self._given_up_at_once(invoke)
        return invoke

    def end(self) -> None:
        """Forget what is kept: the route is removed."""
        for keeper in (self._collector, self._retries):
            if keeper is not None:
                keeper.end()

    def _add(self, client: Any, message: MQTTMessage, values: dict[str, Any]) -> None:
        payload = self._route.payload
        item = message if payload is None else values[payload.name]
        if self._collector is None:
            self._call_for_batch(client, [item], message.topic)
        else:
            self._collector.add(message, item)

    def _call_for_batch(self, client: Any, items: list[Any], topic: str) -> None:
        timeout = self._route.options.timeout
        if timeout is None:
            finished(self._route.handler(client, items))
            return
        with self._means.overdue.watch(self._name, topic, timeout):
            finished(self._route.handler(client, items))

    def _watched(self, invoke: Invoke, timeout: float) -> Invoke:
        overdue, name = self._means.overdue, self._name

        def watched(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
            with overdue.watch(name, message.topic, timeout):
                return invoke(client, message, values)

        return watched

    def _given_up_at_once(self, invoke: Invoke) -> Invoke:
        def attempt(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
            try:
                return invoke(client, message, values)
            except BaseException as error:
                if not goes_on(error):
                    self._give_up(message, error)
                raise

        return attempt

    def _give_up(self, message: MQTTMessage, error: BaseException) -> None:
        options, dispatcher = self._route.options, self._means.dispatcher
        if options.dead_letter is not None:
            core = None if dispatcher is None else dispatcher.core
            reason = f"{type(error).__name__}: {text_of(error)}"
            self._means.dead_letters.send(
                core, message, options.dead_letter, reason, no_prefix=options.no_prefix
            )
