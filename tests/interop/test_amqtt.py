"""amqtt, which shares nothing with mosquitto: nothing here is tuned to one broker."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import Mqtt
from support.amqtt_broker import AmqttBroker
from support.apps import app_for, make_app
from support.exchange import new_topic, receive, round_trip
from support.running import connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from flask_mqtt import MQTTMessage
    from support.certificates import Certificates

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def amqtt(
    tmp_path_factory: pytest.TempPathFactory, certificates: Certificates
) -> Iterator[AmqttBroker]:
    """An amqtt that the tests of this file share."""
    with AmqttBroker(tmp_path_factory.mktemp("amqtt"), certificates.chained) as broker:
        yield broker


def urls(broker: AmqttBroker) -> dict[str, str]:
    return {
        "tcp": f"mqtt://127.0.0.1:{broker.port}",
        "ws": f"ws://127.0.0.1:{broker.ws_port}",
        "tls": f"mqtts://localhost:{broker.tls_port}",
        "wss": f"wss://localhost:{broker.wss_port}",
    }


@pytest.mark.smoke
@pytest.mark.parametrize("way", ["tcp", "ws", "tls", "wss"])
def test_messages_go_both_ways_with_every_qos(
    amqtt: AmqttBroker, certificates: Certificates, way: str
) -> None:
    keys = {"tls_ca_certs": certificates.ca} if way in ("tls", "wss") else {}
    with connected(app_for(urls(amqtt)[way], **keys)) as mqtt:
        round_trip(mqtt)


@pytest.mark.parametrize("way", ["tcp", "ws"])
def test_a_large_message_arrives_complete(amqtt: AmqttBroker, way: str) -> None:
    payload, topic = bytes(range(256)) * 400, new_topic()
    with connected(app_for(urls(amqtt)[way])) as mqtt:
        messages = receive(mqtt, topic)
        mqtt.publish(topic, payload, 1)
        assert messages.get(timeout=10).payload == payload


def test_a_burst_of_each_qos_arrives_complete(amqtt: AmqttBroker) -> None:
    topic = new_topic()
    with connected(make_app(amqtt.port)) as mqtt:
        for qos in (0, 1, 2):
            messages = receive(mqtt, f"{topic}/{qos}", qos)
            for number in range(100):
                mqtt.publish(f"{topic}/{qos}", str(number), qos)
            got = {int(messages.get(timeout=10).payload) for _ in range(100)}
            assert got == set(range(100))


def test_on_connect_gets_0_and_no_session(amqtt: AmqttBroker) -> None:
    calls: list[tuple[dict[str, int], int]] = []
    mqtt = Mqtt()
    mqtt.on_connect()(lambda _client, _userdata, flags, rc: calls.append((flags, rc)))
    mqtt.init_app(make_app(amqtt.port))
    with mqtt:
        wait_until(lambda: calls)
    assert calls == [({"session present": 0}, 0)]


def test_a_retained_message_waits_for_its_subscriber(amqtt: AmqttBroker) -> None:
    topic = new_topic()
    with connected(make_app(amqtt.port)) as mqtt:
        sent: list[int] = []
        mqtt.on_publish()(lambda _client, _userdata, mid: sent.append(mid))
        mqtt.publish(topic, "kept", 1, retain=True)
        wait_until(lambda: sent)
    with connected(make_app(amqtt.port)) as mqtt:
        message = receive(mqtt, topic).get(timeout=20)
        assert (message.payload, message.retain) == (b"kept", True)
        mqtt.publish(topic, "", retain=True)


def test_the_will_is_published_when_the_connection_breaks_and_not_after_a_disconnect(
    amqtt: AmqttBroker,
) -> None:
    topic = new_topic()
    with connected(make_app(amqtt.port)) as watching:
        messages = receive(watching, f"{topic}/#")
        with connected(leaving(amqtt, f"{topic}/disconnect")):
            pass
        break_off(amqtt, f"{topic}/broken")
        message = messages.get(timeout=10)
        assert (message.topic, message.payload) == (f"{topic}/broken", b"gone")


def leaving(amqtt: AmqttBroker, topic: str) -> Flask:
    return make_app(amqtt.port, last_will_topic=topic, last_will_message="gone", last_will_qos=1)


def break_off(amqtt: AmqttBroker, topic: str) -> None:
    """Connect with a will in another process and kill that."""
    code = f"""
        app.config["MQTT_LAST_WILL_TOPIC"] = {topic!r}
        app.config["MQTT_LAST_WILL_MESSAGE"] = "gone"
        mqtt = Mqtt(app)
        until(lambda: mqtt.connected)
        say("connected")
        time.sleep(60)  # until it is killed
    """
    with running(code, amqtt.port) as script:
        script.expect("connected")
        script.process.kill()


def test_after_unsubscribe_nothing_comes(amqtt: AmqttBroker) -> None:
    one, other = new_topic(), new_topic()
    with connected(make_app(amqtt.port)) as mqtt:
        first, second = receive(mqtt, one), receive(mqtt, other)
        gone: list[int] = []
        mqtt.on_unsubscribe()(lambda _client, _userdata, mid: gone.append(mid))
        mqtt.unsubscribe(one)
        wait_until(lambda: gone)
        mqtt.publish(one, "nobody", 1)
        mqtt.publish(other, "marker", 1)
        assert second.get(timeout=20).payload == b"marker"
        assert first.empty()


def test_a_ping_is_answered(amqtt: AmqttBroker) -> None:
    lines: list[str] = []
    mqtt = Mqtt()
    mqtt.on_log()(lambda _client, _userdata, _level, text: lines.append(text))
    mqtt.init_app(make_app(amqtt.port, keepalive=1))
    with mqtt:
        wait_until(lambda: "Received PINGRESP" in lines)
        assert mqtt.connected


def test_the_connection_and_its_subscription_come_back_after_a_restart(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with AmqttBroker(tmp_path_factory.mktemp("amqtt")) as broker:
        topic = new_topic()
        with connected(make_app(broker.port)) as mqtt:
            messages = receive(mqtt, topic)
            broker.kill()
            wait_until(lambda: not mqtt.connected)
            broker.start()
            wait_until(lambda: mqtt.connected, what="connected again")
            with connected(app_for(urls(broker)["ws"])) as other:
                wait_until(lambda: answered(other, topic, messages))


def answered(other: Mqtt, topic: str, messages: queue.Queue[MQTTMessage]) -> bool:
    other.publish(topic, "new")
    try:
        return messages.get(timeout=0.2).payload == b"new"
    except queue.Empty:
        return False
