"""The same bytes inside TLS, with and without a certificate of the client, and ALPN."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT311, Version, Will
from support.tls_server import TlsServer
from wire.registry import case
from wire.steps import Broker, Client

from .sequences import disconnects

if TYPE_CHECKING:
    from pathlib import Path

    from wire.run import Run
    from wire.steps import Step


#: A payload that takes several records of TLS.
LARGE = bytes(range(256)) * 256


def exchange(version: Version) -> tuple[Step, ...]:
    """A bit of everything."""
    return (
        Client(version.connect(will=Will("w", b"go", 1), username="me", password="s3cret")),
        Broker(version.connack()),
        Client(version.subscribe(1, ("a/#", 2))),
        Broker(version.suback(1, 2)),
        Client(version.publish("t", LARGE, qos=2, mid=2)),
        Broker(version.pubrec(2)),
        Client(version.pubrel(2)),
        Broker(version.pubcomp(2)),
        Broker(version.publish("a/b", LARGE, qos=1, mid=9)),
        Client(version.puback(9)),
        *disconnects(version),
    )


SEEN = f"a/b {hashlib.sha256(LARGE).hexdigest()!r} qos 1"


def front(*, clients: bool = False, alpn: tuple[str, ...] = ()) -> Any:
    """Make the server's side of TLS."""

    def make(certificates: Path, target: int) -> TlsServer:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "server.pem", certificates / "server-key.pem")
        if clients:
            context.load_verify_locations(certificates / "ca.pem")
            context.verify_mode = ssl.CERT_REQUIRED
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return TlsServer(context, target)

    return make


def over_tls(
    *, certificate: bool = False, context: bool = False, alpn: list[str] | None = None
) -> Any:
    def drive(run: Run) -> None:
        client = run.client()
        files = {"ca_certs": str(run.certificates / "ca.pem")}
        if certificate:
            files["certfile"] = str(run.certificates / "client.pem")
            files["keyfile"] = str(run.certificates / "client-key.pem")
        if context:
            client.tls_set_context(ssl.create_default_context(cafile=files["ca_certs"]))
        else:
            client.tls_set(**files, alpn_protocols=alpn)
        client.will_set("w", "go", 1)
        client.username_pw_set("me", "s3cret")
        run.connect(client)
        handshake = run.front.next_handshake()
        shown = "a" if handshake.client_certificate else "no"
        run.note(f"{handshake.version}, ALPN {handshake.alpn}, {shown} certificate")
        client.subscribe("a/#", 2)
        run.wait("subscribe")
        client.publish("t", LARGE, 2)

    return drive


for version in (MQTT311, MQTT5):
    case(
        "TLS",
        over_tls(),
        exchange(version),
        ("TLSv1.3, ALPN None, no certificate", SEEN),
        version=version,
        front=front(),
    )
case(
    "TLS by a context",
    over_tls(context=True),
    exchange(MQTT311),
    ("TLSv1.3, ALPN None, no certificate", SEEN),
    front=front(),
)
case(
    "TLS with a client certificate",
    over_tls(certificate=True),
    exchange(MQTT311),
    ("TLSv1.3, ALPN None, a certificate", SEEN),
    front=front(clients=True),
)
case(
    "TLS with a client certificate that nobody asks for",
    over_tls(certificate=True),
    exchange(MQTT311),
    ("TLSv1.3, ALPN None, no certificate", SEEN),
    front=front(),
)
for name, offered, negotiated in (
    ("ALPN", ["mqtt"], "mqtt"),
    ("ALPN, and the server chooses", ["x-amzn-mqtt-ca", "mqtt"], "mqtt"),
    ("ALPN without a common name", ["other"], "None"),
):
    case(
        f"TLS with {name}",
        over_tls(alpn=offered),
        exchange(MQTT311),
        (f"TLSv1.3, ALPN {negotiated}, no certificate", SEEN),
        front=front(alpn=("mqtt",)),
    )
