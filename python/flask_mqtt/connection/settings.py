"""What the next connection of a client is made with."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..config import SET_ONCE, Config, brokers
from ..paho.constants import MQTT_CLEAN_START_FIRST_ONLY, MQTTv5
from ..records import write

if TYPE_CHECKING:
    from ..config.options import Endpoint
    from ..core_holder import CoreHolder
    from ..handlers.registry import HandlerRegistry

logger = logging.getLogger("flask_mqtt")

#: Of the calls of `connect`; a Clean Start holds for one of them.
_numbers = itertools.count(1)


class ConnectionSettings:
    """The values, by the names of the configuration keys, and what connections were made with."""

    def __init__(self, holder: CoreHolder, registry: HandlerRegistry) -> None:
        """Start with the defaults.

        Args:
            holder: Has the core of the client.
            registry: Has its handlers: `on_pre_connect` may change settings.
        """
        self._holder = holder
        self._registry = registry
        self.config = self._adopted = Config()
        #: Whether the connection has other settings than the client.
        self._changed = False
        #: What the last attempt was made with.
        self.used: Config | None = None

    def change(self, **values: Any) -> None:
        """Change settings, by the names of the keys in lower case and without their prefix.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._holder.notice_fork()
        self.config = self.config.updated(values)
        self._changed = True
        core = self._holder.core
        if not core.is_running():
            # The bounds also hold for messages that are published before the first connection.
            core.limit(self.config)
        self.announce()

    def change_delays(self, shortest: float, longest: float) -> None:
        """Change the delays of automatic attempts, in seconds, both or none of them.

        Raises:
            TypeError: A value is no number.
            ValueError: A value is not allowed, or the longest delay is less than the shortest.
        """
        values = {"reconnect_delay_min": shortest, "reconnect_delay_max": longest}
        self.config.updated(values).check_delays()
        self.change(**values)

    def announce(self) -> None:
        """Tell the core whether the next attempt may be made with other settings."""
        # Another thread may change something in between: a request too many does no harm.
        if not self._may_differ():
            self._holder.core.ask(False)
        if self._may_differ():
            self._holder.core.ask(True)

    def _may_differ(self) -> bool:
        hook = self._registry.current("on_pre_connect") is not None
        return hook or self._changed or callable(self.config.ws_headers)

    def take(self) -> Config:
        """Return the settings for an attempt, which has all that were changed."""
        self._changed = False
        return self.config

    def give_back(self) -> None:
        """Have them taken once more: the attempt was not made."""
        self._changed = True
        self.announce()

    def adopt(self, values: Config, *, again: bool = False) -> Config:
        """Take over the extension's values, which override what was set on the client.

        Args:
            values: The values.
            again: Whether they were taken over before, so that what was set here since holds, if
                Flask-MQTT sets it once only.

        Returns:
            All settings: where the extension says nothing, what was set here is among them.
        """
        kept = SET_ONCE if again else ()
        settings = values.joined(self.config, self._adopted, kept)
        self.config, self._adopted = settings, values
        return settings

    def use(self, settings: Config) -> None:
        """Remember what the last attempt to connect was made with."""
        self.used = settings

    def are_used_with(self, values: Config) -> bool:
        """Whether the last attempt was made with what these values of the extension make."""
        return values.joined(self.config, self._adopted) == self.used

    @property
    def first_broker(self) -> Endpoint:
        """The broker that is tried first."""
        return self.config.endpoints()[0]

    def need_5(self, what: str) -> None:
        """Raise ValueError where the version is not MQTT 5.

        Args:
            what: What was given that needs it.
        """
        version = self.config.protocol_version
        if version != MQTTv5:
            bare = self.config.key_prefix is None
            key = "protocol" if bare else self.config.key("protocol_version")
            raise ValueError(
                f"{what}: this needs MQTT 5, and {key} is {version}; set it to 5 (MQTTv5)"
            )

    def check_properties(self, properties: Any) -> None:
        """Raise ValueError for properties with an MQTT version before 5."""
        if properties is not None:
            self.need_5("properties")

    def aim(
        self,
        host: str,
        port: int,
        keepalive: int,
        bind_address: str,
        bind_port: int,
        clean_start: bool | int,
        properties: Any,
    ) -> None:
        """Take the arguments of `connect`.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self.check_properties(properties)
        if bind_port:
            raise ValueError(f"bind_port {bind_port}: it must be 0, the system chooses the port")
        values = {
            "broker_url": host,
            "broker_port": port,
            "keepalive": keepalive,
            "bind_address": bind_address or None,
            "connect_properties": properties,
        }
        once = clean_start == MQTT_CLEAN_START_FIRST_ONLY
        if not once:
            self.need_5("clean_start")
            values["clean_session"] = clean_start
        self.change(**values)
        if self.config.key_prefix is None:
            for line in brokers.overridden(self.config):
                write(logger.warning, "%s", line)
        self.config = replace(self.config, clean_start_once=next(_numbers) if once else 0)
