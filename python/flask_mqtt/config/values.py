"""The values of all keys, and what they make together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from .._core import Properties
from ..paho.constants import MQTTv5
from . import brokers, checks, cleartext, tls
from .base import Told
from .keys import CORE_NAMES, KEYS, Keys
from .options import ConnectOptions, Endpoint, TlsOptions, Will

#: What Flask-MQTT sets on a client in `init_app`, and no more when it connects again.
SET_ONCE = frozenset(name for name, entry in KEYS.items() if Told.ONCE in entry.told)

#: What a client is told by every call of `connect`.
_ARGUMENTS = frozenset(name for name, entry in KEYS.items() if Told.CONNECT in entry.told)

#: What keeps a session beyond its connection with MQTT 5.
_EXPIRY = "SessionExpiryInterval"


@dataclass
class Config(Keys):
    """The values of the ``MQTT_*`` keys, as one connection is made with."""

    #: For MQTT 5, and no key: above 0, a clean start is for the first connection with this number.
    clean_start_once: int = field(default=0, repr=False, compare=False)

    def checked(self, name: str, value: object) -> Any:
        """Return a value of a key as it is used.

        Raises:
            TypeError: It has the wrong type. The message names the key and the value.
            ValueError: It is not allowed. The message names the key, the value and what is.
        """
        if value is None and KEYS[name].none_is_default:
            return getattr(type(self), name)
        checked = KEYS[name].check(self.key(name), value)
        # A copy of what the application may change in place: a change is to be noticed.
        is_own = isinstance(checked, (dict, list, bytearray, Properties))
        return deepcopy(checked) if is_own else checked

    def updated(self, attributes: Mapping[str, Any]) -> Config:
        """Return these values with those that an application has assigned since, checked.

        Args:
            attributes: New values by their name here. Other names are ignored.

        Raises:
            TypeError: As :func:`read`.
            ValueError: As :func:`read`.
        """
        values = {name: self.checked(name, attributes[name]) for name in KEYS if name in attributes}
        return replace(self, **values)

    def for_publishing(self) -> Config:
        """Return these values without what belongs to a client that handles messages.

        That is the session, in which the broker may keep messages, and the will.
        """
        properties = deepcopy(self.connect_properties)
        if isinstance(properties, dict):
            properties.pop(_EXPIRY, None)
        elif hasattr(properties, _EXPIRY):
            delattr(properties, _EXPIRY)
        no_will = {name: getattr(Config, name) for name in KEYS if name.startswith("last_will_")}
        return replace(self, clean_session=True, connect_properties=properties, **no_will)

    @property
    def keeps_session(self) -> bool:
        """Whether the broker keeps the session when the connection has ended."""
        expiry = None
        if self.protocol_version == MQTTv5:
            properties = self.connect_properties
            is_dict = isinstance(properties, dict)
            expiry = properties.get(_EXPIRY) if is_dict else getattr(properties, _EXPIRY, None)
        # Without an expiry, a session that is not clean lasts with MQTT 5 too.
        return not self.clean_session if expiry is None else expiry > 0

    def joined(self, client: Config, before: Config, kept: Collection[str] = frozenset()) -> Config:
        """Return these values, with those that were set on the client where these are the default.

        Args:
            client: The client's values.
            before: The values that it was given: what is another now was set on the client.
            kept: Names for which what was set on the client holds, unless these are others than
                those before.

        Raises:
            TypeError: As :func:`read`.
            ValueError: As :func:`read`.
        """
        own = {
            name: getattr(client, name)
            for name in KEYS.keys() - (_ARGUMENTS - set(kept))
            if getattr(client, name) != getattr(before, name)
            and (
                not self.is_changed(KEYS[name].group or name)
                or (name in kept and getattr(self, name) == getattr(before, name))
            )
        }
        return self.updated(own)

    def further(self) -> dict[str, Any]:
        """Return the values that were set, and that Flask-MQTT has no call for."""
        return {
            name: getattr(self, name)
            for name, entry in KEYS.items()
            if not entry.told and self.is_set(name)
        }

    def connect_options(self, *, make_headers: bool = True) -> ConnectOptions:
        """Return what a connection is made with.

        Args:
            make_headers: Whether a callable for the headers of websockets is called; otherwise it
                counts as none.

        Raises:
            TypeError: What the callable for the headers of websockets returns has a wrong type.
            ValueError: Two keys contradict each other, or the brokers or the TLS context cannot be
                used. The message names the keys.
        """
        endpoints = self.check()
        return ConnectOptions(
            **{name: getattr(self, name) for name in CORE_NAMES},
            brokers=endpoints,
            clean_start_once=self.clean_start_once if self.clean_session else 0,
            will=self._will(),
            tls=self._tls(endpoints),
            websocket_headers=self.websocket_headers(make=make_headers),
            key_prefix=self.key_prefix,
        )

    def check(self) -> list[Endpoint]:
        """Look at what no key says alone, and return the brokers.

        Raises:
            ValueError: As :meth:`connect_options`.
        """
        endpoints = self.endpoints()
        cleartext.refuse(self, endpoints)
        self._tls(endpoints)
        self.check_delays()
        if any(endpoint.transport == "unix" for endpoint in endpoints):
            for name in ("proxy", "bind_address"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{self.key(name)} is set and {self.key('broker_url')} has a unix socket, "
                        f"which has neither proxy nor address: leave {self.key(name)} out"
                    )
        for name in ("connect_properties", "last_will_properties"):
            if getattr(self, name) is not None and self.protocol_version != MQTTv5:
                version = self.key("protocol_version")
                raise ValueError(
                    f"{self.key(name)} is set and {version} = {self.protocol_version}: "
                    f"properties need {version} = 5 (MQTTv5)"
                )
        return endpoints

    def endpoints(self) -> list[Endpoint]:
        """Return the brokers, in the order in which they are tried.

        Raises:
            ValueError: One is malformed, or contradicts another key.
        """
        return brokers.endpoints(self)

    def tls_options(self) -> TlsOptions:
        """Return what TLS is asked for.

        Raises:
            ValueError: Two keys do not go together, or the context cannot be read.
        """
        return tls.tls_options(self)

    def check_delays(self) -> None:
        """Look at whether the delays between attempts to connect go together.

        Raises:
            ValueError: The shortest is longer than the longest.
        """
        shortest, longest = self.reconnect_delay_min, self.reconnect_delay_max
        if shortest > longest:
            raise ValueError(
                f"{self.key('reconnect_delay_min')} = {shortest} and "
                f"{self.key('reconnect_delay_max')} = {longest}: "
                "the longest delay must not be shorter than the shortest"
            )

    def _tls(self, endpoints: list[Endpoint]) -> TlsOptions:
        return self.tls_options() if brokers.any_tls(endpoints) else TlsOptions()

    def _will(self) -> Will | None:
        if self.last_will_topic is None:
            return None
        return Will(
            topic=self.last_will_topic,
            payload=checks.payload_bytes(self.last_will_message),
            qos=self.last_will_qos,
            retain=self.last_will_retain,
            properties=self.last_will_properties,
        )

    def websocket_headers(self, *, make: bool = True) -> list[tuple[str, str]]:
        """Return the headers for websockets beside those that the handshake sets itself.

        Args:
            make: Whether a callable for them is called; otherwise it counts as none.

        Raises:
            TypeError: What the callable for them returns has a wrong type.
            ValueError: What it returns is no header.
        """
        first = next((item for item in self.endpoints() if item.transport == "websockets"), None)
        if first is None or self.ws_headers is None:
            return []
        if not callable(self.ws_headers):
            return list(self.ws_headers.items())
        if not make:
            return []
        usual = brokers.usual_headers(first)
        key = self.key("ws_headers")
        headers = self.ws_headers(dict(usual))
        if not isinstance(headers, dict):
            kind = type(headers).__name__
            raise TypeError(f"{key} is a callable that returned a {kind}: it must return a dict")
        changed = {name: value for name, value in headers.items() if usual.get(name) != value}
        checks.websocket_headers(key, changed)
        return list(changed.items())
