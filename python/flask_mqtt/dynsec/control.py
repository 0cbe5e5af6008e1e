"""Sends requests to the plugin, listens to its responses, and waits for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..client.base import Parts, parts_of
from ..extension import Mqtt
from ..handlers.scope import is_handler
from ..records import write
from .errors import DynsecError, DynsecUnavailableError
from .request import RESPONSES, Request

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from .commands import Command

logger = logging.getLogger("flask_mqtt")


class Control:
    """The requests of a client. They may come from several threads, and be many at a time."""

    def __init__(self, mqtt: Mqtt | Client) -> None:
        """Begin without requests.

        Args:
            mqtt: The extension, or a client.

        Raises:
            TypeError: It is neither.
        """
        if not isinstance(mqtt, (Mqtt, Client)):
            raise TypeError(f"mqtt: it must be a Mqtt or a Client, not {type(mqtt).__name__}")
        self._mqtt = mqtt
        #: Those that wait, by their tokens.
        self._waiting: dict[str, Request] = {}
        #: The parts of the client that has the handler of responses, and its number there.
        #: `reinitialise` gives a client other ones.
        self._heard: tuple[Parts, int] | None = None
        #: The core whose last request had a response: it subscribes again by itself. It need not be
        #: asked to each time, which would make the broker wait for the TCP acknowledgement of the
        #: SUBACK (Nagle's algorithm): 33 ms for a command instead of 0.2 ms.
        self._subscribed: CoreClient | None = None

    def run(self, commands: Sequence[Command[Any]], timeout: float) -> list[Any]:
        """Send commands, and wait for the results in a thread.

        Args:
            commands: The commands.
            timeout: Seconds to wait.

        Returns:
            For each command its result, or a `DynsecError`.

        Raises:
            DynsecUnavailableError: There was no response.
            RuntimeError: A handler of the client called it.
        """
        if not commands:
            return []
        with self._waits(commands) as request:
            try:
                responses = request.future.result(timeout)
            except concurrent.futures.TimeoutError:
                raise request.timed_out(timeout) from None
        return _results(commands, responses)

    async def run_in_loop(self, commands: Sequence[Command[Any]], timeout: float) -> list[Any]:
        """Do as `run`, in an event loop."""
        if not commands:
            return []
        with self._waits(commands) as request:
            try:
                responses = await asyncio.wait_for(asyncio.wrap_future(request.future), timeout)
            except asyncio.TimeoutError:
                raise request.timed_out(timeout) from None
        return _results(commands, responses)

    def close(self) -> None:
        """Listen to responses no more. A further request begins to again."""
        heard, self._heard = self._heard, None
        if heard is not None:
            parts, number = heard
            parts.dispatcher.remove_route(RESPONSES, number)
            self._subscribed = None
            self._client().unsubscribe(RESPONSES)
        for request in list(self._waiting.values()):
            request.ended()

    @contextlib.contextmanager
    def _waits(self, commands: Sequence[Command[Any]]) -> Iterator[Request]:
        """Send a request, and find its responses meanwhile."""
        client = self._client()
        parts = parts_of(client)
        parts.holder.notice_fork()
        core = parts.holder.core
        titles = ", ".join(command.title for command in commands)
        if is_handler(core):
            raise RuntimeError(
                f"{titles}: a handler must not wait for a response that comes to its own client, "
                "which would have to call another handler first: do it in another thread"
            )
        if not parts.connection.is_wanted:
            first = commands[0]
            reason = "the client is not connected, and does not try to"
            raise DynsecUnavailableError(first.name, reason, first.title)
        write(logger.debug, "Dynamic security: %s", titles)
        self._listen(parts)
        request = Request(client, commands, subscribe=self._subscribed is not core)
        self._waiting[request.token] = request
        tap = parts.dispatcher.tap
        tap.add(request.observe)
        try:
            request.send()
            yield request
            self._subscribed = core
        except BaseException:
            self._subscribed = None
            raise
        finally:
            tap.remove(request.observe)
            del self._waiting[request.token]

    def _client(self) -> Client:
        client: Any = self._mqtt.client if isinstance(self._mqtt, Mqtt) else self._mqtt
        if not isinstance(client, Client):
            name = type(client).__name__
            raise TypeError(f"mqtt.client: it must be a Client of flask_mqtt, not {name}")
        ours: Client = client
        return ours

    def _listen(self, parts: Parts) -> None:
        # Of two threads that do so at once, the handler of one hears each response again, for which
        # there is no request then.
        if self._heard is None or self._heard[0] is not parts:
            self._heard = parts, parts.dispatcher.add_route_beside(RESPONSES, self._receive)

    def _receive(self, _client: Any, _userdata: Any, message: Any) -> None:
        """Take a response, of whoever's commands. The broker sends it to everybody who listens."""
        try:
            responses = json.loads(message.payload)["responses"]
            named = [
                (str(response["correlationData"]), response)
                for response in responses
                if "correlationData" in response
            ]
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            reason = type(error).__name__
            write(logger.debug, "%s has a message that is no response: %s", RESPONSES, reason)
            return
        for name, response in named:
            token, _, number = name.rpartition("-")
            request = self._waiting.get(token)
            if request is not None and number.isdecimal():
                request.answered(int(number), response)


def _results(commands: Sequence[Command[Any]], responses: list[dict[str, Any]]) -> list[Any]:
    return [_result(*pair) for pair in zip(commands, responses, strict=True)]


def _result(command: Command[Any], response: dict[str, Any]) -> Any:
    if "error" in response:
        return DynsecError(command.name, str(response["error"]), command.title)
    try:
        return command.result(response.get("data", {}))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"the response is not what was expected: {error!r:.200}"
        return DynsecError(command.name, reason, command.title)
