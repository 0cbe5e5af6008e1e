"""Unix sockets with mosquitto: messages, and the errors of paths."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import app_for, make_app
from support.exchange import new_topic, receive, round_trip
from support.mosquitto import Listener
from support.running import closing, connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto


@pytest.mark.smoke
def test_messages_go_both_ways_with_every_qos(tls_broker: Mosquitto) -> None:
    path = tls_broker.listeners["unix"].path
    with connected(app_for(str(path), transport="unix")) as mqtt:
        round_trip(mqtt)


def test_the_path_may_be_a_name_in_the_working_directory(
    tls_broker: Mosquitto, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tls_broker.listeners["unix"].path
    assert path is not None
    monkeypatch.chdir(path.parent)
    with connected(app_for(path.name, transport="unix")) as mqtt:
        round_trip(mqtt)
    client = Client(transport="unix")
    with closing(client):
        client.connect(path.name)
        client.loop_start()
        wait_until(client.is_connected)


def test_the_default_is_the_name_of_no_socket() -> None:
    app = make_app(1883, transport="unix")
    del app.config["MQTT_BROKER_URL"]
    with pytest.raises(ValueError, match="it must be the path of the socket"):
        Mqtt(app)


def test_a_url_says_the_same(tls_broker: Mosquitto) -> None:
    with connected(app_for(f"unix://{tls_broker.listeners['unix'].path}")) as mqtt:
        round_trip(mqtt)


def test_a_large_message_arrives_complete(tls_broker: Mosquitto) -> None:
    payload, topic = bytes(range(256)) * 8192, new_topic()
    with connected(app_for(f"unix://{tls_broker.listeners['unix'].path}")) as mqtt:
        messages = receive(mqtt, topic)
        mqtt.publish(topic, payload, 1)
        assert messages.get(timeout=10).payload == payload


def test_user_and_password_are_the_keys(broker_factory: Callable[..., Mosquitto]) -> None:
    broker = broker_factory(users={"me": "s3cret"}, listeners={"unix": Listener("unix")})
    path = str(broker.listeners["unix"].path)
    with connected(app_for(path, transport="unix", username="me", password="s3cret")) as mqtt:
        round_trip(mqtt)


def test_the_connection_is_made_again_after_the_broker_was_restarted(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory(listeners={"unix": Listener("unix")})
    with connected(app_for(f"unix://{broker.listeners['unix'].path}")) as mqtt:
        broker.kill()
        wait_until(lambda: not mqtt.connected)
        broker.start()
        wait_until(lambda: mqtt.connected, what="connected again")
        round_trip(mqtt)


def test_a_path_that_is_not_there_is_a_file_not_found_error(tmp_path: Path) -> None:
    path = tmp_path / "none.sock"
    with pytest.raises(FileNotFoundError, match=r"cannot connect to .*/none\.sock") as caught:
        Mqtt(app_for(str(path), transport="unix"))
    assert str(path) in str(caught.value)


def test_a_socket_that_a_broker_left_behind_refuses_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    with pytest.raises(ConnectionRefusedError, match=r"cannot connect to .*/stale\.sock"):
        Mqtt(app_for(f"unix://{path}"))


def test_a_file_that_is_no_socket_refuses_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(OSError, match=r"cannot connect to .*/file: "):
        Mqtt(app_for(f"unix://{path}"))


def test_a_client_may_wait_for_the_socket(
    broker_factory: Callable[..., Mosquitto], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "late.sock"
    with Mqtt(app_for(f"unix://{path}"), connect_async=True) as mqtt:
        wait_until(lambda: f"next attempt to reach {path} in" in caplog.text)
        broker_factory(listeners={"unix": Listener("unix", path=path)})
        wait_until(lambda: mqtt.connected)
        round_trip(mqtt)
