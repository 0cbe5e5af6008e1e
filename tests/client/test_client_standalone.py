"""A client of one's own, without Flask, against a real broker."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_SUCCESS,
    CallbackAPIVersion,
    Client,
    Mqtt,
    MQTTv5,
    MQTTv311,
)
from flask_mqtt.process.members import living
from support.apps import make_app
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.mosquitto import Mosquitto


@contextlib.contextmanager
def looping(broker: Mosquitto, **options: Any) -> Iterator[Client]:
    """Give a client that is connected, with a thread for its handlers."""
    with closing(Client(**options)) as client:
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(client.is_connected)
        yield client


def new_topic() -> str:
    return f"standalone/{uuid.uuid4()}"


@pytest.mark.smoke
@pytest.mark.parametrize("protocol", [MQTTv311, MQTTv5])
def test_messages_come_and_go_with_loop_start(broker: Mosquitto, protocol: int) -> None:
    topic = new_topic()
    seen: list[tuple[bytes, int, Any, str]] = []
    with looping(broker, protocol=protocol, userdata={"mine": 1}) as client:

        @client.message_callback()
        def on_message(client: Client, userdata: Any, message: flask_mqtt.MQTTMessage) -> None:
            name = threading.current_thread().name
            seen.append((message.payload, message.qos, userdata, name))

        client.subscribe(topic, 2)
        for qos in (0, 1, 2):
            client.publish(topic, f"q{qos}", qos)
        wait_until(lambda: len(seen) == 3)
    assert seen == [(b"q%d" % qos, qos, {"mine": 1}, "mqtt-dispatch") for qos in (0, 1, 2)]


def test_the_codes_of_subscribing_have_names(broker: Mosquitto) -> None:
    with looping(broker) as client:
        codes = [client.subscribe("a")[0], client.unsubscribe("a")[0]]
    codes += [client.subscribe("a")[0], client.unsubscribe("a")[0]]
    names = ["MQTT_ERR_SUCCESS", "MQTT_ERR_SUCCESS", "MQTT_ERR_NO_CONN", "MQTT_ERR_NO_CONN"]
    assert [code.name for code in codes] == names


@pytest.mark.parametrize("kept", [True, 1, False, 0, None])
def test_retain_is_what_python_takes_for_true(broker: Mosquitto, kept: Any) -> None:
    topic = new_topic()
    seen: list[bool] = []
    with looping(broker) as client:
        client.publish(topic, "x", 1, kept).wait_for_publish(20)
        client.on_message = lambda _client, _userdata, message: seen.append(message.retain)
        client.on_subscribe = lambda client, *_: client.publish(topic, "y", 1)
        client.subscribe(topic, 1)
        wait_until(lambda: len(seen) == (2 if kept else 1))
    assert seen == ([True, False] if kept else [False])


def test_messages_come_and_go_with_loop(broker: Mosquitto) -> None:
    topic = new_topic()
    seen: list[bytes] = []
    client = Client()
    client.on_connect = lambda client, *_: client.subscribe(topic, 1)
    client.on_subscribe = lambda client, *_: client.publish(topic, "x", 1)
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
    client.connect(broker.host, broker.port)
    deadline = time.monotonic() + 10
    while not seen and time.monotonic() < deadline:
        assert client.loop(0.5) == MQTT_ERR_SUCCESS
    client.disconnect()
    assert seen == [b"x"]


def test_loop_forever_in_a_thread_of_ones_own(broker: Mosquitto) -> None:
    topic = new_topic()
    seen: list[tuple[bytes, str]] = []
    ends: list[int] = []
    client = Client(CallbackAPIVersion.VERSION2)

    @client.connect_callback()
    def on_connect(client: Client, *_: Any) -> None:
        client.subscribe(topic, 1)

    @client.subscribe_callback()
    def on_subscribe(client: Client, *_: Any) -> None:
        client.publish(topic, "x", 1)

    @client.topic_callback(topic)
    def on_topic(client: Client, _userdata: Any, message: flask_mqtt.MQTTMessage) -> None:
        seen.append((message.payload, threading.current_thread().name))
        client.disconnect()

    client.connect_async(broker.host, broker.port)
    thread = threading.Thread(target=lambda: ends.append(client.loop_forever()), name="mine")
    thread.start()
    thread.join(10)
    assert seen == [(b"x", "mine")]
    assert ends == [MQTT_ERR_NO_CONN]
    assert not client.is_connected()


def test_an_async_handler_runs_to_its_end(broker: Mosquitto) -> None:
    topic = new_topic()
    seen: list[bytes] = []
    with looping(broker) as client:

        @client.topic_callback(topic)
        async def on_topic(_client: Client, _userdata: Any, message: Any) -> None:
            await asyncio.sleep(0)
            seen.append(message.payload)

        client.subscribe(topic)
        client.publish(topic, "x")
        wait_until(lambda: seen)
    assert seen == [b"x"]


def test_a_handler_has_no_application_context(broker: Mosquitto) -> None:
    from flask import has_app_context

    contexts: list[bool] = []
    with closing(Client()) as client:
        client.on_connect = lambda *_: contexts.append(has_app_context())
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(lambda: contexts)
    assert contexts == [False]


def test_reinitialise_makes_a_new_client_of_it(broker: Mosquitto) -> None:
    topic = new_topic()
    calls: list[Any] = []
    with looping(broker, client_id=f"first-{topic}", userdata=1) as client:
        client.on_message = client.on_connect = lambda *_: calls.append("old")
        client.message_callback_add(topic, lambda *_: calls.append("old"))
        client.username_pw_set("somebody", "secret")
        client.will_set(topic, "gone")
        client.enable_logger()
        wait_until(lambda: calls)
        calls.clear()
        client.reinitialise(f"second-{topic}", userdata=2)
        assert not client.is_connected()
        assert [getattr(client, name) for name in ("on_message", "on_connect", "logger")] == [
            None
        ] * 3
        assert (client.host, client.username, client.will_topic) == ("", None, "")
        assert client.user_data_get() == 2
        client.on_message = lambda _client, userdata, message: calls.append(message.payload)
        client.connect(broker.host, broker.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.subscribe(topic, 1)
        client.publish(topic, "new", 1)
        wait_until(lambda: calls)
    assert calls == [b"new"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"client_id": "x" * 70_000}, ValueError),
        ({"client_id": ["no", "text"]}, TypeError),
        ({"clean_session": False}, ValueError),
    ],
)
def test_reinitialise_with_a_refused_argument_changes_nothing(
    broker: Mosquitto, arguments: dict[str, Any], error: type[Exception]
) -> None:
    topic = new_topic()
    got: list[bytes] = []
    with looping(broker, client_id=topic) as client:
        client.on_message = lambda _client, _userdata, message: got.append(message.payload)
        client.subscribe(topic, 1)
        wait_until(client.is_connected)
        with pytest.raises(error):
            client.reinitialise(**arguments)
        assert client.is_connected()
        client.publish(topic, "still there", 1)
        wait_until(lambda: got)
        # Forks and the end of the process know of it.
        assert client._parts.connection in living()
    assert got == [b"still there"]


def test_reinitialise_is_not_for_handlers(broker: Mosquitto) -> None:
    errors: list[str] = []

    def on_connect(client: Client, *_: Any) -> None:
        try:
            client.reinitialise()
        except RuntimeError as error:
            errors.append(str(error))

    with looping(broker) as client:
        client.on_connect = on_connect
        wait_until(lambda: errors)
        assert client.is_connected()
    assert "no handler can call it" in errors[0]


def test_reinitialise_leaves_the_extension_its_part(broker: Mosquitto) -> None:
    from flask import current_app

    names: list[str] = []
    with Mqtt(make_app(broker.port)) as mqtt:
        wait_until(lambda: mqtt.connected)
        mqtt.client.reinitialise()
        assert not mqtt.connected
        mqtt.client.on_connect = lambda *_: names.append(current_app.name)
        mqtt.client.connect(broker.host, broker.port)
        mqtt.client.loop_start()
        wait_until(lambda: mqtt.connected and names)
    assert names == ["tests"]


@pytest.mark.slow
def test_nothing_warns_and_the_module_is_imported_quickly(broker: Mosquitto) -> None:
    # The CPU's time, which other work on the machine changes little.
    code = (
        "import time, flask; begin = time.process_time(); "
        "import flask_mqtt; took = time.process_time() - begin; "
        "flask_mqtt.Mqtt(); flask_mqtt.Client(); "
        "flask_mqtt.Client(flask_mqtt.CallbackAPIVersion.VERSION1, 'me'); print(took)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert float(done.stdout) < 2
