"""A TLS front for a broker: it does what a broker cannot be set to do, and notes what it saw.

context = server_context(certificates.server, alpn=["mqtt"])
with TlsServer(context, broker.port) as front:
    connect(front.port)
    assert front.next_handshake().alpn == "mqtt"
"""

from __future__ import annotations

import contextlib
import queue
import select
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .server import Server, end
from .wait import PATIENCE

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from .certificates import KeyPair


@dataclass(frozen=True)
class Handshake:
    """What a client offered and got; `error` is empty where the handshake was completed."""

    server_name: str | None
    alpn: str | None
    version: str | None
    cipher: str
    client_certificate: bool
    error: str


def server_context(pair: KeyPair, *, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Return a context with the certificate; set versions, ciphers and clients' CAs on it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class TlsServer(Server):
    """Takes TLS connections on a free port and passes on what they carry to a port."""

    def __init__(self, context: ssl.SSLContext, target: int) -> None:
        super().__init__()
        self._target = target
        self._context = context
        self._names: dict[int, str | None] = {}
        context.sni_callback = self._note_name
        self._handshakes: queue.Queue[Handshake] = queue.Queue()

    def next_handshake(self, timeout: float = PATIENCE) -> Handshake:
        """Wait for the next handshake and return it. Raises queue.Empty."""
        return self._handshakes.get(timeout=timeout)

    def _note_name(self, tls: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self._names[id(tls)] = name

    def serve(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        tls = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self.keep(tls)
        error = ""
        try:
            tls.do_handshake()
        except OSError as failure:
            error = str(failure)
        cipher = tls.cipher() if not error else None
        self._handshakes.put(
            Handshake(
                server_name=self._names.pop(id(tls), None),
                alpn=None if error else tls.selected_alpn_protocol(),
                version=None if error else tls.version(),
                cipher=cipher[0] if cipher else "",
                client_certificate=not error and bool(tls.getpeercert(binary_form=True)),
                error=error,
            )
        )
        if not error:
            target = self.connect(self._target)
            with contextlib.suppress(ValueError):  # it has been ended meanwhile
                _copy(tls, target)
            end(target)
        end(tls)


def _copy(tls: ssl.SSLSocket, target: socket.socket) -> None:
    """Copy both ways, in one thread: OpenSSL must not read and write at the same time."""
    while True:
        ready = [tls] if tls.pending() else select.select([tls, target], [], [])[0]
        if tls in ready:
            tls.settimeout(0)
            try:
                data = tls.recv(65536)
            except ssl.SSLWantReadError:
                continue
            finally:
                tls.settimeout(30)
            if not data:
                return
            target.sendall(data)
        if target in ready:
            data = target.recv(65536)
            if not data:
                return
            tls.sendall(data)
