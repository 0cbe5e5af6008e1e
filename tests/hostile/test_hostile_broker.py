"""Brokers that are absent, refuse, talk nonsense or fall silent: a named error or a new attempt."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import (
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_CONN_REFUSED,
    MQTT_ERR_KEEPALIVE,
    MQTT_ERR_PROTOCOL,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    Mqtt,
)
from support import codec
from support.apps import make_app
from support.packets import MQTT311, PINGRESP
from support.ports import closed_port, unanswered_port
from support.running import connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from flask import Flask

    from support.packets import Packet

RECONNECTED = 6.0


class Observed:
    """A client whose ends of connections and answers to CONNECT are recorded."""

    def __init__(self, app: Flask, **options: Any) -> None:
        self.answers: list[int] = []
        self.ends: list[int] = []
        self.messages: list[bytes] = []
        self.states: list[bool] = []
        self.mqtt = Mqtt(**options)
        self.mqtt.on_connect()(self._connect)
        self.mqtt.on_disconnect()(lambda _client, _userdata, rc: self.ends.append(rc))
        self.mqtt.on_message()(lambda _client, _userdata, m: self.messages.append(m.payload))
        self.mqtt.init_app(app)

    def _connect(self, client: Any, userdata: Any, flags: dict[str, int], rc: int) -> None:
        self.answers.append(rc)
        self.states.append(self.mqtt.connected)

    def assert_works_on(self, broker: ScriptedBroker, connection: int) -> None:
        """Wait for that connection and see a message through."""
        broker.wait_connected(connection, RECONNECTED)
        wait_until(lambda: self.mqtt.connected, RECONNECTED, "connected again")
        broker.publish("t", b"works")
        wait_until(lambda: b"works" in self.messages, what="a message")


@contextlib.contextmanager
def observed(app: Flask, **options: Any) -> Any:
    client = Observed(app, **options)
    with client.mqtt:
        yield client


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "flask_mqtt" and record.levelno >= logging.WARNING
    ]


def test_a_closed_port_is_a_connection_refused_error_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = closed_port()
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}"):
        Mqtt(make_app(port))
    [line] = warnings(caplog)
    assert f"127.0.0.1:{port}" in line


def test_a_host_without_an_address_is_a_gaierror_that_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app(1883)
    app.config["MQTT_BROKER_URL"] = "no-such-host..invalid"
    with pytest.raises(socket.gaierror, match=r"no-such-host\.\.invalid") as caught:
        Mqtt(app)
    assert type(caught.value) is socket.gaierror
    assert caught.value.errno in (socket.EAI_NONAME, socket.EAI_AGAIN)
    [line] = warnings(caplog)
    assert "no-such-host..invalid" in line


def test_no_answer_within_the_connection_timeout_is_a_timeout_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with unanswered_port() as port:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match=f"127.0.0.1:{port} within 0.3 s"):
            Mqtt(make_app(port, connection_timeout=0.3))
        assert 0.2 < time.monotonic() - began < 2
    assert len(warnings(caplog)) == 1


def test_mqtt_may_be_initialised_again_after_an_error(scripted: ScriptedBroker) -> None:
    mqtt = Mqtt()
    app = make_app(closed_port())
    with pytest.raises(ConnectionRefusedError):
        mqtt.init_app(app)
    app.config["MQTT_BROKER_PORT"] = scripted.port
    mqtt.init_app(app)
    with mqtt:
        wait_until(lambda: mqtt.connected)


def test_connect_async_raises_nothing_logs_and_goes_on_trying(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broker = ScriptedBroker(port=closed_port())
    with observed(make_app(broker.port), connect_async=True) as client:
        wait_until(lambda: warnings(caplog))
        assert "next attempt" in warnings(caplog)[0]
        assert not client.mqtt.connected
        with broker:
            client.assert_works_on(broker, 1)


def test_a_connack_that_refuses_is_reported_by_its_code_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with contextlib.ExitStack() as stack:
        pairs = []
        for code in range(1, 6):
            broker = stack.enter_context(ScriptedBroker(connack=[code, 0]))
            pairs.append((code, broker, stack.enter_context(observed(make_app(broker.port)))))
        for code, broker, client in pairs:
            client.assert_works_on(broker, 2)
            assert client.answers == [code, 0]
            assert client.states == [False, True]
            assert client.ends == [MQTT_ERR_CONN_REFUSED]
            assert f"(code {code})" in caplog.text


def test_a_client_id_is_chosen_where_the_broker_insists_on_one() -> None:
    with ScriptedBroker(connack=[2, 0]) as broker, observed(make_app(broker.port)) as client:
        client.assert_works_on(broker, 2)
        names = [packet.connect.client_id for packet in broker.of("CONNECT") if packet.connect]
    assert names[0] == ""
    assert len(names[1]) >= 20


NONSENSE = {
    "text": b"HTTP/1.1 400 Bad Request\r\n" + b"Header: value\r\n" * 9,
    "zeros": bytes(100),
    "a type that does not exist": b"\xf0\x00",
    "a packet that clients send": codec.frame("CONNECT", codec.text("MQTT") + bytes(6)),
    "a malformed UNSUBSCRIBE": b"\xa2\x03\x00\x01\x00",
    "a second CONNACK": MQTT311.connack(),
    "a length without an end": b"\x30\xff\xff\xff\xff\xff\xff",
    "QoS 3": b"\x36\x05\x00\x01t\x00\x01",
    "a topic that is not UTF-8": b"\x30\x03\x00\x01\xff",
    "an empty topic": b"\x30\x02\x00\x00",
    "a topic longer than its packet": b"\x30\x03\xff\xfft",
    "a mid of 0": b"\x32\x05\x00\x01t\x00\x00",
    "a short PUBACK": b"\x40\x01\x00",
    "a short SUBACK": b"\x90\x01\x00",
    "an empty UNSUBACK": b"\xb0\x00",
    "a PUBACK with flags": b"\x48\x02\x00\x01",
    "a PUBREL without its flags": b"\x60\x02\x00\x01",
    "a PINGRESP with a body": b"\xd0\x01\x00",
    "a long PUBACK": b"\x40\x03\x00\x01\x00",
    "a SUBACK code that does not exist": b"\x90\x03\x00\x01\x05",
}


@pytest.mark.slow
def test_nonsense_ends_the_connection_with_a_logged_reason_and_a_new_one_works(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with contextlib.ExitStack() as stack:
        pairs = {}
        for name, data in NONSENSE.items():
            answers: list[int | bytes | None] = [MQTT311.connack() + data, 0]
            broker = stack.enter_context(ScriptedBroker(connack=answers))
            pairs[name] = (broker, stack.enter_context(observed(make_app(broker.port))))
        for name, (broker, client) in pairs.items():
            try:
                client.assert_works_on(broker, 2)
            except AssertionError as error:
                raise AssertionError(f"after {name}: {error}") from None
            assert client.ends == [MQTT_ERR_PROTOCOL], name
    reasons = [line for line in warnings(caplog) if "next attempt" in line]
    assert len(reasons) == len(NONSENSE)
    assert all(line.startswith("protocol error: ") for line in reasons)


def test_a_packet_before_the_connack_ends_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[int | bytes | None] = [MQTT311.publish("t", b"early"), 0]
    with ScriptedBroker(connack=answers) as broker, observed(make_app(broker.port)) as client:
        client.assert_works_on(broker, 2)
        assert client.messages == [b"works"]
    assert "a packet before the CONNACK" in caplog.text


def test_acknowledgements_that_nobody_waits_for_are_ignored(scripted: ScriptedBroker) -> None:
    with observed(make_app(scripted.port)) as client:
        wait_until(lambda: client.mqtt.connected)
        for kind in ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "UNSUBACK"):
            scripted.send(MQTT311.ack(kind, 999))
        scripted.send(MQTT311.suback(999, 0) + PINGRESP)
        client.assert_works_on(scripted, 1)
        assert client.ends == []


def test_half_a_packet_and_the_end_is_a_lost_connection(scripted: ScriptedBroker) -> None:
    with observed(make_app(scripted.port)) as client:
        wait_until(lambda: client.mqtt.connected)
        scripted.send(MQTT311.publish("t", b"half" * 100)[:50])
        scripted.drop()
        client.assert_works_on(scripted, 2)
        assert client.messages == [b"works"]
        assert client.ends == [MQTT_ERR_CONN_LOST]


def test_a_packet_that_comes_byte_by_byte_arrives_whole(scripted: ScriptedBroker) -> None:
    with observed(make_app(scripted.port)) as client:
        wait_until(lambda: client.mqtt.connected)
        for byte in MQTT311.publish("t", b"slow"):
            scripted.send(bytes([byte]))
        wait_until(lambda: client.messages)
        assert client.messages == [b"slow"]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_sudden_end_is_logged_and_a_new_connection_works(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture, reset: bool
) -> None:
    with observed(make_app(scripted.port)) as client:
        wait_until(lambda: client.mqtt.connected)
        scripted.drop(reset=reset)
        client.assert_works_on(scripted, 2)
        assert client.ends == [MQTT_ERR_CONN_LOST]
    [line] = warnings(caplog)
    assert "next attempt" in line


def test_a_packet_over_the_limit_ends_the_connection_with_both_sizes_logged(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    with observed(make_app(scripted.port, max_packet_size=1000)) as client:
        wait_until(lambda: client.mqtt.connected)
        scripted.publish("t", b"x" * 997)
        wait_until(lambda: client.messages)
        # The header alone is enough: what it announces is not waited for.
        scripted.send(MQTT311.publish("t", b"x" * 2000)[:10])
        client.assert_works_on(scripted, 2)
        assert client.ends == [MQTT_ERR_PROTOCOL]
    assert "packet of 2003 bytes is over the limit of 1000 bytes" in caplog.text


def test_silence_after_connect_ends_at_the_handshake_timeout(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        ScriptedBroker(connack=[None, 0]) as broker,
        observed(make_app(broker.port, connection_timeout=0.3, handshake_timeout=0.3)) as client,
    ):
        assert not client.mqtt.connected
        client.assert_works_on(broker, 2)
        assert client.answers == [0]
    assert f"no CONNACK from 127.0.0.1:{broker.port} within 0.3 s" in caplog.text


@pytest.mark.slow
def test_a_broker_that_does_not_answer_pings_is_given_up(
    scripted: ScriptedBroker, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.withhold.add("PINGRESP")
    with observed(make_app(scripted.port, keepalive=1)) as client:
        scripted.wait_for("PINGREQ")
        scripted.withhold.clear()
        client.assert_works_on(scripted, 2)
        assert client.ends == [MQTT_ERR_KEEPALIVE]
    assert "did not answer PINGREQ" in caplog.text


def test_a_broker_that_closes_each_connection_is_tried_less_and_less_often(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with ScriptedBroker(close_after=1) as broker, observed(make_app(broker.port)):
        broker.wait_for("CONNECT", 3, 8)
    times = [packet.at for packet in broker.of("CONNECT")]
    assert times[2] - times[1] > times[1] - times[0] > 0.7
    assert len(warnings(caplog)) >= 2


@pytest.mark.parametrize("qos", [0, 1])
def test_publish_waits_for_a_broker_that_reads_nothing_and_then_says_queue_size(
    scripted: ScriptedBroker, qos: int
) -> None:
    payload = b"x" * 500_000
    with connected(make_app(scripted.port, publish_timeout=0.3)) as mqtt:
        scripted.pause()
        results: list[int] = [MQTT_ERR_SUCCESS]
        while results[-1] == MQTT_ERR_SUCCESS:
            assert len(results) < 200
            began = time.monotonic()
            results.append(mqtt.publish("t", payload, qos)[0])
        assert results[-1] == MQTT_ERR_QUEUE_SIZE
        assert 0.25 < time.monotonic() - began < 2
        accepted = len(results) - 2
        mqtt.client.configure(publish_timeout=10)
        scripted.resume()
        assert mqtt.publish("t", b"after", qos)[0] == MQTT_ERR_SUCCESS

        def is_last(packet: Packet) -> bool:
            return packet.payload == b"after"

        scripted.wait_for(is_last)
        assert len(scripted.of("PUBLISH")) == accepted + 1
