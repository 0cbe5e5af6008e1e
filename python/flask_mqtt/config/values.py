"""The configuration keys: read once from ``app.config``, checked, and turned into options."""

from __future__ import annotations

import logging
import re
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._core import Properties
from ..constants import MQTTv5, MQTTv31, MQTTv311
from . import brokers, checks, suggestions, tls
from .brokers import BrokerSettings
from .options import ConnectOptions, TlsOptions, Will
from .tls import TlsSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .options import Endpoint

logger = logging.getLogger("flask_mqtt")

MAX_PACKET_SIZE = 268_435_455
_MANY = 2_147_483_647

#: Numbers of packets, as paho's `PacketTypes` has them; a will is none.
_CONNECT = 1
_WILL = 99

#: Of these an empty text counts: it is a value, False as in Flask-MQTT, or an error.
_EMPTY_COUNTS = {
    "client_id", "username", "password", "last_will_message", "clean_session", "broker_url",
}  # fmt: skip

#: Booleans that Flask-MQTT does not have, and that are on without the key.
_ON = {"reconnect_on_failure", "tcp_nodelay"}

#: What is trusted, and what holds without the key.
_TRUST = {
    "tls_ca_certs": "the system's CA certificates are trusted",
    "tls_ciphers": "OpenSSL's usual ciphers are allowed",
}

#: What Flask-MQTT sets on a client in `init_app`, and no more when it connects again.
SET_ONCE = frozenset(
    {
        "client_id", "clean_session", "transport", "protocol_version", "last_will_topic",
        "last_will_message", "last_will_qos", "last_will_retain", "last_will_properties",
    }
)  # fmt: skip

#: What a client is told by every call of `connect`.
_ARGUMENTS = {
    "broker_url", "broker_port", "keepalive", "bind_address", "clean_session", "connect_properties",
}  # fmt: skip


@dataclass
class Config(BrokerSettings, TlsSettings):
    """The values of the ``MQTT_*`` keys, with their defaults."""

    client_id: str = ""
    keepalive: int = 60
    clean_session: bool = True
    connection_timeout: float = 5
    handshake_timeout: float = 30
    reconnect_delay_min: float = 1
    reconnect_delay_max: float = 120
    reconnect_on_failure: bool = True
    last_will_topic: str | None = None
    last_will_message: str | bytes | bytearray | float | None = None
    last_will_qos: int = 0
    last_will_retain: bool = False
    last_will_properties: Any = field(default=None, repr=False)
    max_packet_size: int = MAX_PACKET_SIZE
    max_inflight: int = 20
    max_queued: int = 0
    max_outgoing_bytes: int = 16_777_216
    publish_timeout: float = 10
    max_incoming_messages: int = 20_000
    max_incoming_bytes: int = 16_777_216
    incoming_overflow: str = "block"
    handler_threads: int = 1
    persistence: str | None = None
    persistence_fsync: str = "normal"
    protocol_version: int = int(MQTTv311)
    connect_properties: Any = field(default=None, repr=False)
    #: A dict, or a callable that gets the usual headers and returns what to send.
    ws_headers: Any = field(default=None, repr=False)
    proxy: str | None = field(default=None, repr=False)
    bind_address: str | None = None
    tcp_nodelay: bool = True
    #: For MQTT 5, and no key: above 0, a clean start is for the first connection with this number.
    clean_start_once: int = field(default=0, repr=False, compare=False)

    def updated(self, attributes: Mapping[str, Any]) -> Config:
        """Return these values with those that an application has assigned since, checked.

        Args:
            attributes: New values by their name here. Other names are ignored.

        Raises:
            TypeError: As :func:`read`.
            ValueError: As :func:`read`.
        """
        values = {
            name: _own(check(self.key(name), attributes[name]))
            for name, check in _CHECKS.items()
            if name in attributes
        }
        return replace(self, **values)

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
            for name in _CHECKS.keys() - (_ARGUMENTS - set(kept))
            if getattr(client, name) != getattr(before, name)
            and (
                not self.is_changed(_first(name))
                or (name in kept and getattr(self, name) == getattr(before, name))
            )
        }
        return self.updated(own)

    def further(self, others: Collection[str]) -> dict[str, Any]:
        """Return the values that were set, but for some.

        Args:
            others: The names of those.
        """
        return {
            name: getattr(self, name)
            for name in _CHECKS
            if name not in others and self.is_set(name)
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
            brokers=endpoints,
            protocol=self.protocol_version,
            client_id=self.client_id,
            clean_session=self.clean_session,
            clean_start_once=self.clean_start_once if self.clean_session else 0,
            keep_alive=self.keepalive,
            connect_timeout=self.connection_timeout,
            handshake_timeout=self.handshake_timeout,
            reconnect_delay_min=self.reconnect_delay_min,
            reconnect_delay_max=self.reconnect_delay_max,
            reconnect_on_failure=self.reconnect_on_failure,
            will=self._will(),
            properties=self.connect_properties,
            tls=self._tls(endpoints),
            websocket_headers=self.websocket_headers(make=make_headers),
            proxy=self.proxy,
            bind_address=self.bind_address,
            tcp_nodelay=self.tcp_nodelay,
            key_prefix=self.prefix,
            max_packet_size=self.max_packet_size,
            max_inflight=self.max_inflight,
            max_queued=self.max_queued,
            max_outgoing_bytes=self.max_outgoing_bytes,
            max_incoming_messages=self.max_incoming_messages,
            max_incoming_bytes=self.max_incoming_bytes,
            incoming_overflow=self.incoming_overflow,
            persistence=self.persistence,
            persistence_fsync=self.persistence_fsync,
        )

    def check(self) -> list[Endpoint]:
        """Look at what no key says alone, and return the brokers.

        Raises:
            ValueError: As :meth:`connect_options`.
        """
        endpoints = self.endpoints()
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
        return self.tls_options() if _any_tls(endpoints) else TlsOptions()

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

    def log_remarks(self) -> None:
        """Say in the log what the configuration has that comes to nothing."""
        endpoints = self.endpoints()
        for line in self.overridden():
            logger.warning("%s", line)
        if self.persistence is None:
            self._without(self.key("persistence"), "persistence_fsync")
        if self.last_will_topic is None:
            will = self.key("last_will_topic")
            self._without(will, "last_will_message", "last_will_properties")
        if all(endpoint.username is None for endpoint in endpoints):
            self._without(self.key("username"), "password")
        if all(endpoint.transport != "websockets" for endpoint in endpoints):
            self._without(f"{self.key('transport')} = 'websockets'", "ws_path", "ws_headers")
        if not _any_tls(endpoints):
            self._without(self.key("tls_enabled"), *tls.CHECKS)
        elif self.tls_context is not None:
            logger.info(
                "A client certificate and ALPN cannot be read from %s; name them in %s, %s and %s",
                *map(self.key, ("tls_context", "tls_certfile", "tls_keyfile", "tls_alpn")),
            )

    def _without(self, needed: str, *names: str) -> None:
        for name in names:
            if self.is_changed(name) and getattr(self, name) != "":
                logger.warning("%s has no effect without %s", self.key(name), needed)


