"""Servers that a client with TLS cannot get on with."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from .mosquitto import Listener, Mosquitto
from .server import HOST, Server
from .tls_server import TlsServer, server_context

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .certificates import Certificates, KeyPair

#: An alert of TLS: fatal, no_application_protocol (RFC 7301, section 3.2).
NO_APPLICATION_PROTOCOL = b"\x15\x03\x03\x00\x02\x02\x78"


def _old(context: ssl.SSLContext) -> None:
    context.maximum_version = ssl.TLSVersion.TLSv1_2


def _picky(context: ssl.SSLContext) -> None:
    _old(context)
    context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")


#: What is special about a server with a good certificate.
CONTEXTS: dict[str, Callable[[ssl.SSLContext], None]] = {"old": _old, "picky": _picky}


class BadServers:
    """Gives the port of a server by its name; they end with the stack.

    plain, tls, mutual, mutual12, tls13, wss: listeners of a mosquitto; mutual and mutual12 want a
        certificate, the latter in TLS 1.2.
    expired, self_signed, ...: TLS with that certificate (see Certificates).
    old: speaks TLS 1.2 at most. picky: TLS 1.2 with one cipher.
    alpn: answers with the alert that there is no protocol in common. silent: never answers.
    http: answers 404 to every request, inside TLS.
    """

    def __init__(
        self, stack: contextlib.ExitStack, certificates: Certificates, directory: Path
    ) -> None:
        self._stack = stack
        self._certificates = certificates
        pair = certificates.server
        tls = Listener(certificate=pair.certificate, key=pair.key)
        mutual = replace(tls, cafile=certificates.ca, require_certificate=True)
        listeners = {
            "tls": tls,
            "mutual": mutual,
            "mutual12": replace(mutual, tls_version="tlsv1.2"),
            "tls13": replace(tls, tls_version="tlsv1.3"),
            "wss": replace(tls, kind="websockets"),
        }
        self._broker = stack.enter_context(Mosquitto(directory, listeners=listeners))
        self._ports = {name: listener.port for name, listener in self._broker.listeners.items()}
        self._ports["plain"] = self._broker.port

    def port(self, name: str) -> int:
        """Return the port of a server; it is started where it is not there yet."""
        if name not in self._ports:
            self._ports[name] = self._start(name)
        return self._ports[name]

    def _start(self, name: str) -> int:
        if name == "alpn":
            return self._stack.enter_context(_Answering(NO_APPLICATION_PROTOCOL)).port
        if name == "silent":
            return self._stack.enter_context(_Answering(b"")).port
        if name == "http":
            return self._tls(self._certificates.server, self._stack.enter_context(_not_found()))
        if name in CONTEXTS:
            return self._tls(self._certificates.server, self._broker.port, CONTEXTS[name])
        return self._tls(getattr(self._certificates, name), self._broker.port)

    def _tls(
        self, pair: KeyPair, target: int, change: Callable[[ssl.SSLContext], None] | None = None
    ) -> int:
        context = server_context(pair)
        if change:
            change(context)
        return self._stack.enter_context(TlsServer(context, target)).port


class _Answering(Server):
    """Gives connections an answer to whatever they say first, and keeps them."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self._answer = answer

    def serve(self, connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(self._answer)
        self.ending.wait()


class _NotFound(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Say nothing."""


@contextlib.contextmanager
def _not_found() -> Iterator[int]:
    with http.server.ThreadingHTTPServer((HOST, 0), _NotFound) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()
