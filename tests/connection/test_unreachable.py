"""What people read where a broker cannot be reached: what to look at, and no number twice."""

from __future__ import annotations

import logging
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import app_for, make_app
from support.ports import closed_port, unanswered_port
from support.running import closing, connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from pathlib import Path

ASYNC = "; connect_async=True starts without one"


def failure(app: Any, error: type[Exception], **arguments: Any) -> str:
    """Return the message of what `Mqtt` raises."""
    with pytest.raises(error) as caught:
        Mqtt(app, **arguments)
    text = str(caught.value)
    assert "os error" not in text
    assert text.count("Errno") <= 1
    return text


def test_a_refused_connection_asks_for_the_broker_and_names_the_keys(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = closed_port()
    text = failure(make_app(port), ConnectionRefusedError)
    assert text == (
        f"[Errno 111] cannot connect to 127.0.0.1:{port}: Connection refused. Is a broker running "
        f"there? Check MQTT_BROKER_URL and MQTT_BROKER_PORT{ASYNC}"
    )
    assert caplog.messages == [f"MQTT: {text}"]


def test_the_keys_have_the_prefix_of_the_extension() -> None:
    app = make_app(closed_port(), config_prefix="SENSORS")
    text = failure(app, ConnectionRefusedError, config_prefix="SENSORS")
    assert text.endswith(f"Check SENSORS_BROKER_URL and SENSORS_BROKER_PORT{ASYNC}")


def test_a_client_names_its_arguments() -> None:
    with pytest.raises(ConnectionRefusedError) as caught:
        Client().connect("127.0.0.1", closed_port())
    assert str(caught.value).endswith(
        "Is a broker running there? Check the host and the port; connect_async() starts without one"
    )


def test_of_several_brokers_the_same_is_said_once() -> None:
    urls = [f"mqtt://127.0.0.1:{closed_port()}" for _ in range(3)]
    text = failure(app_for(urls), ConnectionRefusedError)
    assert text.count("Connection refused") == 3
    assert text.count("Is a broker running there?") == 1
    assert text.endswith(ASYNC)


def test_of_different_brokers_each_is_said(tmp_path: Path) -> None:
    urls = ["mqtt://no.invalid", f"unix://{tmp_path}/none.sock"]
    text = failure(app_for(urls), FileNotFoundError)
    assert "Is the name right? Check MQTT_BROKER_URL and the network" in text
    assert text.endswith(f"Is a broker running there? Check MQTT_BROKER_URL{ASYNC}")


def test_a_socket_has_no_port(tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    for name, error in (("stale", ConnectionRefusedError), ("none", FileNotFoundError)):
        text = failure(app_for(f"unix://{tmp_path}/{name}.sock"), error)
        assert text.endswith(f". Is a broker running there? Check MQTT_BROKER_URL{ASYNC}")


def test_a_name_that_cannot_be_resolved_asks_for_the_name() -> None:
    text = failure(app_for("no.invalid"), socket.gaierror)
    assert text.endswith(f". Is the name right? Check MQTT_BROKER_URL and the network{ASYNC}")


def test_an_address_that_does_not_answer_asks_for_a_firewall() -> None:
    with unanswered_port() as port:
        text = failure(make_app(port, connection_timeout=0.2), TimeoutError)
    assert text == (
        f"no TCP connection from 127.0.0.1:{port} within 0.2 s "
        "(MQTT_CONNECTION_TIMEOUT). Is a firewall in between? "
        f"Check MQTT_BROKER_URL and MQTT_BROKER_PORT{ASYNC}"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("keys", "question"),
    [
        ({"tls_enabled": True}, "Does the broker speak TLS on this port?"),
        ({"transport": "websockets"}, "Does the broker speak websockets on this port?"),
    ],
)
def test_a_step_that_is_not_answered_asks_for_the_port_and_the_key(
    keys: dict[str, Any], question: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        app = make_app(silent.getsockname()[1], handshake_timeout=0.3, **keys)
        text = failure(app, TimeoutError)
    assert question in text
    assert "MQTT_BROKER_PORT" in text
    assert "MQTT_TLS_ENABLED" in text


def test_a_proxy_that_is_away_is_asked_for() -> None:
    app = make_app(1883, proxy=f"socks5://127.0.0.1:{closed_port()}")
    text = failure(app, ConnectionRefusedError)
    assert text.endswith(f"Is a proxy running there? Check MQTT_PROXY{ASYNC}")


def test_without_a_broker_at_the_start_the_log_asks_for_it_and_says_when_it_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = closed_port()
    mqtt = Mqtt(make_app(port), connect_async=True)
    with closing(mqtt.client):
        wait_until(lambda: caplog.messages)
        error = mqtt.stats()["last_error"]
    assert re.fullmatch(
        rf"cannot connect to 127.0.0.1:{port}: Connection refused. Is a broker running there\? "
        r"Check MQTT_BROKER_URL and MQTT_BROKER_PORT; next attempt .* in \d\.\d s",
        caplog.messages[0],
    )
    assert error is not None
    assert error["text"] == caplog.messages[0].partition("; next")[0]


def test_where_there_was_a_connection_nothing_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    with (
        ScriptedBroker() as broker,
        connected(make_app(broker.port, reconnect_delay_min=0.1)),
    ):
        broker.stop_listening()
        broker.drop()
        wait_until(lambda: "Connection refused; next attempt" in caplog.text)
    assert "Is a broker" not in caplog.text
    assert "os error" not in caplog.text


ADVICE = "How many files may a process have open? Check the limit (ulimit -n)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spare", "text"),
    [
        (0, "cannot begin to connect: Too many open files"),
        (3, f"cannot connect to 127.0.0.1:1883: Too many open files. {ADVICE}"),
    ],
)
def test_an_error_without_descriptors_has_its_number_once(spare: int, text: str) -> None:
    code = f"""
        import resource
        client = flask_mqtt.Client()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        first = os.dup(0)
        os.close(first)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + {spare}, limits[1]))
        try:
            client.connect("127.0.0.1", 1883)
        except OSError as error:
            say(error.errno, error)
    """
    with running(code, 1883) as script:
        script.expect(f"24 [Errno 24] {text}")


def test_the_level_is_that_of_an_error_where_it_is_raised(caplog: pytest.LogCaptureFixture) -> None:
    failure(make_app(closed_port()), ConnectionRefusedError)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