def read(config: Mapping[str, Any], prefix: str) -> Config:
    """Read the keys that begin with ``prefix`` from a Flask configuration.

    Args:
        config: ``app.config``. Keys that mean nothing here are ignored; a warning says where one
            looks like a typo.
        prefix: ``MQTT``, or the ``config_prefix`` of one of several brokers.

    Returns:
        The values, checked.

    Raises:
        TypeError: A value has the wrong type. The message names the key and the value.
        ValueError: A value is not allowed. The message names the key, the value and what is.
    """
    given = _given(config, prefix)
    empty = [name for name, value in given.items() if _is_unset(name, value)]
    for name in empty:
        del given[name]
    _warn_of_unknown_keys(config, prefix)
    values = {
        name: _own(_CHECKS[name](f"{prefix}_{name.upper()}", value))
        for name, value in given.items()
    }
    # A variable of the environment that is not there often becomes None.
    names = frozenset(
        name for name, value in given.items() if value is not None and not _is_blank(value)
    )
    result = Config(prefix=prefix, given=names, **values)
    endpoints = result.check()
    if _any_tls(endpoints) and result.tls_context is None:
        _refuse_lost_trust(empty, result)
    result.log_remarks()
    return result


def _own(value: Any) -> Any:
    """Return a copy of what the application may change in place: a change is to be noticed."""
    return deepcopy(value) if isinstance(value, (dict, list, bytearray, Properties)) else value


