"""TLS with real servers: they see what each key asks for, and messages get through."""

from __future__ import annotations

import os
import shutil
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, MQTTv5, MQTTv31, MQTTv311
from support.apps import make_app
from support.mosquitto import Listener
from support.peer import Peer
from support.ports import has_ipv6
from support.running import connected, echoes
from support.tls_server import TlsServer, server_context
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flask import Flask

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.tls_server import Handshake

# The names of old versions are deprecated in the module, their numbers are not.
PROTOCOL_TLSV1, PROTOCOL_TLSV1_2 = 3, 5


def tls_app(port: int, certificates: Certificates, **keys: Any) -> Flask:
    """Make an application that uses TLS and trusts the test's authority."""
    return make_app(port, **{"tls_enabled": True, "tls_ca_certs": certificates.ca, **keys})


def seen(front: TlsServer, certificates: Certificates, **keys: Any) -> Handshake:
    """Connect, send a message to and fro, and return what the server saw."""
    with connected(tls_app(front.port, certificates, **keys)) as mqtt:
        assert echoes(mqtt)
    return front.next_handshake()


# -- certificates ---------------------------------------------------------------------------------


def _plain_directory(certificates: Certificates, directory: Path) -> Path:
    """Make a directory whose files have no hashed names."""
    shutil.copy(certificates.other_ca, directory / "other.crt")
    shutil.copy(certificates.ca, directory / "own.crt")
    (directory / "README").write_text("not a certificate")
    return directory


def _bundle(certificates: Certificates, directory: Path) -> Path:
    bundle = directory / "bundle.pem"
    bundle.write_text(certificates.other_ca.read_text() + certificates.ca.read_text())
    return bundle


@pytest.mark.smoke
@pytest.mark.parametrize(
    "form",
    [
        lambda certificates, _: certificates.ca,
        lambda certificates, _: str(certificates.ca),
        lambda certificates, _: certificates.ca_directory,
        _plain_directory,
        _bundle,
        lambda certificates, _: certificates.ca.read_text(),
        lambda certificates, _: certificates.ca.read_bytes(),
    ],
    ids=["path", "string", "hashed directory", "directory", "bundle", "PEM text", "PEM bytes"],
)
def test_an_authority_comes_in_every_form(
    tls_broker: Mosquitto,
    certificates: Certificates,
    tmp_path: Path,
    form: Callable[[Certificates, Path], Any],
) -> None:
    port = tls_broker.listeners["tls"].port
    app = tls_app(port, certificates, tls_ca_certs=form(certificates, tmp_path))
    with connected(app) as mqtt:
        assert echoes(mqtt)


#: The keys for a client's certificate, from the names of files.
CLIENTS: dict[str, Callable[[Certificates], dict[str, Any]]] = {
    "PKCS#8": lambda files: {
        "certfile": files.client.certificate,
        "keyfile": files.client.key,
    },
    "SEC 1": lambda files: {"certfile": files.client.certificate, "keyfile": files.key_sec1},
    "RSA": lambda files: {
        "certfile": str(files.client_rsa.certificate),
        "keyfile": str(files.client_rsa.key),
    },
    "PKCS#1": lambda files: {
        "certfile": files.client_rsa.certificate,
        "keyfile": files.key_pkcs1,
    },
    "PKCS#8 encrypted": lambda files: {
        "certfile": files.client.certificate,
        "keyfile": files.key_pkcs8_encrypted,
        "keyfile_password": files.password,
    },
    "SEC 1 encrypted": lambda files: {
        "certfile": files.client.certificate,
        "keyfile": files.key_sec1_encrypted,
        "keyfile_password": files.password.encode(),
    },
    "PKCS#1 encrypted": lambda files: {
        "certfile": files.client_rsa.certificate,
        "keyfile": files.key_pkcs1_encrypted,
        "keyfile_password": files.password,
    },
    "one file": lambda files: {"certfile": files.client_combined},
    "PEM text": lambda files: {
        "certfile": files.client.certificate.read_text(),
        "keyfile": files.client.key.read_bytes(),
    },
    "PEM text encrypted": lambda files: {
        "certfile": files.client_rsa.certificate.read_bytes(),
        "keyfile": files.key_pkcs1_encrypted.read_text(),
        "keyfile_password": files.password,
    },
}


@pytest.mark.smoke
@pytest.mark.parametrize("form", CLIENTS)
def test_a_broker_that_wants_a_client_certificate_gets_it(
    tls_broker: Mosquitto, certificates: Certificates, form: str
) -> None:
    keys = {f"tls_{name}": value for name, value in CLIENTS[form](certificates).items()}
    port = tls_broker.listeners["mutual"].port
    with connected(tls_app(port, certificates, **keys)) as mqtt:
        assert echoes(mqtt)


