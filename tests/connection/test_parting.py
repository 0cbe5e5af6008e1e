"""The end of a connection that the application wants: nothing is lost, and DISCONNECT is the last.

Each way of parting is tried `PARTING_ROUNDS` times (3) with each way to a broker; for a long run:

    PARTING_ROUNDS=100 ./scripts/test tests/connection/test_parting.py
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, Mqtt, MQTTv5
from support.apps import app_for, make_app
from support.packets import MQTT5
from support.peer import Peer
from support.proxy import HttpProxy, SocksProxy
from support.running import closing, connected
from support.script import running
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask import Flask
    from typing_extensions import Self

    from support.certificates import Certificates
    from support.mosquitto import Mosquitto

ROUNDS = int(os.environ.get("PARTING_ROUNDS", "3"))
MESSAGES = 300
PAYLOAD = b"x" * 200

WAYS = ["tcp", "tls", "ws", "wss", "unix", "http-proxy", "socks-proxy", "tls-proxy"]


@pytest.fixture
def app_by(
    tls_broker: Mosquitto, certificates: Certificates, tmp_path: Path
) -> Iterator[Callable[..., Flask]]:
    """Make applications that reach the broker in a way."""
    with contextlib.ExitStack() as proxies:

        def make(way: str, **config: Any) -> Flask:
            listeners = tls_broker.listeners
            if way.endswith("-proxy"):
                kind = SocksProxy if way == "socks-proxy" else HttpProxy
                proxy = proxies.enter_context(kind(tmp_path))
                config["proxy"] = proxy.url
            trusted = {"tls_ca_certs": certificates.ca}
            match way.split("-", maxsplit=1)[0]:
                case "tls":
                    port = listeners["tls"].port
                    return app_for(f"mqtts://127.0.0.1:{port}", **trusted, **config)
                case "wss":
                    port = listeners["wss"].port
                    return app_for(f"wss://127.0.0.1:{port}/mqtt", **trusted, **config)
                case "ws":
                    return app_for(f"ws://127.0.0.1:{listeners['ws'].port}/mqtt", **config)
                case "unix":
                    return app_for(f"unix://{listeners['unix'].path}", **config)
            return make_app(tls_broker.port, **config)

        yield make


class Observer:
    """Another client of the broker, which counts."""

    def __init__(self, port: int, topic: str) -> None:
        self.topic = topic
        self.peer = Peer(port, f"{topic}/#")

    def __enter__(self) -> Self:
        self.peer.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.peer.__exit__(None, None, None)

    def expect(self, count: int, log: Callable[[], str], client_id: str) -> None:
        """Expect so many messages of a client that has left with a DISCONNECT, and no will."""
        seen = [self.peer.receive(10).topic for _ in range(count)]
        assert seen == [f"{self.topic}/{number}" for number in range(count)]
        wait_until(lambda: f"Received DISCONNECT from {client_id}\n" in log())
        assert self.peer.nothing_came_before(f"{self.topic}/marker")


def burst(client: Any, topic: str, qos: int = 0) -> None:
    """Publish many messages, which the broker sends back at the same time."""
    client.subscribe(f"{topic}/#")
    for number in range(MESSAGES):
        assert client.publish(f"{topic}/{number}", PAYLOAD, qos)[0] == 0


def with_will(topic: str, client_id: str) -> dict[str, Any]:
    will = {"last_will_topic": f"{topic}/will", "last_will_message": "died"}
    return {"client_id": client_id, **will}


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("way", WAYS)
def test_what_was_published_arrives_whatever_the_broker_still_says(
    app_by: Callable[..., Flask], tls_broker: Mosquitto, way: str, qos: int
) -> None:
    app = app_by(way)
    for count in range(ROUNDS):
        topic = f"parting/{way}/{qos}/{count}"
        client_id = topic.replace("/", "-")
        app.config.update(
            {f"MQTT_{key.upper()}": value for key, value in with_will(topic, client_id).items()}
        )
        with (
            Observer(tls_broker.port, topic) as observer,
            connected(app) as mqtt,
        ):
            burst(mqtt, topic, qos)
            mqtt.client.disconnect()
            observer.expect(MESSAGES, lambda: tls_broker.log, client_id)


def leave_by_disconnect(mqtt: Mqtt) -> None:
    mqtt._disconnect()


def leave_by_close(mqtt: Mqtt) -> None:
    mqtt.close()


def leave_for_another_connection(mqtt: Mqtt) -> None:
    mqtt.client.reconnect()


def leave_by_connect(mqtt: Mqtt) -> None:
    mqtt.client.connect("127.0.0.1", mqtt.broker_port)


def leave_for_another_application(mqtt: Mqtt) -> None:
    mqtt.init_app(make_app(mqtt.broker_port, client_id="parting-other"))


@pytest.mark.parametrize(
    "leave",
    [
        leave_by_disconnect,
        leave_by_close,
        leave_for_another_connection,
        leave_by_connect,
        leave_for_another_application,
    ],
)
def test_nothing_is_lost_however_a_connection_is_ended(
    broker: Mosquitto, leave: Callable[[Mqtt], None]
) -> None:
    for count in range(ROUNDS):
        topic = f"parting/{leave.__name__}/{count}"
        client_id = topic.replace("/", "-")
        app = make_app(broker.port, **with_will(topic, client_id))
        with Observer(broker.port, topic) as observer, connected(app) as mqtt:
            burst(mqtt, topic)
            leave(mqtt)
            observer.expect(MESSAGES, lambda: broker.log, client_id)


@pytest.mark.slow
@pytest.mark.parametrize("loops", [True, False], ids=["loop_start", "no loop"])
def test_nothing_is_lost_at_the_end_of_the_process(broker: Mosquitto, loops: bool) -> None:
    for count in range(ROUNDS):
        topic = f"parting/exit/{loops}/{count}"
        client_id = topic.replace("/", "-")
        code = f"""
            client = flask_mqtt.Client(client_id={client_id!r})
            client.will_set("{topic}/will", "died")
            client.connect("127.0.0.1", {broker.port})
            {"client.loop_start()" if loops else ""}
            until(client.is_connected)
            client.subscribe("{topic}/#")
            for number in range({MESSAGES}):
                assert client.publish("{topic}/%d" % number, b"x" * 200)[0] == 0
        """
        with Observer(broker.port, topic) as observer, running(code, broker.port) as script:
            observer.expect(MESSAGES, lambda: broker.log, client_id)
            script.process.wait(10)
            assert script.process.returncode == 0, script.errors


class Handlers:
    """Handlers that are running until they may go on."""

    def __init__(self, mqtt: Mqtt, count: int) -> None:
        self.inside, self.goes_on = threading.Barrier(count + 1), threading.Event()
        mqtt.on_message()(self.handle)

    def handle(self, *_: Any) -> None:
        self.inside.wait(10)
        self.goes_on.wait(10)


def publish_until(event: threading.Event, mqtt: Mqtt) -> None:
    while not event.wait(0.0001):
        mqtt.publish("busy", "x", 1)
        mqtt.publish("busy", "x", 0)


def disconnect_with_handlers_running() -> list[str]:
    """Return what the broker has received."""
    with ScriptedBroker(version=MQTT5, reads_on=True) as broker:
        app = make_app(broker.port, protocol_version=MQTTv5, handler_threads=3)
        with connected(app) as mqtt:
            handlers = Handlers(mqtt, 3)
            publisher = threading.Thread(target=publish_until, args=(handlers.goes_on, mqtt))
            for number in range(3):
                broker.publish(f"t/{number}", b"x", qos=1)
            handlers.inside.wait(10)
            publisher.start()
            mqtt.client.disconnect()
            # What is published from now on is for another connection.
            assert mqtt.publish("late", "x", 0)[0] == MQTT_ERR_NO_CONN
            broker.wait_for("DISCONNECT")
            handlers.goes_on.set()
            publisher.join(10)
            broker.wait_closed()
        assert not any(packet.topic == "late" for packet in broker.of("PUBLISH"))
        return [packet.kind for packet in broker.packets]


@pytest.mark.slow
def test_nothing_follows_a_disconnect_while_handlers_run_and_threads_publish() -> None:
    for _ in range(ROUNDS * 3):
        kinds = disconnect_with_handlers_running()
        assert kinds.count("DISCONNECT") == 1
        assert kinds[-1] == "DISCONNECT", kinds[-5:]


def complain_with_a_handler_running() -> list[str]:
    """Return what the broker has received."""
    with ScriptedBroker(version=MQTT5, reads_on=True) as broker:
        app = make_app(broker.port, protocol_version=MQTTv5, reconnect_on_failure=False)
        with connected(app) as mqtt:
            handlers = Handlers(mqtt, 1)
            broker.publish("t", b"x", qos=1)
            handlers.inside.wait(10)
            # A second CONNACK breaks the protocol.
            broker.send(MQTT5.connack())
            broker.wait_for("DISCONNECT")
            handlers.goes_on.set()
            broker.wait_closed()
        return [packet.kind for packet in broker.packets]


@pytest.mark.slow
def test_nothing_follows_a_complaint_while_handlers_run() -> None:
    for _ in range(ROUNDS * 3):
        assert complain_with_a_handler_running() == ["CONNECT", "DISCONNECT"]


def test_a_broker_that_writes_all_the_time_gets_everything_first() -> None:
    # It reads nothing before it could write, and far more than fits into the buffers between.
    def flood(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind == "PUBLISH":
            broker.publish("echo", b"x" * 20_000)
        return False

    with ScriptedBroker(hook=flood) as broker:
        app = make_app(broker.port, max_incoming_messages=10)
        with connected(app) as mqtt:
            stuck = threading.Event()
            mqtt.on_message()(lambda *_: stuck.wait(10))
            for number in range(1000):
                assert mqtt.publish("t", f"{number}", 1)[0] == 0
            mqtt.client.disconnect()
            broker.wait_for("DISCONNECT", timeout=20)
            stuck.set()
        payloads = [packet.payload for packet in broker.of("PUBLISH")]
        assert payloads == [str(number).encode() for number in range(1000)]
        assert broker.packets[-1].kind == "DISCONNECT"


def test_what_is_published_after_a_disconnect_goes_with_the_next_connection(
    scripted: ScriptedBroker,
) -> None:
    with closing(Client()) as client:
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        client.disconnect()
        kept = client.publish("kept", "x", 1)
        assert kept.rc == MQTT_ERR_NO_CONN
        assert client.subscribe("late")[0] == MQTT_ERR_NO_CONN
        scripted.wait_closed()
        assert [packet.kind for packet in scripted.packets] == ["CONNECT", "DISCONNECT"]
        client.reconnect()
        scripted.wait_for(lambda packet: packet.topic == "kept")
        wait_until(kept.is_published)
