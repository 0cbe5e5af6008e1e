"""What a connection is made with: values, checked, in the form in which the core takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .keys import CoreKeys
from .tls_checks import Pem

if TYPE_CHECKING:
    from .._core import Properties


@dataclass
class Endpoint:
    """One broker."""

    transport: Literal["tcp", "websockets", "unix"]
    tls: bool
    #: Host name or address; the path of the socket for "unix".
    host: str
    #: TCP port; 0 for "unix".
    port: int
    #: Path of the websocket, with its query.
    path: str = field(repr=False)
    username: str | None = field(repr=False)
    password: str | bytes | None = field(repr=False)


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


@dataclass(kw_only=True)
class ConnectOptions(CoreKeys):
    """Everything about a connection that the application chooses.

    Those keys that the core takes as they are, and what several keys make together.
    """

    brokers: list[Endpoint]
    #: For MQTT 5: above 0, a clean start is for the first connection with this number.
    clean_start_once: int
    will: Will | None
    tls: TlsOptions
    websocket_headers: list[tuple[str, str]] = field(repr=False)
    #: What the configuration keys begin with, for messages.
    key_prefix: str | None
