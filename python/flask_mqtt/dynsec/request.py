"""One request to the plugin, from before it is sent until its responses have come."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import TYPE_CHECKING, Any

from .._core import reason_name
from ..client.base import parts_of
from ..dispatch.tap import Connected, Disconnected, Subscribed
from ..paho.constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from .errors import DynsecError, DynsecTimeoutError, DynsecUnavailableError

if TYPE_CHECKING:
    from ..client import Client
    from ..dispatch.tap import Occurrence
    from .commands import Command

#: The plugin's topic for requests, and where it responds to all of them, whoever sent them.
REQUESTS = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{REQUESTS}/response"

#: The codes of a SUBACK from here on are refusals.
_FIRST_REFUSAL = 128


class Request:
    """Commands that are sent together. `observe` gets the events of the connection.

    The request has QoS 0, as the plugin's responses do: it is carried out once or not at all, and
    no file of ``MQTT_PERSISTENCE`` has the passwords in it.
    """

    def __init__(
        self, client: Client, commands: Sequence[Command[Any]], *, subscribe: bool
    ) -> None:
        """Make a request, which is not sent.

        Args:
            client: Sends it.
            commands: At least one.
            subscribe: Whether the client is to subscribe to responses before.
        """
        self._client = client
        self._parts = parts_of(client)
        self._commands = commands
        #: In the correlation data of its commands. No other admin can guess it.
        self.token = secrets.token_hex(8)
        #: The responses, one for each command.
        self.future: Future[list[dict[str, Any]]] = Future()
        self._responses: dict[int, dict[str, Any]] = {}
        #: Has an item while it is to be sent. Of several threads, the one that pops it sends it.
        self._unsent = [self]
        #: Whether a connection has ended since it was sent, or about then.
        self._was_lost = False
        self._subscribes = subscribe
        #: The identifier of its SUBSCRIBE, and the codes of those that the broker has refused.
        self._subscribe: int | None = None
        self._refused: dict[int, int] = {}

    # -- sending ----------------------------------------------------------------------------------

    def send(self) -> None:
        """Send it, if there is a connection and it was not sent: now, or from `observe`."""
        while self._parts.holder.core.is_connected() and not self.future.done():
            try:
                self._unsent.pop()
            except IndexError:
                return
            try:
                self._send()
            except Exception as error:  # noqa: BLE001 - they may be the application's own
                self._fail(error)

    def _send(self) -> None:
        if self._subscribes:
            # The broker takes the two in this order.
            _, self._subscribe = self._client.subscribe(RESPONSES)
            self._look_for_refusal()
        rc = self._client.publish(REQUESTS, self._payload()).rc
        if rc == MQTT_ERR_NO_CONN:
            self._unsent.append(self)
        elif rc != MQTT_ERR_SUCCESS:
            self._fail(self._unavailable(f"the request was not accepted for sending: {rc.name}"))

    def _payload(self) -> str:
        commands = [
            command.to_json(f"{self.token}-{number}")
            for number, command in enumerate(self._commands)
        ]
        return json.dumps({"commands": commands})

    # -- what happens -----------------------------------------------------------------------------

    def answered(self, number: int, response: dict[str, Any]) -> None:
        """Take the response to one of the commands.

        Args:
            number: Which one it is.
            response: The response.
        """
        if 0 <= number < len(self._commands):
            self._responses[number] = response
        if len(self._responses) == len(self._commands):
            ordered = [self._responses[index] for index in range(len(self._commands))]
            with contextlib.suppress(InvalidStateError):
                self.future.set_result(ordered)

    def observe(self, what: Occurrence) -> None:
        """Take what happens on the connection: the observer of a `Tap`."""
        if isinstance(what, Connected):
            self.send()
        elif isinstance(what, Disconnected):
            self._disconnected()
        elif isinstance(what, Subscribed) and max(what.granted, default=0) >= _FIRST_REFUSAL:
            self._refused[what.mid] = max(what.granted)
            self._look_for_refusal()

    def _disconnected(self) -> None:
        parts = self._parts
        if not parts.connection.is_wanted:
            self._fail(self._unavailable(f"the connection was ended{self._maybe_done()}"))
        elif self._unsent:
            pass  # until there is a connection
        elif all(command.reads for command in self._commands):
            self._unsent.append(self)
            self.send()
        elif parts.holder.core.is_connected():
            # There is another one already, on which it may have been sent.
            self._was_lost = True
        else:
            self._fail(self._unavailable(f"the connection was lost{self._maybe_done()}"))

    def _look_for_refusal(self) -> None:
        code = self._refused.get(self._subscribe or 0)
        if code is not None:
            reason = (
                f"the broker refused the subscription to {RESPONSES} ({reason_name(code)}, code "
                f"{code}), for which the client's user has no permission{self._maybe_done()}"
            )
            self._fail(self._unavailable(reason))

    # -- what becomes of it -----------------------------------------------------------------------

    def timed_out(self, timeout: float) -> DynsecTimeoutError:
        """Return the error for no response in time.

        Args:
            timeout: The seconds that it was waited for.
        """
        if self._unsent:
            reason = f"there was no connection to the broker within {timeout:g} s"
        elif self._was_lost:
            reason = f"no response within {timeout:g} s: the connection was lost"
            reason += self._maybe_done()
        else:
            reason = (
                f"no response within {timeout:g} s. Either the broker has no dynamic security "
                f"plugin, or the client's user may not publish to {REQUESTS} or receive from "
                f"{RESPONSES}, or handlers of this client took too long"
            )
            if not self._parts.dispatcher.working:
                reason += ", or no thread calls them: see loop_start()"
        return DynsecTimeoutError(self._commands[0].name, reason, self._commands[0].title)

    def ended(self) -> None:
        """Fail where it waits still: nobody listens to responses any more."""
        self._fail(self._unavailable(f"close() was called{self._maybe_done()}"))

    def _maybe_done(self) -> str:
        if self._unsent:
            return ""
        return " before a response came: the command may have been carried out"

    def _unavailable(self, reason: str) -> DynsecError:
        return DynsecUnavailableError(self._commands[0].name, reason, self._commands[0].title)

    def _fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)
