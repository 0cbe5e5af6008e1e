"""Waiting of ordinary threads: it takes no descriptor, lets others run, and ends with a signal."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from flask_mqtt import MQTT_ERR_SUCCESS, Client
from support.apps import make_app
from support.running import closing, connected, unconfirmed, waits
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_mqtt import Mqtt
    from support.mosquitto import Mosquitto

counted = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="counts in Linux's /proc/self/fd"
)

#: One for TCP, and three by which tokio watches it: an epoll instance, twice, and an eventfd.
OF_A_CONNECTION = 4


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@counted
@pytest.mark.parametrize("loop", [Client.loop_start, lambda client: client.loop(0.01)])
def test_a_connection_takes_four_descriptors_and_a_client_none(
    loop: Callable[[Client], Any],
) -> None:
    code = """
    from flask_mqtt import Client
    count = lambda: len(os.listdir("/proc/self/fd"))
    before = count()
    client = Client()
    client.on_message = client.on_connect = lambda *_: None
    say(count() - before)
    client.connect("127.0.0.1", int(sys.argv[1]))
    {}
    until(client.is_connected)
    client.publish("t", "x", 1).wait_for_publish(20)
    say(count() - before)
    client.disconnect()
    client.close()
    until(lambda: count() == before)
    say("none")
    """
    call = "client.loop_start()" if loop is Client.loop_start else "client.loop(0.01)"
    with ScriptedBroker() as broker, running(code.format(call), broker.port) as script:
        script.expect("0")
        script.expect(str(OF_A_CONNECTION))
        script.expect("none")
        assert script.finish() == 0


@counted
def test_hundreds_of_threads_wait_without_a_descriptor() -> None:
    code = """
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    mqtt = Mqtt(app)
    until(lambda: mqtt.connected)
    before = len(os.listdir("/proc/self/fd"))
    done, failed = [], []

    def wait(info):
        try:
            info.wait_for_publish(20)
            done.append(info.is_published())
        except Exception as error:
            failed.append(error)

    info = mqtt.publish("t", "x", 1)
    threads = [threading.Thread(target=wait, args=(info,)) for _ in range(300)]
    for thread in threads:
        thread.start()
    say(len(os.listdir("/proc/self/fd")) - before)
    sys.stdin.readline()
    for thread in threads:
        thread.join()
    say(len(done), set(done), failed)
    """
    with (
        ScriptedBroker(withhold={"PUBACK"}) as broker,
        running(code, broker.port) as script,
    ):
        script.expect("0")
        broker.ack("PUBACK", broker.wait_for("PUBLISH").mid)
        script.go()
        script.expect("300 {True} []")
        assert script.finish() == 0


@counted
def test_threads_wait_for_room_without_a_descriptor() -> None:
    with unconfirmed() as (broker, mqtt):
        mqtt.client.configure(publish_timeout=20, max_outgoing_bytes=1)
        mqtt.client.reconnect()
        wait_until(lambda: mqtt.connected)
        mqtt.publish("t", "first", 1)
        before = descriptors()
        codes: list[int] = []
        threads = [
            threading.Thread(target=lambda: codes.append(mqtt.publish("t", "x", 0)[0]))
            for _ in range(50)
        ]
        for thread in threads:
            thread.start()
        wait_until(lambda: all(map(waits, threads)))
        assert not codes
        assert descriptors() == before
        broker.ack("PUBACK", 1)
        for thread in threads:
            thread.join()
        assert codes == [MQTT_ERR_SUCCESS] * 50


@pytest.fixture
def interrupted() -> Iterator[None]:
    """Have Ctrl-C come in a moment."""
    timer = threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    began = time.monotonic()
    yield
    timer.join()
    assert time.monotonic() - began < 5


def wait_for_publish(mqtt: Mqtt) -> None:
    mqtt.publish("t", "x", 1).wait_for_publish()


def wait_with_a_timeout(mqtt: Mqtt) -> None:
    mqtt.publish("t", "x", 1).wait_for_publish(60)


def wait_for_room(mqtt: Mqtt) -> None:
    mqtt.client.configure(publish_timeout=60, max_outgoing_bytes=1)
    mqtt.client.reconnect()
    wait_until(lambda: mqtt.connected)
    while True:
        mqtt.publish("t", "x", 1)


def wait_for_events(mqtt: Mqtt) -> None:
    mqtt.client.loop_stop()
    mqtt.client.loop_forever()


def wait_for_an_event(mqtt: Mqtt) -> None:
    mqtt.client.loop_stop()
    while True:
        mqtt.client.loop(60)


@pytest.mark.parametrize(
    "wait",
    [wait_for_publish, wait_with_a_timeout, wait_for_room, wait_for_events, wait_for_an_event],
)
def test_a_signal_ends_the_wait_of_the_main_thread(
    wait: Callable[[Mqtt], None], request: pytest.FixtureRequest
) -> None:
    with unconfirmed() as (_, mqtt):
        request.getfixturevalue("interrupted")
        with pytest.raises(KeyboardInterrupt):
            wait(mqtt)


def test_a_signal_ends_the_wait_for_a_broker(request: pytest.FixtureRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, closing(Client()) as client:
        client.tls_set()
        request.getfixturevalue("interrupted")
        with pytest.raises(KeyboardInterrupt):
            client.connect("127.0.0.1", silent.getsockname()[1])


def test_a_handler_of_a_signal_runs_during_a_wait() -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.append(number))
    try:
        with unconfirmed() as (broker, mqtt):
            info = mqtt.publish("t", "x", 1)
            packet = broker.wait_for("PUBLISH")

            def act() -> None:
                os.kill(os.getpid(), signal.SIGUSR1)
                wait_until(lambda: seen)
                broker.ack("PUBACK", packet.mid)

            thread = threading.Thread(target=act)
            thread.start()
            info.wait_for_publish(20)
            thread.join()
            assert info.is_published()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert seen == [signal.SIGUSR1]


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01, 0.25, 1])
def test_a_wait_takes_as_long_as_it_may(timeout: float) -> None:
    with unconfirmed() as (_, mqtt):
        info = mqtt.publish("t", "x", 1)
        began = time.monotonic()
        info.wait_for_publish(timeout)
        assert timeout <= time.monotonic() - began < timeout + 1
        assert not info.is_published()


def test_a_timeout_may_be_longer_than_any_clock(scripted: ScriptedBroker) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        for timeout in (1e9, 1e18, 1e300, float("inf")):
            mqtt.publish("t", "x", 1).wait_for_publish(timeout)


class Proxied(socket.socket):
    """As PySocks has one: a socket that is still one of the system's."""


@pytest.mark.parametrize("replaced", [Proxied, mock.MagicMock()], ids=["subclass", "mock"])
def test_another_socket_class_makes_no_thread_green(replaced: Any, broker: Mosquitto) -> None:
    client = Client()
    with mock.patch("socket.socket", replaced), closing(client):
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.publish("t", "x", 1).wait_for_publish(20)
        assert client.is_connected()
