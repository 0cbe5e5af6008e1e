"""What an extension does when its connection begins and ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..client import Client
from ..dispatch.events import Events
from ..paho.constants import MQTT_ERR_SUCCESS
from ..publishing.refusals import Refusals
from . import driving
from .first_use import FirstUse
from .leader import Leading
from .own_handlers import OwnHandlers
from .subscribing import Subscribing


class ConnectionEvents(Subscribing, Leading):
    """Whether there is a connection, and what is called when it begins and ends."""

    app: Any
    client: Client
    _rs_first_use: FirstUse
    _rs_handlers: OwnHandlers
    _rs_refusals: Refusals
    __rs_connected = False

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the present connection. It may be assigned too."""
        parts = driving.parts(self.client)
        if parts is not None:
            parts.holder.notice_fork()
            if self._rs_first_use.publishes:
                return parts.holder.core.is_connected()
        return self.__rs_connected

    @connected.setter
    def connected(self, value: bool) -> None:
        self.__rs_connected = value

    def _handle_connect(
        self, client: Client, userdata: Any, flags: dict[str, int], rc: int
    ) -> None:
        events = self.__rs_telling("on_connect")
        if rc == MQTT_ERR_SUCCESS:
            attempt = _call if events is None else events.guarded
            # What is the application's, and fails, keeps nobody from the rest.
            attempt(setattr, self, "connected", True)
            self._rs_refusals.end(driving.core_of(self.client), "Connected")
            attempt(self._rs_subscribed.subscribe_again, self.client, events)
        if events is None:
            self._rs_handlers.call(self.app, "on_connect", client, userdata, flags, rc)
        else:
            events.call_on_connect(userdata, flags, rc)
        self._rs_leadership.connected(self.client)

    def _handle_disconnect(self, client: Client, userdata: Any, rc: int) -> None:
        events = self.__rs_telling("on_disconnect")
        attempt = _call if events is None else events.guarded
        attempt(setattr, self, "connected", False)
        attempt(self._rs_subscribed.look_through)
        if self._rs_first_use.publishes:
            # Nobody has heard of the connection.
            return
        if events is None:
            self._rs_handlers.call(self.app, "on_disconnect", client, userdata, rc)
        else:
            events.call_on_disconnect(userdata, rc)

    def __rs_telling(self, name: str) -> Events | None:
        """Return the client's `Events`, if these call the hook just now, and not the application.

        An application may call the methods too, in a test for example.
        """
        parts = driving.parts(self.client)
        return parts.events if parts is not None and parts.events.takes_event(name) else None

    def _rs_gone(self) -> None:
        """Be without a connection, of whose end nobody else hears."""
        self.connected = False


def _call(function: Callable[..., Any], *arguments: Any) -> None:
    function(*arguments)
