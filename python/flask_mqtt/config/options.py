"""What a connection is made with: values, checked, in the form in which the core takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .._core import Properties

#: A `str` is a path; `bytes` are the PEM text itself.
Pem = str | bytes


@dataclass
class Endpoint:
    """One broker."""

    transport: Literal["tcp", "websockets", "unix"] = "tcp"
    tls: bool = False
    #: Host name or address; the path of the socket for "unix".
    host: str = "localhost"
    #: TCP port; 0 for "unix".
    port: int = 1883
    #: Path of the websocket, with its query.
    path: str = field(default="/mqtt", repr=False)
    username: str | None = field(default=None, repr=False)
    password: str | bytes | None = field(default=None, repr=False)


@dataclass
class TlsOptions:
    """What TLS is asked for."""

    #: A file or directory of CA certificates, or their PEM text; None for the system's.
    ca_certs: Pem | None = None
    certfile: Pem | None = field(default=None, repr=False)
    keyfile: Pem | None = field(default=None, repr=False)
    keyfile_password: str | None = field(default=None, repr=False)
    #: Whether the broker's certificate is verified at all, and whether for its host name.
    verify: bool = True
    verify_host: bool = True
    #: Versions as numbers of `ssl.TLSVersion` (769 TLS 1.0 ... 772 TLS 1.3); None for no bound.
    lowest: int | None = 771
    highest: int | None = None
    ciphers: str | None = None
    alpn: list[str] = field(default_factory=list)


@dataclass
class Will:
    """The message that the broker publishes if the connection breaks."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    properties: Properties | None = field(default=None, repr=False)


@dataclass
class ConnectOptions:
    """Everything about a connection that the application chooses."""

    brokers: list[Endpoint]
    protocol: int
    client_id: str
    clean_session: bool
    #: For MQTT 5: above 0, a clean start is for the first connection with this number.
    clean_start_once: int
    #: Seconds.
    keep_alive: int
    #: Seconds.
    connect_timeout: float
    #: Seconds.
    handshake_timeout: float
    #: Seconds.
    reconnect_delay_min: float
    #: Seconds.
    reconnect_delay_max: float
    reconnect_on_failure: bool
    will: Will | None
    properties: Properties | None = field(repr=False)
    tls: TlsOptions
    websocket_headers: list[tuple[str, str]] = field(repr=False)
    #: ``socks5://user:password@host:port`` or ``http://...``.
    proxy: str | None = field(repr=False)
    bind_address: str | None
    tcp_nodelay: bool
    #: What the configuration keys begin with, for messages.
    key_prefix: str | None
    #: Bytes.
    max_packet_size: int
    #: QoS 1 and 2 messages that may be on their way, and wait beyond those; 0 for no limit.
    max_inflight: int
    max_queued: int
    #: Bytes that may wait for the broker.
    max_outgoing_bytes: int
    #: Received messages, and their bytes, that may wait for their handlers.
    max_incoming_messages: int
    max_incoming_bytes: int
    #: What happens to messages beyond that.
    incoming_overflow: str
    #: The file that keeps messages beyond the end of the process.
    persistence: str | None
    persistence_fsync: str
