"""TLS for longer than a connection: restarts, and files that are replaced in between."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from support.apps import make_app
from support.certificates import Certificates
from support.mosquitto import Listener
from support.running import connected, echoes
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto

#: Whose certificate is which file, for the broker and for the client.
FILES = ("ca.pem", "server.pem", "server-key.pem", "client.pem", "client-key.pem")


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Certificates of another authority of the same name, with other keys."""
    return Certificates(tmp_path_factory.mktemp("renewed"))


@pytest.fixture
def files(tmp_path: Path, certificates: Certificates) -> Path:
    """Give a directory with the certificates that are in use."""
    install(certificates, tmp_path)
    return tmp_path


def install(certificates: Certificates, directory: Path) -> None:
    """Put certificates where broker and client look for them."""
    for name in FILES:
        shutil.copy(certificates.directory / name, directory / name)


def mutual(start: Callable[..., Mosquitto], files: Path) -> Mosquitto:
    """Start a broker that wants the client's certificate."""
    listener = Listener(
        certificate=files / "server.pem",
        key=files / "server-key.pem",
        cafile=files / "ca.pem",
        require_certificate=True,
    )
    return start(listeners={"tls": listener})


def keys_for(files: Path) -> dict[str, Any]:
    return {
        "tls_enabled": True,
        "tls_ca_certs": files / "ca.pem",
        "tls_certfile": files / "client.pem",
        "tls_keyfile": files / "client-key.pem",
    }


def test_a_connection_comes_back_when_the_broker_does(
    broker_factory: Callable[..., Mosquitto], files: Path
) -> None:
    broker = mutual(broker_factory, files)
    connects: list[int] = []
    with connected(make_app(broker.listeners["tls"].port, **keys_for(files))) as mqtt:
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: connects.append(rc))
        assert echoes(mqtt)
        broker.restart()
        wait_until(lambda: connects == [0])
        assert echoes(mqtt)


def test_certificates_that_were_renewed_are_taken_by_the_next_connection(
    broker_factory: Callable[..., Mosquitto], files: Path, renewed: Certificates
) -> None:
    broker = mutual(broker_factory, files)
    connects: list[int] = []
    with connected(make_app(broker.listeners["tls"].port, **keys_for(files))) as mqtt:
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: connects.append(rc))
        broker.stop()
        install(renewed, files)
        broker.start()
        wait_until(lambda: connects == [0])
        assert echoes(mqtt)


@pytest.mark.slow
def test_a_file_that_is_missing_meanwhile_is_logged_and_waited_for(
    broker_factory: Callable[..., Mosquitto], files: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = mutual(broker_factory, files)
    connects: list[int] = []
    ca, away = files / "client.pem", files / "away"
    with (
        caplog.at_level(logging.WARNING, "flask_mqtt"),
        connected(make_app(broker.listeners["tls"].port, **keys_for(files))) as mqtt,
    ):
        mqtt.on_connect()(lambda _client, _userdata, _flags, rc: connects.append(rc))
        ca.rename(away)
        broker.restart()
        wait_until(lambda: "MQTT_TLS_CERTFILE: cannot read" in caplog.text)
        away.rename(ca)
        wait_until(lambda: connects == [0])
        assert echoes(mqtt)