def _given(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the values that are set by their name here, also those under a key in lower case."""
    given = {}
    for name in _CHECKS:
        key = f"{prefix}_{name.upper()}"
        if key in config:
            given[name] = config[key]
    for key, value in config.items():
        name = _name(key, prefix)
        if name in _CHECKS and name not in given:
            right = f"{prefix}_{name.upper()}"
            logger.warning(
                "The configuration key %s is spelled %s; it was read all the same", right, key
            )
            given[name] = value
    return given


def _is_unset(name: str, value: object) -> bool:
    """Whether a value stands for none: an empty text mostly, as in an environment file."""
    if value is None:
        # A variable that is not there must not switch off what is on.
        return name in _ON
    return name not in _EMPTY_COUNTS and _is_blank(value)


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value.strip()


def _refuse_lost_trust(empty: list[str], config: Config) -> None:
    # Otherwise a variable that got lost would widen what is trusted, without a word.
    for name, usual in _TRUST.items():
        counts = name != "tls_ca_certs" or config.verifies
        if name in empty and counts:
            key = config.key(name)
            raise checks.wrong_value(key, "", f"it must not be empty with TLS; without it {usual}")


def _warn_of_unknown_keys(config: Mapping[str, Any], prefix: str) -> None:
    """Say which key was meant: with ``MQTT_TLS_ENABLE`` alone the connection is in plaintext."""
    nested = config.get(prefix)
    if isinstance(nested, dict):
        # `from_prefixed_env` makes one of two underscores.
        for entry in nested:
            if isinstance(entry, str) and entry.lower() in _CHECKS:
                logger.warning(
                    "%s[%r] is not read; did you mean %s_%s, with one underscore?",
                    prefix,
                    entry,
                    prefix,
                    entry.upper(),
                )
    start = f"{_plain(prefix)}_"
    for key in config:
        if not isinstance(key, str) or _name(key, prefix) in _CHECKS:
            continue
        name = _plain(key)
        if not name.startswith(start):
            continue
        name = name[len(start) :]
        right = name if name in _CHECKS else suggestions.meant(name, _CHECKS)
        if right is not None and not _is_copied(config, key, f"{prefix}_{right.upper()}"):
            logger.warning(
                "%s is not a key of Flask-MQTT and has no effect; did you mean %s_%s?",
                # A space at its end would not be seen.
                key if key.isidentifier() else repr(key),
                prefix,
                right.upper(),
            )


def _is_copied(config: Mapping[str, Any], key: str, right: str) -> bool:
    """Whether an application has a value under both keys, as where one is made from the other."""
    return right in config and str(config[right]) == str(config[key])


def _plain(key: str) -> str:
    """Return a key in lower case, with one underscore for all that is no letter or digit."""
    return re.sub(r"[\W_]+", "_", key).strip("_").lower()


def _name(key: object, prefix: str) -> str:
    if isinstance(key, str) and key.upper().startswith(f"{prefix}_".upper()):
        return key[len(prefix) + 1 :].lower()
    return ""


def _first(name: str) -> str:
    """Return the value that decides whose values are used, where some belong together."""
    if name.startswith("last_will_"):
        return "last_will_topic"
    return "username" if name == "password" else name


def _any_tls(endpoints: list[Endpoint]) -> bool:
    return any(endpoint.tls for endpoint in endpoints)


_PROTOCOLS = {
    "mqttv31": 3, "mqttv311": 4, "mqttv5": 5, "3.1": 3, "3.1.1": 4, "5.0": 5,
}  # fmt: skip

_protocol_number = checks.number(
    range(MQTTv31, MQTTv5 + 1), "3 (MQTTv31), 4 (MQTTv311) or 5 (MQTTv5)"
)


def _protocol_version(key: str, value: object) -> int:
    """Check a version of MQTT, which may be its name or that of its constant."""
    if isinstance(value, (str, float)):
        value = _PROTOCOLS.get(str(value).strip().lower(), value)
    return _protocol_number(key, value)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    **brokers.CHECKS,
    **tls.CHECKS,
    "client_id": checks.client_id,
    "keepalive": checks.integer(0, 65_535, " seconds (0: off)"),
    "clean_session": checks.boolean,
    "connection_timeout": checks.seconds,
    "handshake_timeout": checks.seconds,
    "reconnect_delay_min": checks.seconds,
    "reconnect_delay_max": checks.seconds,
    "reconnect_on_failure": checks.boolean,
    "last_will_topic": checks.will_topic,
    "last_will_message": checks.will_message,
    "last_will_qos": checks.integer(0, 2),
    "last_will_retain": checks.boolean,
    "last_will_properties": checks.properties(_WILL),
    "max_packet_size": checks.integer(1, MAX_PACKET_SIZE, " bytes"),
    "max_inflight": checks.integer(0, _MANY, " messages (0: no limit)"),
    "max_queued": checks.integer(0, _MANY, " messages (0: no limit)"),
    "max_outgoing_bytes": checks.integer(1, _MANY, " bytes"),
    "publish_timeout": checks.seconds_or_none,
    "max_incoming_messages": checks.integer(1, _MANY, " messages"),
    "max_incoming_bytes": checks.integer(1, _MANY, " bytes"),
    "incoming_overflow": checks.choice("block", "drop-oldest", "drop-newest"),
    "handler_threads": checks.integer(1, 1_000, " threads"),
    "persistence": checks.path,
    "persistence_fsync": checks.choice("normal", "always"),
    "protocol_version": _protocol_version,
    "connect_properties": checks.properties(_CONNECT),
    "ws_headers": checks.websocket_headers,
    "proxy": checks.proxy,
    "bind_address": checks.address,
    "tcp_nodelay": checks.boolean,
}

#: The names of the values.
NAMES = frozenset(_CHECKS)
