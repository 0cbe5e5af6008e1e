"""Settings that come from an `ssl.SSLContext` or from the system, seen by real servers."""

from __future__ import annotations

import logging
import os
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from support.apps import make_app
from support.mosquitto import Listener
from support.running import connected, echoes
from support.tls_server import TlsServer, server_context
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto
    from support.tls_server import Handshake


def seen(front: TlsServer, context: ssl.SSLContext, **keys: Any) -> Handshake:
    """Connect, send a message to and fro, and return what the server saw."""
    app = make_app(front.port, tls_enabled=True, tls_context=context, **keys)
    with connected(app) as mqtt:
        assert echoes(mqtt)
    return front.next_handshake()


TESTS = Path(__file__).parents[1]

# -- contexts -------------------------------------------------------------------------------------


@pytest.mark.smoke
def test_the_ca_certificates_of_a_context_are_trusted(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    by_text = ssl.create_default_context(cadata=certificates.ca.read_text())
    by_file = ssl.create_default_context(cafile=certificates.ca)
    with TlsServer(server_context(certificates.server), tls_broker.port) as front:
        for context in (by_text, by_file):
            assert seen(front, context).version == "TLSv1.3"


@pytest.mark.parametrize(
    "context",
    [ssl.create_default_context, lambda **_: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)],
    ids=["the system's CA certificates", "none"],
)
def test_other_ca_certificates_of_a_context_are_not(
    tls_broker: Mosquitto, certificates: Certificates, context: Callable[..., ssl.SSLContext]
) -> None:
    made = context()
    if not made.get_ca_certs():
        made.load_verify_locations(certificates.other_ca)
    app = make_app(tls_broker.listeners["tls"].port, tls_enabled=True, tls_context=made)
    with pytest.raises(ssl.SSLCertVerificationError), connected(app):
        pass


def test_a_context_may_leave_out_the_host_name_or_everything(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    chain_only = ssl.create_default_context(cafile=certificates.ca)
    chain_only.check_hostname = False
    nothing = ssl.create_default_context()
    nothing.check_hostname = False
    nothing.verify_mode = ssl.CERT_NONE
    with TlsServer(server_context(certificates.wrong_host), tls_broker.port) as front:
        for context in (chain_only, nothing):
            assert seen(front, context).cipher
    with TlsServer(server_context(certificates.self_signed), tls_broker.port) as front:
        assert seen(front, nothing).cipher
        with pytest.raises(ssl.SSLCertVerificationError):
            seen(front, chain_only)


def test_version_and_ciphers_of_a_context_are_asked_for(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    older = ssl.create_default_context(cafile=certificates.ca)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    older.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    newer = ssl.create_default_context(cafile=certificates.ca)
    newer.minimum_version = ssl.TLSVersion.TLSv1_3
    with TlsServer(server_context(certificates.server), tls_broker.port) as front:
        shaken = seen(front, older)
        assert (shaken.version, shaken.cipher) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
        assert seen(front, newer).version == "TLSv1.3"


def test_the_client_certificate_and_alpn_beside_a_context_come_from_their_keys(
    tls_broker: Mosquitto, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    server = server_context(certificates.server, alpn=["mqtt"])
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_verify_locations(certificates.ca)
    context = ssl.create_default_context(cafile=certificates.ca)
    # What it has of its own cannot be read from it, which the log says.
    context.load_cert_chain(certificates.other_client.certificate, certificates.other_client.key)
    pair = certificates.client
    keys = {"tls_certfile": pair.certificate, "tls_keyfile": pair.key, "tls_alpn": "mqtt"}
    with (
        caplog.at_level(logging.INFO, "flask_mqtt"),
        TlsServer(server, tls_broker.port) as front,
    ):
        shaken = seen(front, context, **keys)
    assert shaken.client_certificate
    assert shaken.alpn == "mqtt"
    assert "cannot be read from MQTT_TLS_CONTEXT" in caplog.text


@pytest.mark.slow
def test_a_client_takes_a_context_and_changes_its_check_of_the_host(
    tls_broker: Mosquitto, certificates: Certificates
) -> None:
    client = Client()
    client.tls_set_context(ssl.create_default_context(cafile=certificates.ca))
    with TlsServer(server_context(certificates.wrong_host), tls_broker.port) as front:
        with pytest.raises(ssl.SSLCertVerificationError):
            client.connect("localhost", front.port)
        client.tls_insecure_set(True)
        client.connect("localhost", front.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.disconnect()
        client.loop_stop()


# -- the system's CA certificates -----------------------------------------------------------------

CLOUD = """
    import os
    import ssl
    from flask import Flask
    from flask_mqtt import Mqtt
    from support.running import echoes
    from support.wait import wait_until

    app = Flask("tests")
    app.config["MQTT_BROKER_URL"] = "localhost"
    app.config["MQTT_BROKER_PORT"] = int(os.environ["PORT"])
    app.config["MQTT_USERNAME"] = "me"
    app.config["MQTT_PASSWORD"] = "secret"
    app.config["MQTT_KEEPALIVE"] = 60
    app.config["MQTT_TLS_ENABLED"] = True
    {keys}
    with Mqtt(app) as mqtt:
        wait_until(lambda: mqtt.connected)
        assert echoes(mqtt)
    print("verified")
"""


def in_a_cloud(port: int, keys: str, **environment: Path) -> str:
    """Run an application, set up as for a broker in a cloud, and return what it says at its end."""
    paths = {name: str(path) for name, path in environment.items()}
    inherited = {name: value for name, value in os.environ.items() if "SSL_CERT" not in name}
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(CLOUD).format(keys=keys)],
        env=inherited | paths | {"PORT": str(port), "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return (result.stdout + result.stderr).strip().splitlines()[-1]


@pytest.fixture
def cloud(broker_factory: Callable[..., Mosquitto], certificates: Certificates) -> int:
    """Give the port of a broker with TLS that wants a login."""
    pair = certificates.server
    listeners = {"tls": Listener(certificate=pair.certificate, key=pair.key)}
    return broker_factory(users={"me": "secret"}, listeners=listeners).listeners["tls"].port


@pytest.mark.slow
@pytest.mark.smoke
def test_the_ca_certificates_that_the_environment_names_are_the_systems(
    cloud: int, certificates: Certificates
) -> None:
    assert in_a_cloud(cloud, "", SSL_CERT_FILE=certificates.ca) == "verified"
    assert in_a_cloud(cloud, "", SSL_CERT_DIR=certificates.ca_directory) == "verified"
    end = in_a_cloud(cloud, "", SSL_CERT_FILE=certificates.other_ca)
    assert end.startswith("ssl.SSLCertVerificationError: ")
    assert "not among the system's CA certificates" in end


@pytest.mark.parametrize(
    "keys",
    [
        'app.config["MQTT_TLS_VERSION"] = ssl.PROTOCOL_TLSv1_2',
        "app.config.update(MQTT_TLS_VERSION=ssl.PROTOCOL_TLS, MQTT_TLS_INSECURE=False)",
        'app.config["MQTT_TLS_CONTEXT"] = ssl.create_default_context()',
    ],
)
def test_an_application_for_a_cloud_needs_no_authority_of_its_own(
    cloud: int, certificates: Certificates, keys: str
) -> None:
    assert in_a_cloud(cloud, keys, SSL_CERT_FILE=certificates.ca) == "verified"