@pytest.mark.parametrize("version", [PROTOCOL_TLSV1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_goes_with_each_version(
    tls_broker: Mosquitto, certificates: Certificates, version: int
) -> None:
    context = server_context(certificates.server)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca)
    keys = {"tls_certfile": certificates.client_combined, "tls_version": version}
    with TlsServer(context, tls_broker.port) as front:
        assert seen(front, certificates, **keys).client_certificate


def test_a_certificate_with_its_chain_is_trusted(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    with TlsServer(server_context(certificates.chained), tls_broker.port) as front:
        assert seen(front, certificates).version == "TLSv1.3"


# -- what is verified -----------------------------------------------------------------------------


@pytest.mark.parametrize("value", [ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED, 1, 2, True, None])
def test_with_cert_reqs_the_certificate_is_verified(
    tls_broker: Mosquitto, certificates: Certificates, value: Any
) -> None:
    port = tls_broker.listeners["tls"].port
    with connected(tls_app(port, certificates, tls_cert_reqs=value)) as mqtt:
        assert echoes(mqtt)
    stranger = tls_app(port, certificates, tls_cert_reqs=value, tls_ca_certs=certificates.other_ca)
    with pytest.raises(ssl.SSLCertVerificationError), connected(stranger):
        pass


@pytest.mark.parametrize("value", [ssl.CERT_NONE, 0, False])
def test_with_cert_none_nothing_is_verified(
    tls_broker: Mosquitto, certificates: Certificates, value: Any
) -> None:
    with TlsServer(server_context(certificates.wrong_host), tls_broker.port) as front:
        keys = {"tls_cert_reqs": value, "tls_ca_certs": certificates.other_ca}
        assert seen(front, certificates, **keys).cipher


def test_insecure_takes_a_certificate_for_another_host_and_no_other_authority(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    with TlsServer(server_context(certificates.wrong_host), tls_broker.port) as front:
        assert seen(front, certificates, tls_insecure=True).cipher
        stranger = tls_app(
            front.port, certificates, tls_insecure=True, tls_ca_certs=certificates.other_ca
        )
        with pytest.raises(ssl.SSLCertVerificationError), connected(stranger):
            pass


@pytest.mark.parametrize(("host", "name"), [("localhost", "localhost"), ("127.0.0.1", None)])
def test_a_name_is_sent_and_verified_and_an_address_verified(
    tls_broker: Mosquitto, certificates: Certificates, host: str, name: str | None
) -> None:
    with TlsServer(server_context(certificates.server), tls_broker.port) as front:
        assert seen(front, certificates, broker_url=host).server_name == name


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_an_ipv6_address_is_verified(
    broker_factory: Callable[..., Mosquitto], certificates: Certificates, host: str
) -> None:
    pair = certificates.server
    tls = Listener(host="::1", certificate=pair.certificate, key=pair.key)
    port = broker_factory(listeners={"tls": tls}).listeners["tls"].port
    with connected(tls_app(port, certificates, broker_url=host)) as mqtt:
        assert echoes(mqtt)


# -- what is agreed on ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "version"),
    [
        (None, "TLSv1.3"),
        (ssl.PROTOCOL_TLS, "TLSv1.3"),
        (ssl.PROTOCOL_TLS_CLIENT, "TLSv1.3"),
        (PROTOCOL_TLSV1_2, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (771, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        (ssl.TLSVersion.MAXIMUM_SUPPORTED, "TLSv1.3"),
        (ssl.TLSVersion.MINIMUM_SUPPORTED, "TLSv1.3"),
    ],
)
def test_the_version_is_the_one_that_is_asked_for(
    tls_broker: Mosquitto, certificates: Certificates, value: Any, version: str
) -> None:
    with TlsServer(server_context(certificates.server), tls_broker.port) as front:
        assert seen(front, certificates, tls_version=value).version == version


@pytest.mark.parametrize(
    ("value", "version"), [(PROTOCOL_TLSV1, "TLSv1"), (770, "TLSv1.1"), (769, "TLSv1")]
)
def test_an_old_version_needs_the_security_level_too(
    tls_broker: Mosquitto, certificates: Certificates, value: int, version: str
) -> None:
    context = server_context(certificates.server)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    with TlsServer(context, tls_broker.port) as front:
        keys = {"tls_version": value, "tls_ciphers": "DEFAULT:@SECLEVEL=0"}
        assert seen(front, certificates, **keys).version == version


@pytest.mark.parametrize(
    ("ciphers", "version", "agreed"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", PROTOCOL_TLSV1_2, "ECDHE-ECDSA-AES128-GCM-SHA256"),
        ("ECDHE+CHACHA20:!RSA", PROTOCOL_TLSV1_2, "ECDHE-ECDSA-CHACHA20-POLY1305"),
        ("TLS_CHACHA20_POLY1305_SHA256", None, "TLS_CHACHA20_POLY1305_SHA256"),
        ("TLS_AES_128_GCM_SHA256:ECDHE+AESGCM", None, "TLS_AES_128_GCM_SHA256"),
    ],
)
def test_the_cipher_is_of_the_list(
    tls_broker: Mosquitto, certificates: Certificates, ciphers: str, version: Any, agreed: str
) -> None:
    with TlsServer(server_context(certificates.server), tls_broker.port) as front:
        keys = {"tls_ciphers": ciphers, "tls_version": version}
        assert seen(front, certificates, **keys).cipher == agreed


@pytest.mark.parametrize(
    ("value", "agreed"),
    [
        (["x-amzn-mqtt-ca"], "x-amzn-mqtt-ca"),
        ("mqtt, x-amzn-mqtt-ca", "x-amzn-mqtt-ca"),
        (["unknown", "mqtt"], "mqtt"),
        (None, None),
    ],
)
def test_the_application_protocol_is_one_that_is_offered(
    tls_broker: Mosquitto, certificates: Certificates, value: Any, agreed: str | None
) -> None:
    context = server_context(certificates.server, alpn=["x-amzn-mqtt-ca", "mqtt"])
    with TlsServer(context, tls_broker.port) as front:
        assert seen(front, certificates, tls_alpn=value).alpn == agreed


# -- what goes through ----------------------------------------------------------------------------


@pytest.mark.smoke
@pytest.mark.parametrize("listener", ["tls", "wss"])
@pytest.mark.parametrize("version", [MQTTv31, MQTTv311, MQTTv5])
def test_every_version_of_mqtt_goes_over_tls_and_websockets(
    tls_broker: Mosquitto, certificates: Certificates, version: int, listener: str
) -> None:
    keys = {"protocol_version": version, "client_id": f"tls-{version}-{listener}"}
    if listener == "wss":
        keys["transport"] = "websockets"
    port = tls_broker.listeners[listener].port
    with connected(tls_app(port, certificates, **keys)) as mqtt:
        assert echoes(mqtt)


def test_a_websocket_has_the_certificate_of_the_client_too(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    port = tls_broker.listeners["mutual_wss"].port
    keys = {"transport": "websockets", "tls_certfile": certificates.client_combined}
    with connected(tls_app(port, certificates, **keys)) as mqtt:
        assert echoes(mqtt)


def test_a_large_message_goes_both_ways(tls_broker: Mosquitto, certificates: Certificates) -> None:
    with connected(tls_app(tls_broker.listeners["tls"].port, certificates)) as mqtt:
        assert echoes(mqtt, os.urandom(1024 * 1024))


def test_a_large_message_goes_through_a_websocket_in_tls(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    # One way: mosquitto 2.0 writes 4096 bytes ten times a second to a websocket.
    payload = os.urandom(1024 * 1024)
    app = tls_app(tls_broker.listeners["wss"].port, certificates, transport="websockets")
    with Peer(tls_broker.port, "large/#") as peer, connected(app) as mqtt:
        mqtt.publish("large/wss", payload, qos=1)
        assert peer.receive().payload == payload


@pytest.mark.parametrize(("scheme", "listener"), [("mqtts", "tls"), ("wss", "wss")])
def test_a_url_alone_asks_for_tls(
    tls_broker: Mosquitto, certificates: Certificates, scheme: str, listener: str
) -> None:
    app = tls_app(1, certificates)
    del app.config["MQTT_TLS_ENABLED"], app.config["MQTT_BROKER_PORT"]
    port = tls_broker.listeners[listener].port
    app.config["MQTT_BROKER_URL"] = f"{scheme}://localhost:{port}"
    with connected(app) as mqtt:
        assert echoes(mqtt)


# -- a client of one's own, in paho's way ---------------------------------------------------------


def _connects(client: Client, port: int) -> bool:
    client.connect("localhost", port)
    client.loop_start()
    try:
        return wait_until(client.is_connected)
    finally:
        client.disconnect()
        client.loop_stop()


@pytest.mark.smoke
def test_a_client_is_set_up_as_pahos(tls_broker: Mosquitto, certificates: Certificates) -> None:
    context = server_context(certificates.server, alpn=["mqtt"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates.ca)
    client = Client()
    client.tls_set(
        ca_certs=str(certificates.ca),
        certfile=str(certificates.client_rsa.certificate),
        keyfile=str(certificates.key_pkcs1_encrypted),
        cert_reqs=ssl.CERT_REQUIRED,
        tls_version=PROTOCOL_TLSV1_2,
        ciphers=None,
        keyfile_password=certificates.password,
        alpn_protocols=["mqtt"],
    )
    with TlsServer(context, tls_broker.port) as front:
        assert _connects(client, front.port)
        shaken = front.next_handshake()
    assert (shaken.version, shaken.alpn) == ("TLSv1.2", "mqtt")
    assert shaken.client_certificate


def test_a_client_may_be_told_to_take_a_certificate_for_another_host(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    client = Client()
    client.tls_set(str(certificates.ca))
    with TlsServer(server_context(certificates.wrong_host), tls_broker.port) as front:
        with pytest.raises(ssl.SSLCertVerificationError, match=r"or set tls_insecure to True"):
            client.connect("localhost", front.port)
        client.tls_insecure_set(True)
        assert _connects(client, front.port)
