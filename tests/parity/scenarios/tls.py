"""TLS: what is verified, what is negotiated, and the errors."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt
from parity.registry import Difference, scenario
from support.apps import make_app

if TYPE_CHECKING:
    from flask import Flask

    from parity.recording import Run
    from support.tls_server import TlsServer


def secured(run: Run, port: int, **config: Any) -> Flask:
    """Make an application that uses TLS, with the version that the original needs to be told."""
    values = {
        "tls_enabled": True,
        "tls_ca_certs": run.file("ca"),
        "tls_version": ssl.PROTOCOL_TLS_CLIENT,
        **config,
    }
    return make_app(port, **{name: value for name, value in values.items() if value is not None})


def attempt(run: Run, name: str, app: Flask) -> None:
    """Record whether a connection is made, or the error."""
    try:
        mqtt = Mqtt(app)
    except Exception as error:
        numbers = [getattr(error, "verify_code", None), isinstance(error, ssl.SSLError)]
        run.fact(name, [type(error).__name__, *numbers])
    else:
        run.connected(mqtt)
        run.fact(name, "connected")
        mqtt._disconnect()


def agreed(server: TlsServer) -> list[Any]:
    seen = server.next_handshake()
    return [seen.server_name, seen.alpn, seen.version, seen.client_certificate]


@scenario()
def tls_with_an_authority_of_ones_own(run: Run) -> None:
    server = run.tls_server()
    mqtt = run.mqtt()
    mqtt.init_app(secured(run, server.port))
    run.wait_event("connect")
    run.fact("agreed", agreed(server))
    run.fact(
        "attributes",
        [
            mqtt.tls_enabled,
            mqtt.tls_ca_certs == run.file("ca"),
            mqtt.tls_cert_reqs,
            mqtt.tls_version,
            mqtt.tls_insecure,
            mqtt.tls_certfile,
            mqtt.tls_keyfile,
            mqtt.tls_ciphers,
        ],
    )
    run.call("subscribe", mqtt.subscribe, "a", 1)
    run.wait_event("subscribe")
    run.broker.publish("a", b"x" * 40_000, qos=1)
    run.wait_event("message")
    run.broker.wait_for("PUBACK")
    run.call("publish", mqtt.publish, "b", b"y" * 40_000, 1)
    run.wait_event("publish")


@scenario()
def tls_names_the_host_that_it_wants(run: Run) -> None:
    server = run.tls_server()
    run.connected(Mqtt(secured(run, server.port, broker_url="localhost")))
    run.fact("agreed", agreed(server))


@scenario()
def a_certificate_that_is_not_trusted_raises(run: Run) -> None:
    for name in ("self-signed", "expired", "not-yet-valid", "wrong-host", "unchained"):
        attempt(run, name, secured(run, run.tls_server(name).port))
    server = run.tls_server()
    attempt(run, "system roots", secured(run, server.port, tls_ca_certs=None))
    attempt(run, "other authority", secured(run, server.port, tls_ca_certs=run.file("other-ca")))
    run.only("PUBLISH")


@scenario()
def what_is_verified_can_be_chosen(run: Run) -> None:
    signed, wrong, own = map(run.tls_server, ("server", "wrong-host", "self-signed"))
    for required in (0, 1, 2, True, ssl.CERT_NONE, ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED):
        for name, server in (("signed", signed), ("self-signed", own)):
            app = secured(run, server.port, tls_cert_reqs=required)
            attempt(run, f"{name}, {required!r}", app)
    attempt(run, "another host", secured(run, wrong.port, tls_insecure=True))
    attempt(run, "chain", secured(run, own.port, tls_insecure=True))
    run.only("PUBLISH")


@scenario()
def the_tls_version_is_negotiated_or_named(run: Run) -> None:
    server = run.tls_server()
    for version in (ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLSv1_2):
        for value in (version, int(version)):
            run.connected(Mqtt(secured(run, server.port, tls_version=value)))
            run.fact(f"{version!r} as {type(value).__name__}", agreed(server))
    run.only("PUBLISH")


@scenario(
    Difference("none", ["SSLError", None, True], "connected", "the original asks for TLS 1.0"),
    Difference("TLSVersion", ["ValueError", None, False], "connected", "every constant is taken"),
)
def a_tls_version_that_is_missing_or_of_the_newer_kind(run: Run) -> None:
    port = run.tls_server().port
    attempt(run, "none", secured(run, port, tls_version=None))
    attempt(run, "TLSVersion", secured(run, port, tls_version=ssl.TLSVersion.TLSv1_3))
    run.only("PUBLISH")


@scenario()
def files_for_tls_that_cannot_be_used_raise(run: Run) -> None:
    port = run.tls_server().port
    missing, garbage, client = run.file("no-such"), run.file("garbage"), run.file("client")
    configs: dict[str, dict[str, Any]] = {
        "no authority": {"tls_ca_certs": missing},
        "no certificate": {"tls_certfile": missing, "tls_keyfile": run.file("client-key")},
        "no key": {"tls_certfile": client, "tls_keyfile": missing},
        "bad authority": {"tls_ca_certs": garbage},
        "bad certificate": {"tls_certfile": garbage, "tls_keyfile": run.file("client-key")},
        "bad key": {"tls_certfile": client, "tls_keyfile": garbage},
        "key of another": {"tls_certfile": client, "tls_keyfile": run.file("key-of-another")},
        "certificate without key": {"tls_certfile": client},
        "bad ciphers": {"tls_ciphers": "NO-SUCH-CIPHER"},
        "bad verification": {"tls_cert_reqs": 7},
        "bad version": {"tls_version": 99},
    }
    for name, config in configs.items():
        attempt(run, name, secured(run, port, **config))
    run.only("PUBLISH")


@scenario()
def a_certificate_of_the_client(run: Run) -> None:
    server = run.tls_server(clients="ca")
    for certificate, key in (("client", "client-key"), ("client", "key-sec1")):
        app = secured(
            run, server.port, tls_certfile=run.file(certificate), tls_keyfile=run.file(key)
        )
        attempt(run, key, app)
        run.fact(f"{key} is shown", agreed(server))
    app = secured(run, server.port, tls_certfile=run.file("client-combined"))
    attempt(run, "combined", app)
    run.fact("combined is shown", agreed(server))
    run.only("PUBLISH")


@scenario()
def a_certificate_of_the_client_that_is_missing(run: Run) -> None:
    server = run.tls_server(clients="ca")
    mqtt = run.mqtt()
    run.call("TLS 1.3", mqtt.init_app, secured(run, server.port))
    run.settle(0.5)
    run.fact("connected", mqtt.connected)
    run.fact("seen", bool(server.next_handshake().error))
    attempt(run, "TLS 1.2", secured(run, server.port, tls_version=ssl.PROTOCOL_TLSv1_2))
    run.events.clear()
    run.only("PUBLISH")


@scenario()
def tls_to_a_port_without_it(run: Run) -> None:
    try:
        Mqtt(secured(run, run.broker.port))
    except OSError as error:
        # Which one depends on how fast the broker closes.
        run.fact("raises", isinstance(error, (ssl.SSLError, ConnectionError)))
    run.only("PUBLISH")


@scenario()
def ciphers_can_be_chosen(run: Run) -> None:
    server = run.tls_server()
    cipher = "ECDHE-ECDSA-AES128-GCM-SHA256"
    attempt(
        run,
        "one",
        secured(run, server.port, tls_version=ssl.PROTOCOL_TLSv1_2, tls_ciphers=cipher),
    )
    run.fact("cipher", server.next_handshake().cipher)
    run.only("PUBLISH")


@scenario()
def the_keys_for_tls_mean_nothing_without_it(run: Run) -> None:
    app = run.app(tls_ca_certs="no such file", tls_certfile="nor this", tls_insecure=True)
    mqtt = run.connected(Mqtt(app))
    run.fact("enabled", mqtt.tls_enabled)


@scenario()
def connect_async_with_tls_that_fails_goes_on_trying(run: Run) -> None:
    server = run.tls_server("self-signed")
    mqtt = Mqtt(secured(run, server.port), connect_async=True)
    errors = [bool(server.next_handshake(10).error) for _ in range(2)]
    run.fact("attempts that fail", errors)
    run.fact("connected", mqtt.connected)


@scenario()
def tls_is_set_on_the_client_of_a_running_extension(run: Run) -> None:
    server = run.tls_server()
    mqtt = run.start()
    client: Any = mqtt.client
    run.call("too early", client.tls_insecure_set, True)
    run.call("tls_set", client.tls_set, run.file("ca"))
    run.fact("still connected", mqtt.connected)
    client.disconnect()
    run.wait_event("disconnect")
    run.call("connect", client.connect, "127.0.0.1", server.port, 60)
    client.loop_start()
    run.wait_event("connect", 2)
    run.fact("agreed", agreed(server))
    run.broker.drop()
    run.wait_event("connect", 3)
    run.fact("agreed again", agreed(server))


@scenario(
    Difference("again", "raises ValueError", None, "the last call counts"),
)
def tls_set_may_be_called_again(run: Run) -> None:
    client: Any = Mqtt().client
    run.call("once", client.tls_set, run.file("ca"))
    run.call("again", client.tls_set, run.file("ca"))


@scenario()
def tls_is_set_on_the_client_before_init_app(run: Run) -> None:
    server = run.tls_server("wrong-host")
    context = ssl.create_default_context(cafile=run.file("ca"))
    ways: dict[str, Any] = {"tls_set": run.file("ca"), "tls_set_context": context}
    for name, argument in ways.items():
        mqtt = Mqtt()
        client: Any = mqtt.client
        run.call(name, getattr(client, name), argument)
        run.call(f"tls_insecure_set after {name}", client.tls_insecure_set, True)
        mqtt.init_app(make_app(server.port, tls_enabled=False))
        run.connected(mqtt)
        run.fact(f"agreed after {name}", agreed(server))
