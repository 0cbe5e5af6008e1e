"""The settings of a client, in paho's shape."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from .._core import check_tls
from ..config import CLIENT_NAMES, cleartext
from ..config.proxies import PROXY_ARGUMENTS, proxy_url
from ..config.suggestions import meant
from ..config.tls import tell_of_certificate
from ..config.tls_checks import Pem
from ..discretion import discreet
from .base import Base


class Settings(Base):
    """The methods that set them. They hold from the next connection on."""

    @discreet
    def configure(self, **values: Any) -> None:
        """Change settings for the next attempt to connect, also an automatic one.

        Args:
            values: By the names of the configuration keys, in lower case and without their prefix.
                ``handler_threads`` holds from the next `loop_start` on.

        Raises:
            TypeError: A value has the wrong type, or there is no such setting.
            ValueError: A value is not allowed, or ``tls_only`` is set and the running connection is
                one without TLS.
        """
        for name in values.keys() - CLIENT_NAMES:
            right = meant(name, CLIENT_NAMES)
            hint = f"; did you mean {right}?" if right else ""
            raise TypeError(f"configure() has no setting {name!r}{hint}")
        wanted = self._parts.settings.config.updated(values)
        if wanted.tls_only and self._parts.holder.core.is_running():
            # Refused later, the next attempt would be made with the previous settings: without TLS.
            cleartext.refuse(wanted, wanted.endpoints())
        self._parts.settings.change(**values)

    @discreet
    def username_pw_set(
        self,
        username: str | bytes | None,
        password: str | bytes | bytearray | memoryview | None = None,
    ) -> None:
        """Set the user name and password of the next CONNECT; None for no authentication.

        Args:
            username: User name.
            password: Text is sent as UTF-8; bytes are sent as they are (3.1.1, 3.1.3.5).

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._parts.settings.change(username=username, password=password)

    @discreet
    def will_set(
        self,
        topic: str,
        payload: str | bytes | bytearray | float | None = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
    ) -> None:
        """Set the message that the broker publishes if the connection breaks (3.1.1, 3.1.2.5).

        Args:
            topic: Topic name.
            payload: As that of `publish`, at most 65535 bytes.
            qos: 0, 1 or 2.
            retain: Whether the broker keeps it.
            properties: For MQTT 5: a `Properties` object or a dict.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed, or there are properties before MQTT 5.
        """
        self._parts.settings.check_properties(properties)
        if topic is None:
            raise ValueError("a will needs a topic; will_clear() is the way to have none")
        self._parts.settings.change(
            last_will_topic=topic,
            last_will_message=payload,
            last_will_qos=qos,
            last_will_retain=retain,
            last_will_properties=properties,
        )

    def will_clear(self) -> None:
        """Undo `will_set`."""
        self._parts.settings.change(
            last_will_topic=None,
            last_will_message=None,
            last_will_qos=0,
            last_will_retain=False,
            last_will_properties=None,
        )

    @discreet
    def tls_set(
        self,
        ca_certs: Pem | PathLike[str] | None = None,
        certfile: Pem | PathLike[str] | None = None,
        keyfile: Pem | PathLike[str] | None = None,
        cert_reqs: int | None = None,
        tls_version: int | None = None,
        ciphers: str | None = None,
        keyfile_password: str | None = None,
        alpn_protocols: list[str] | None = None,
    ) -> None:
        """Use TLS. The arguments are the values of ``MQTT_TLS_*``.

        Files are read here, to find mistakes, and again for each connection.

        Args:
            ca_certs: File or directory with CA certificates, or PEM text; the system's without.
            certfile: File with the client's certificate, or PEM text.
            keyfile: File with its private key, or PEM text.
            cert_reqs: ``ssl.CERT_REQUIRED``, which is the default, or ``ssl.CERT_NONE``.
            tls_version: A protocol or version constant of `ssl`; TLS 1.2 and later without.
            ciphers: An OpenSSL list of ciphers.
            keyfile_password: Password of the key.
            alpn_protocols: Names to offer with ALPN.

        Raises:
            OSError: A file cannot be read: ``FileNotFoundError`` and so on; or used:
                ``ssl.SSLError``.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        values: dict[str, Any] = {
            "tls_enabled": True,
            "tls_ca_certs": ca_certs,
            "tls_certfile": certfile,
            "tls_keyfile": keyfile,
            "tls_cert_reqs": cert_reqs,
            "tls_version": tls_version,
            "tls_ciphers": ciphers,
            "tls_keyfile_password": keyfile_password,
            "tls_alpn": alpn_protocols,
        }
        settings = self._parts.settings.config.updated(values)
        # Nothing changes where a file cannot be read.
        if settings.tls_context is None:
            check_tls(settings.tls_options(), settings.key_prefix)
        self._parts.settings.change(**values)

    @discreet
    def tls_set_context(self, context: ssl.SSLContext | None = None) -> None:
        """Use TLS with what can be read from a context, or with the defaults."""
        self._parts.settings.change(tls_enabled=True, tls_context=context)
        settings = self._parts.settings.config
        if context is not None and settings.key_prefix is None and settings.tls_certfile is None:
            tell_of_certificate(context, "tls_certfile", "tls_keyfile with configure()")

    @discreet
    def tls_insecure_set(self, value: bool) -> None:
        """Choose that the broker's certificate may be for another host.

        Raises:
            ValueError: TLS was not set up before.
        """
        if not self._parts.settings.config.tls_enabled:
            raise ValueError("tls_insecure_set: call tls_set() or tls_set_context() before it")
        if self._parts.settings.config.tls_context is not None:
            context = self._parts.settings.config.tls_context
            context.check_hostname = not value
            self._parts.settings.change(tls_context=context)
        else:
            self._parts.settings.change(tls_insecure=value)

    @discreet
    def ws_set_options(
        self,
        path: str = "/mqtt",
        headers: Mapping[str, str] | Callable[[dict[str, str]], dict[str, str]] | None = None,
    ) -> None:
        """Set the path of websockets, and headers of the request for one.

        Args:
            path: Path, with its query.
            headers: Further headers, or a function that gets the usual headers and returns all. It
                is called before each attempt to connect.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._parts.settings.change(ws_path=path, ws_headers=headers)

    @discreet
    def reconnect_delay_set(self, min_delay: float = 1, max_delay: float = 120) -> None:
        """Set how long automatic attempts to connect wait: twice as long as the last time.

        A quarter of each delay is random. While there is a connection, that holds for the delays
        after the next attempt.

        Args:
            min_delay: The first delay, in seconds.
            max_delay: The longest, in seconds.

        Raises:
            TypeError: A value is no number.
            ValueError: A value is not allowed, or ``max_delay`` less than ``min_delay``.
        """
        self._parts.settings.change_delays(min_delay, max_delay)

    @discreet
    def proxy_set(self, **proxy_args: Any) -> None:
        """Connect through a proxy. The arguments are those of PySocks, which is not needed.

        Args:
            proxy_args: ``proxy_type``: ``socks.SOCKS5`` (2), ``socks.HTTP`` (3) or their names.
                ``proxy_addr``: its host name or address. ``proxy_port``: by default 1080 for
                SOCKS 5 and 8080 for HTTP. ``proxy_username`` and ``proxy_password``.
                ``proxy_rdns``: True.

        Raises:
            TypeError: There is no such argument, or a value has the wrong type.
            ValueError: A value is not allowed; SOCKS 4 is not supported.
        """
        for name in proxy_args.keys() - PROXY_ARGUMENTS:
            raise TypeError(f"{name}: there is no such argument; {', '.join(PROXY_ARGUMENTS)} are")
        self._parts.settings.change(proxy=proxy_url(**proxy_args))
