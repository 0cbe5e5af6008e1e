"""The configuration keys: each with its type, its default, its check, and what becomes of it.

Without its prefix and in lower case a key is a field here. Which class it stands in says who uses
it; the groups have a module of their own where several keys make one thing.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any

from ..paho.constants import MQTTv311
from . import checks, tls_checks
from .base import Settings, Told, key, keys_of
from .shown import hidden, path, without_query, without_userinfo
from .tls_checks import Pem

MAX_PACKET_SIZE = 268_435_455
_MANY = 2_147_483_647

#: Numbers of packets, as paho's `PacketTypes` has them; a will is none.
_CONNECT = 1
_WILL = 99

_count = checks.integer(0, _MANY, " messages (0: no limit)")
_bytes = checks.integer(1, _MANY, " bytes")


@dataclass
class BrokerKeys(Settings):
    """Where the brokers are, and who logs in. `brokers` makes endpoints of them."""

    #: As in the configuration: a host, a path, a URL, or a list of these.
    broker_url: str | list[str] = key(
        "localhost", checks.broker_url, attribute=True, told=Told.CONNECT, show=without_userinfo,
        empty_counts=True,
    )  # fmt: skip
    broker_port: int = key(1883, checks.integer(1, 65_535), attribute=True, told=Told.CONNECT)
    #: Often a token.
    username: str | None = key(
        None, checks.text_or_none, attribute=True, told=Told.METHOD, in_repr=False,
        empty_counts=True,
    )  # fmt: skip
    password: str | bytes | None = key(
        None, checks.password, attribute=True, told=Told.METHOD, show=hidden, empty_counts=True,
        needs="username", group="username",
    )  # fmt: skip
    transport: str = key("tcp", checks.choice("tcp", "websockets", "unix"), told=Told.ONCE)
    tls_enabled: bool = key(False, checks.boolean, attribute=True, told=Told.METHOD)
    #: Whether every broker has to be reached with TLS.
    tls_only: bool = key(False, checks.boolean)
    ws_path: str = key(
        "/mqtt", checks.websocket_path, show=without_query, none_is_default=True, needs="transport"
    )
    #: A dict, or a callable that gets the usual headers and returns what to send.
    ws_headers: Any = key(None, checks.websocket_headers, show=hidden, needs="transport")


@dataclass
class TlsKeys(Settings):
    """What is asked of TLS. `tls` makes options of them."""

    tls_ca_certs: Pem | None = key(
        None, tls_checks.pem, attribute=True, told=Told.METHOD, show=path, needs="tls_enabled",
        lost="the system's CA certificates are trusted",
    )  # fmt: skip
    tls_certfile: Pem | None = key(
        None, tls_checks.pem, attribute=True, told=Told.METHOD, show=path, needs="tls_enabled"
    )
    tls_keyfile: Pem | None = key(
        None, tls_checks.pem, attribute=True, told=Told.METHOD, show=path, needs="tls_enabled"
    )
    tls_keyfile_password: str | None = key(
        None, tls_checks.key_password, told=Told.METHOD, show=hidden, needs="tls_enabled"
    )
    tls_cert_reqs: int = key(
        ssl.CERT_REQUIRED, tls_checks.cert_reqs, attribute=True, told=Told.METHOD,
        none_is_default=True, needs="tls_enabled",
    )  # fmt: skip
    tls_version: int = key(
        ssl.PROTOCOL_TLS_CLIENT, tls_checks.version, attribute=True, told=Told.METHOD,
        none_is_default=True, needs="tls_enabled",
    )  # fmt: skip
    tls_ciphers: str | None = key(
        None, tls_checks.ciphers, attribute=True, told=Told.METHOD, needs="tls_enabled",
        lost="OpenSSL's usual ciphers are allowed",
    )  # fmt: skip
    tls_insecure: bool = key(
        False, checks.boolean, attribute=True, told=Told.METHOD, needs="tls_enabled"
    )
    tls_alpn: list[str] | None = key(None, tls_checks.alpn, told=Told.METHOD, needs="tls_enabled")
    tls_context: ssl.SSLContext | None = key(
        None, tls_checks.context, told=Told.METHOD, in_repr=False, needs="tls_enabled"
    )


@dataclass
class CoreKeys:
    """What the core takes as it is: an option of the same name (`src/core/options/keys.rs`)."""

    client_id: str = key(
        "", checks.written, attribute=True, told=Told.ONCE, empty_counts=True, none_is_default=True
    )
    #: Seconds.
    keepalive: int = key(
        60, checks.integer(0, 65_535, " seconds (0: off)"), attribute=True, told=Told.CONNECT
    )
    clean_session: bool = key(
        True, checks.boolean, attribute=True, told=Told.ONCE | Told.CONNECT, empty_counts=True
    )
    #: Seconds.
    connection_timeout: float = key(5, checks.seconds, attribute=True)
    #: Seconds.
    handshake_timeout: float = key(30, checks.seconds)
    #: Seconds.
    reconnect_delay_min: float = key(1, checks.seconds)
    #: Seconds.
    reconnect_delay_max: float = key(120, checks.seconds)
    reconnect_on_failure: bool = key(True, checks.boolean)
    max_packet_size: int = key(MAX_PACKET_SIZE, checks.integer(1, MAX_PACKET_SIZE, " bytes"))
    #: QoS 1 and 2 messages that may be on their way, and wait beyond those.
    max_inflight: int = key(20, _count)
    max_queued: int = key(0, _count)
    #: Bytes that may wait for the broker.
    max_outgoing_bytes: int = key(16_777_216, _bytes)
    #: Received messages, and their bytes, that may wait for their handlers.
    max_incoming_messages: int = key(20_000, checks.integer(1, _MANY, " messages"))
    max_incoming_bytes: int = key(16_777_216, _bytes)
    #: What happens to messages beyond that.
    incoming_overflow: str = key("block", checks.choice("block", "drop-oldest", "drop-newest"))
    #: The file that keeps messages beyond the end of the process.
    persistence: str | None = key(None, checks.path)
    persistence_fsync: str = key("normal", checks.choice("normal", "always"), needs="persistence")
    protocol_version: int = key(int(MQTTv311), checks.protocol_version, told=Told.ONCE)
    connect_properties: Any = key(None, checks.properties(_CONNECT), told=Told.CONNECT, show=hidden)
    #: ``socks5://user:password@host:port`` or ``http://...``.
    proxy: str | None = key(None, checks.proxy, show=without_userinfo)
    bind_address: str | None = key(None, checks.address, told=Told.CONNECT)
    tcp_nodelay: bool = key(True, checks.boolean)
    #: Seconds that messages of a stream may wait to be read together.
    gather_time: float = key(0.0007, checks.gather_time)


@dataclass
class WillKeys(Settings):
    """The message that the broker publishes if the connection breaks."""

    last_will_topic: str | None = key(
        None, checks.will_topic, attribute=True, told=Told.ONCE, group="last_will_topic"
    )
    last_will_message: str | bytes | bytearray | float | None = key(
        None, checks.will_message, attribute=True, told=Told.ONCE, empty_counts=True,
        needs="last_will_topic", group="last_will_topic",
    )  # fmt: skip
    last_will_qos: int = key(
        0, checks.integer(0, 2), attribute=True, told=Told.ONCE, group="last_will_topic"
    )
    last_will_retain: bool = key(
        False, checks.boolean, attribute=True, told=Told.ONCE, group="last_will_topic"
    )
    last_will_properties: Any = key(
        None, checks.properties(_WILL), told=Told.ONCE, show=hidden, needs="last_will_topic",
        group="last_will_topic",
    )  # fmt: skip


@dataclass
class ClientKeys:
    """What the client in Python uses itself."""

    #: Seconds.
    publish_timeout: float = key(10, checks.seconds_or_none)
    handler_threads: int = key(1, checks.integer(1, 1_000, " threads"))


@dataclass
class ExtensionKeys:
    """What the extension uses itself, and no client."""

    #: Levels that the topics of the application begin with at the broker.
    prefix: str | None = key(None, checks.topic_prefix, told=Told.NEVER)
    #: Whether `publish` sends dicts, lists, dataclasses and models as JSON.
    json: bool = key(False, checks.boolean, told=Told.NEVER)
    #: Which processes of the application handle a message.
    worker_mode: str = key("all", checks.choice("all", "shared", "leader"), told=Told.NEVER)
    #: The group of the shared subscriptions; None for the application's name.
    shared_group: str | None = key(None, checks.group, told=Told.NEVER, needs="worker_mode")
    #: Whether commands of `flask` other than `run` connect when the application is made.
    connect_in_cli: bool = key(False, checks.boolean, told=Told.NEVER)


@dataclass
class Keys(ExtensionKeys, ClientKeys, WillKeys, CoreKeys, TlsKeys, BrokerKeys):
    """The values of all keys."""


#: All keys, by their names here.
KEYS = keys_of(Keys)

#: Their names.
NAMES = frozenset(KEYS)

#: Those of what a client can be told.
CLIENT_NAMES = frozenset(name for name, entry in KEYS.items() if Told.NEVER not in entry.told)

#: Those that the core takes as they are.
CORE_NAMES = tuple(keys_of(CoreKeys))

#: Those that Flask-MQTT has an attribute of `Mqtt` for.
ATTRIBUTES = tuple(name for name, entry in KEYS.items() if entry.attribute)
