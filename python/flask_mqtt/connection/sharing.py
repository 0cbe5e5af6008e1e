"""Shared subscriptions in the place of plain ones: each message goes to one client of a group."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from .._core import reason_name, validate_filter
from ..paho.constants import MQTTv5
from ..records import fields, write

if TYPE_CHECKING:
    from .._core import Properties
    from ..core_holder import CoreHolder
    from ..dispatch.events import Events
    from ..paho.subscribeoptions import Wanted
    from .settings import ConnectionSettings

logger = logging.getLogger("flask_mqtt")

#: What stays as it is: what is shared already, and what a broker answers to one client alone.
_KEPT = ("$share/", "$CONTROL/")

#: Reason codes from here on refuse something.
_REFUSED = 0x80

_NOT_SUPPORTED = 0x9E

#: Retain handling: no retained messages when a subscription is made.
_NO_RETAINED = 2


class Sharing:
    """Turns the filters of a client into those of shared subscriptions, where that is wanted.

    What the application has are plain filters, and messages have plain topics anyway.
    """

    def __init__(self, holder: CoreHolder, events: Events, settings: ConnectionSettings) -> None:
        """Leave filters as they are.

        Args:
            holder: Has the core of the client.
            events: What the broker says of subscriptions.
            settings: What the connection is made with.
        """
        self._holder = holder
        self._events = events
        self._settings = settings
        #: The name of the group, or None for plain subscriptions.
        self.group: str | None = None
        #: Whether a refusal was logged, and that there is a group.
        self._has_told = self._has_said = False

    def use(self, group: str | None) -> None:
        """Share the subscriptions that follow with a group, or with None not.

        Args:
            group: Its name, without ``/``, ``+`` and ``#``.
        """
        self.group = group
        self._has_told = self._has_said = False
        if group is None:
            self._events.watch_subscriptions(None, None)
        else:
            self._events.watch_subscriptions(self._connected, self._subscribed)

    def subscriptions(self, wanted: list[Wanted]) -> list[Wanted]:
        """Return what a SUBSCRIBE asks for.

        Args:
            wanted: What the application asks for.

        Raises:
            ValueError: A filter is not allowed, or is to be shared and has "no local".
        """
        if self.group is None:
            return wanted
        return [self._subscription(*one) for one in wanted]

    def _subscription(
        self, name: str, qos: int, no_local: bool, as_published: bool, handling: int
    ) -> Wanted:
        shared = self.filter(name)
        if shared == name:
            return name, qos, no_local, as_published, handling
        if no_local:
            key = self._settings.config.key("worker_mode")
            raise ValueError(
                f"noLocal for {name!r}: {key} = 'shared' makes it a shared subscription, where "
                "noLocal is not allowed (MQTT 5.0, section 3.8.3.1); leave it out"
            )
        if self._settings.config.protocol_version == MQTTv5:
            # As MQTT 5 has it anyway (4.8.2); some brokers send retained messages nonetheless.
            handling = _NO_RETAINED
        return shared, qos, no_local, as_published, handling

    def filter(self, name: str) -> str:
        """Return a filter as the broker gets it.

        Args:
            name: As the application has it.

        Raises:
            ValueError: It is not allowed.
        """
        if self.group is None or name.startswith(_KEPT):
            return name
        validate_filter(name)
        return f"$share/{self.group}/{name}"

    def _connected(self, properties: Properties | None) -> None:
        if getattr(properties, "SharedSubscriptionAvailable", 1) == 0:
            self._tell("according to its CONNACK", [], _NOT_SUPPORTED)
        elif not self._has_said:
            self._has_said = True
            extra = fields(self._holder.core, "shared", group=self.group)
            # Many brokers without them accept such subscriptions, and send nothing.
            text = (
                "Sharing messages as group %r: a broker without shared subscriptions sends none of "
                "them"
            )
            write(logger.info, text, self.group, extra=extra)

    def _subscribed(self, granted: tuple[int, ...]) -> None:
        code = max(granted, default=0)
        if code < _REFUSED:
            return
        refused = self._holder.core.health()["refused"][1]
        self._tell(f"SUBACK with {reason_name(code)!r}, code {code}", refused, code)

    def _tell(self, how: str, filters: list[str], code: int) -> None:
        if self._has_told:
            return
        self._has_told = True
        key = self._settings.config.key("worker_mode")
        what = ", ".join(map(repr, filters)) or "shared subscriptions"
        text = (
            "The broker refuses %s (%s), so no worker gets these messages. %s = 'shared' needs a "
            "broker with shared subscriptions, and permission to subscribe; without them, set it "
            'to "leader"'
        )
        extra = fields(self._holder.core, "shared_refused", rc=code, topic=", ".join(filters))
        write(logger.error, text, what, how, key, extra=extra)
