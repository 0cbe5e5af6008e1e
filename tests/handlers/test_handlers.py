"""Handlers: where they run, in which order, how they are registered, and what they may do."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_CONN_LOST, Mqtt
from support.apps import make_app
from support.wait import wait_until

if TYPE_CHECKING:
    from flask import Flask

    from support.packets import Packet
    from support.scripted import ScriptedBroker


@pytest.mark.smoke
def test_handlers_run_on_one_daemon_thread_that_python_knows(
    scripted: ScriptedBroker, app: Flask
) -> None:
    threads: list[threading.Thread] = []

    def note(*_: Any) -> None:
        threads.append(threading.current_thread())

    mqtt = Mqtt()
    mqtt.on_connect()(note)
    mqtt.on_subscribe()(note)
    mqtt.on_message()(note)
    mqtt.init_app(app)
    with mqtt:
        mqtt.subscribe("t")
        scripted.wait_for("SUBSCRIBE")
        scripted.publish("t")
        wait_until(lambda: len(threads) == 3)
    assert len(set(threads)) == 1
    assert threads[0].name == "mqtt-dispatch"
    assert threads[0].daemon
    assert threads[0] is not threading.current_thread()


def test_messages_are_handled_one_at_a_time_in_the_order_of_arrival(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[int] = []
    running = 0
    most = 0

    def handler(client: Any, userdata: Any, message: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0)  # another thread has its turn
        seen.append(int(message.payload))
        running -= 1

    mqtt.on_message()(handler)
    mqtt.on_topic("even/#")(handler)
    for number in range(2000):
        topic = "odd" if number % 2 else "even/x"
        scripted.publish(topic, str(number).encode(), qos=number % 3)
    wait_until(lambda: len(seen) == 2000)
    # QoS 2 is handed over on its PUBREL, so only the others keep the order among themselves.
    ordered = [number for number in seen if number % 3 != 2]
    assert ordered == sorted(ordered)
    exactly_once = [number for number in seen if number % 3 == 2]
    assert exactly_once == sorted(exactly_once)
    assert most == 1


def test_a_message_has_the_types_that_applications_expect(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    messages: list[Any] = []
    arguments: list[tuple[Any, ...]] = []

    @mqtt.on_message()
    def handler(*given: Any) -> None:
        arguments.append(given)
        messages.append(given[2])

    scripted.publish("é/t", b"\xff5", qos=1, mid=9, retain=True, dup=True)
    wait_until(lambda: messages)
    [message] = messages
    assert (message.topic, message.payload, message.qos) == ("é/t", b"\xff5", 1)
    assert (message.retain, message.dup, message.mid) == (True, True, 9)
    assert abs(time.monotonic() - message.timestamp) < 5
    assert arguments[0][0] is mqtt.client
    assert arguments[0][1] is None


def test_on_message_with_a_filter_is_on_topic_and_does_not_subscribe(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[str] = []
    mqtt.on_message("home/+")(lambda *_: seen.append("filter"))
    mqtt.on_message()(lambda *_: seen.append("rest"))
    scripted.publish("home/1")
    scripted.publish("away")
    wait_until(lambda: len(seen) == 2)
    assert seen == ["filter", "rest"]
    assert scripted.of("SUBSCRIBE") == []
    assert mqtt.topics == {}


def test_every_matching_topic_handler_runs_the_exact_one_first_and_on_message_does_not(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[str] = []
    for item in ("#", "+/b", "a/#", "a/b", "a/+", "x"):
        mqtt.on_topic(item)(lambda *_, item=item: seen.append(item))
    mqtt.on_message()(lambda *_: seen.append("on_message"))
    scripted.publish("a/b")
    wait_until(lambda: len(seen) >= 5)
    scripted.publish("x")
    wait_until(lambda: seen[-1:] == ["#"] and len(seen) == 7)
    assert seen == ["a/b", "a/+", "a/#", "+/b", "#", "x", "#"]


@pytest.mark.smoke
def test_a_decorator_returns_the_handler_and_the_last_one_registered_wins(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[str] = []

    @mqtt.on_message()
    def first(*_: Any) -> None:
        seen.append("first")

    @mqtt.on_message()
    def second(*_: Any) -> None:
        seen.append("second")

    assert (first.__name__, second.__name__) == ("first", "second")
    scripted.publish("t")
    wait_until(lambda: seen)
    assert seen == ["second"]


@pytest.mark.smoke
def test_a_decorator_without_parentheses_is_a_type_error() -> None:
    mqtt = Mqtt()
    decorators: list[Any] = [
        mqtt.on_connect,
        mqtt.on_disconnect,
        mqtt.on_message,
        mqtt.on_publish,
        mqtt.on_subscribe,
        mqtt.on_unsubscribe,
        mqtt.on_log,
        mqtt.on_topic,
    ]
    for decorator in decorators:
        with pytest.raises(TypeError):
            decorator(lambda *_: None)
    assert mqtt.client.on_message is None


def test_bound_methods_and_handlers_registered_in_init_work(scripted: ScriptedBroker) -> None:
    class Device(Mqtt):
        def __init__(self, app: Flask) -> None:
            self.seen: list[str] = []
            super().__init__(app)
            self.on_message()(self.receive)

            @self.on_topic("inner")
            def handler(*_: Any) -> None:
                self.seen.append("inner")

        def receive(self, client: Any, userdata: Any, message: Any) -> None:
            self.seen.append(message.topic)

    with Device(make_app(scripted.port)) as device:
        wait_until(lambda: device.connected)
        scripted.publish("outer")
        scripted.publish("inner")
        wait_until(lambda: len(device.seen) == 2)
    assert device.seen == ["outer", "inner"]


def test_on_disconnect_may_take_three_arguments_none_or_any_number(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[Any] = []

    class Owner:
        def none(self) -> None:
            seen.append("none")

        def three(self, client: Any, userdata: Any, rc: int) -> None:
            seen.append(rc)

    handlers: list[Any] = [
        lambda: seen.append("nothing"),
        lambda client, userdata, rc: seen.append(rc),
        lambda *arguments: seen.append(len(arguments)),
        lambda client=None: seen.append("default"),
        Owner().none,
        Owner().three,
    ]
    for handler in handlers:
        mqtt.client.on_disconnect = handler
        mqtt.client._parts.events.call_on_disconnect(None, 7)
    assert seen == ["nothing", 7, 3, "default", "none", 7]


def test_a_lost_connection_calls_on_disconnect_with_its_reason(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[tuple[int, bool]] = []
    mqtt.on_disconnect()(lambda _client, _userdata, rc: seen.append((rc, mqtt.connected)))
    scripted.drop()
    wait_until(lambda: seen)
    assert seen == [(MQTT_ERR_CONN_LOST, False)]


def test_messages_that_came_before_any_handler_are_delivered_to_the_first(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[bytes] = []
    for number in range(10):
        scripted.publish("t", str(number).encode(), qos=1)
    mqtt.publish("marker", qos=1)
    scripted.wait_for("PUBLISH")
    assert scripted.of("PUBACK") == []
    mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
    wait_until(lambda: len(seen) == 10)
    assert seen == [str(number).encode() for number in range(10)]
    scripted.wait_for("PUBACK", count=10)


def test_of_messages_that_came_before_any_handler_the_oldest_are_dropped_with_a_warning(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []
    for number in range(1005):
        scripted.publish("t", str(number).encode())
    wait_until(lambda: mqtt.stats()["dropped"]["no_handler"] == 5)
    mqtt.on_message()(lambda _client, _userdata, message: seen.append(int(message.payload)))
    wait_until(lambda: len(seen) == 1000)
    assert seen == list(range(5, 1005))
    [begun, ended] = caplog.messages
    assert "dropped the oldest message, on 't'" in begun
    assert ended == "A message handler is registered: no longer dropping; 5 messages were discarded"


def test_on_connect_registered_late_runs_once_for_the_present_connection(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[tuple[Any, ...]] = []
    mqtt.on_connect()(lambda *arguments: seen.append(arguments))
    wait_until(lambda: seen)
    mqtt.on_message()(lambda *_: seen.append(("message",)))
    scripted.publish("t")
    wait_until(lambda: len(seen) == 2)
    assert seen == [(mqtt.client, None, {"session present": 0}, 0), ("message",)]


def test_a_handler_may_register_handlers(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    seen: list[str] = []

    @mqtt.on_connect()
    def connect(*_: Any) -> None:
        seen.append("connect")
        mqtt.on_message()(message)
        mqtt.on_topic("topic")(lambda *_: seen.append("topic"))

    def message(*_: Any) -> None:
        seen.append("message")
        mqtt.on_message()(lambda *_: seen.append("next"))

    wait_until(lambda: seen)
    for topic in ("t", "t", "topic"):
        scripted.publish(topic)
    wait_until(lambda: len(seen) == 4)
    assert seen == ["connect", "message", "next", "topic"]


def test_a_handler_may_publish_subscribe_and_unsubscribe(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    results: list[Any] = []

    @mqtt.on_message()
    def handler(client: Any, userdata: Any, message: Any) -> None:
        results.append(mqtt.publish("answer", message.payload, 1)[0])
        results.append(client.subscribe("more", 1)[0])
        results.append(mqtt.subscribe("most")[0])
        results.append(mqtt.unsubscribe("most"))

    scripted.publish("question", b"?", qos=1)
    assert scripted.wait_for("PUBLISH").payload == b"?"
    scripted.wait_for("UNSUBSCRIBE")
    wait_until(lambda: len(results) == 4)
    assert results[:3] == [0, 0, 0]
    filters = [packet.filters for packet in scripted.of("SUBSCRIBE")]
    assert filters == [(("more", 1),), (("most", 0),)]


def test_a_handler_may_disconnect_and_nothing_reconnects(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    ended: list[int] = []
    mqtt.on_message()(lambda client, _userdata, _message: client.disconnect())
    mqtt.on_disconnect()(lambda _client, _userdata, rc: ended.append(rc))
    scripted.publish("t")
    scripted.wait_for("DISCONNECT")
    wait_until(lambda: ended)
    assert ended == [0]
    assert not mqtt.connected
    with pytest.raises(AssertionError):
        scripted.wait_connected(2, timeout=1.5)


def test_the_puback_goes_out_after_the_handler_has_returned(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    entered, leave = threading.Event(), threading.Event()

    @mqtt.on_message()
    def handler(*_: Any) -> None:
        entered.set()
        leave.wait(20)

    scripted.publish("t", qos=1)
    assert entered.wait(20)
    mqtt.publish("marker")
    scripted.wait_for("PUBLISH")
    assert scripted.of("PUBACK") == []
    leave.set()
    scripted.wait_for("PUBACK")


def test_a_qos_2_message_is_handled_once_though_it_is_sent_twice(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    seen: list[bytes] = []
    mqtt.on_message()(lambda _client, _userdata, message: seen.append(message.payload))
    scripted.withhold.add("PUBREL")
    scripted.publish("t", b"once", qos=2, mid=5)
    scripted.publish("t", b"once", qos=2, mid=5, dup=True)
    scripted.wait_for("PUBREC", count=2)
    assert seen == []
    scripted.send(b"\x62\x02\x00\x05")

    def completed(packet: Packet) -> bool:
        return packet.kind == "PUBCOMP" and packet.mid == 5

    scripted.wait_for(completed)
    assert seen == [b"once"]
