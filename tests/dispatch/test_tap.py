"""What observers are told: each kind of it, from whatever thread, and only as long as they want."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS, Client, Mqtt, MQTTv5
from flask_mqtt.dispatch.tap import (
    Acknowledged,
    AttemptFailed,
    Connected,
    Disconnected,
    Dropped,
    HandlerDone,
    MessageIn,
    MessageOut,
    Occurrence,
    Subscribed,
)
from support.apps import make_app
from support.packets import MQTT5
from support.ports import closed_port
from support.running import closing, connected, subscribe
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask_mqtt.dispatch.tap import Tap
    from support.mosquitto import Mosquitto


class Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.all: list[Occurrence] = []
        self.threads: set[str] = set()

    def __call__(self, what: Occurrence) -> None:
        self.all.append(what)
        self.threads.add(threading.current_thread().name)

    def of(self, kind: type[Any]) -> list[Any]:
        return [what for what in self.all if isinstance(what, kind)]

    def wait_for(self, kind: type[Any], count: int = 1) -> list[Any]:
        wait_until(lambda: len(self.of(kind)) >= count, what=f"{kind.__name__}: {self.all}")
        return self.of(kind)


def tap_of(mqtt: Mqtt) -> Tap:
    return mqtt.client._parts.dispatcher.tap


def subscribe_quietly(mqtt: Mqtt, topic: str) -> None:
    """Subscribe with the first handler of a client, and wait until that has returned."""
    subscribe(mqtt, topic, 1)
    wait_until(lambda: mqtt.stats()["handlers"]["calls"] == 1)


def test_a_life_of_a_connection_is_told_in_its_order(broker: Mosquitto) -> None:
    notes, mqtt = Notes(), Mqtt()
    tap_of(mqtt).add(notes)

    @mqtt.on_connect()
    def handle_connect(*_: Any) -> None:
        mqtt.subscribe("tap/life", 1)

    @mqtt.on_topic("tap/life")
    def handle(_client: Any, _userdata: Any, _message: Any) -> None:
        time.sleep(0.02)  # the time that the tap is told

    mqtt.init_app(make_app(broker.port))
    notes.wait_for(Subscribed)
    _, mid = mqtt.publish("tap/life", "x", 1)
    # The message of a handler, and `on_connect`.
    notes.wait_for(HandlerDone, 2)
    notes.wait_for(Acknowledged)
    mqtt.close()
    assert notes.of(Connected) == [Connected(session_present=False)]
    [subscribed] = notes.of(Subscribed)
    assert subscribed.granted == (1,)
    assert subscribed.mid > 0
    assert notes.of(MessageOut) == [MessageOut("tap/life", "x", 1, False, MQTT_ERR_SUCCESS, mid)]
    assert notes.of(Acknowledged) == [Acknowledged(mid, 0)]
    [came] = notes.of(MessageIn)
    assert (came.message.topic, came.message.payload) == ("tap/life", b"x")
    connect_done, done = notes.of(HandlerDone)
    assert connect_done.name == f"{__name__}.{qualname(handle_connect)}"
    assert connect_done.message is None
    assert (done.name, done.failed) == (f"{__name__}.{qualname(handle)}", False)
    assert done.message is came.message
    assert 0.02 <= done.seconds < 2
    assert notes.wait_for(Disconnected) == [Disconnected(MQTT_ERR_SUCCESS, None)]
    publishing = (MessageOut, Acknowledged)
    kinds = [type(what) for what in notes.all if not isinstance(what, publishing)]
    assert kinds == [Connected, HandlerDone, Subscribed, MessageIn, HandlerDone, Disconnected]
    # `publish` and `close` are this thread's.
    assert notes.threads == {"mqtt-dispatch", threading.current_thread().name}


def qualname(function: Callable[..., Any]) -> str:
    return function.__qualname__


def test_what_publish_returns_where_it_fails_and_what_disconnect_does(broker: Mosquitto) -> None:
    notes = Notes()
    with closing(Client()) as client:
        client._parts.dispatcher.tap.add(notes)
        info = client.publish("tap/none", b"x", 0, retain=True)
        assert info.rc == MQTT_ERR_NO_CONN
        expected = MessageOut("tap/none", b"x", 0, True, MQTT_ERR_NO_CONN, info.mid)
        assert notes.all == [expected]
        with pytest.raises(ValueError, match="topic"):
            client.publish("tap/+")
        assert notes.all == [expected]
        for loops in (True, False):
            client.connect("127.0.0.1", broker.port)
            if loops:
                client.loop_start()
                notes.wait_for(Connected)
            client.disconnect()
            notes.wait_for(Disconnected, 1 if loops else 2)
            client.loop_stop()
    assert notes.of(Disconnected) == [Disconnected(MQTT_ERR_SUCCESS, None)] * 2


def test_attempts_that_fail(broker: Mosquitto) -> None:
    for port, expected in [(closed_port(), AttemptFailed(None)), (0, AttemptFailed(5))]:
        notes = Notes()
        with ScriptedBroker(connack=[5]) as refusing, closing(Client()) as client:
            client._parts.dispatcher.tap.add(notes)
            client.connect_async("127.0.0.1", port or refusing.port)
            client.loop_start()
            notes.wait_for(AttemptFailed)
        assert notes.all[0] == expected
        assert notes.of(Connected) == []
    assert broker.port


def test_why_a_connection_ended(scripted: ScriptedBroker) -> None:
    notes = Notes()
    with connected(make_app(scripted.port)) as mqtt:
        tap_of(mqtt).add(notes)
        scripted.drop()
        assert notes.wait_for(Disconnected) == [Disconnected(7, None)]
        notes.wait_for(Connected)


def test_a_reason_code_of_the_broker() -> None:
    notes = Notes()
    with (
        ScriptedBroker(version=MQTT5) as broker,
        connected(make_app(broker.port, protocol_version=MQTTv5)) as mqtt,
    ):
        tap_of(mqtt).add(notes)
        # Session taken over.
        broker.send(MQTT5.disconnect(0x8E))
        [ended, *_] = notes.wait_for(Disconnected)
        assert ended.reason_code == 0x8E


@pytest.mark.parametrize("threads", [1, 4])
def test_messages_and_the_time_of_handlers_from_all_threads(
    broker: Mosquitto, threads: int
) -> None:
    notes, topic = Notes(), f"tap/pool/{threads}"
    with connected(make_app(broker.port, handler_threads=threads)) as mqtt:

        @mqtt.on_topic(f"{topic}/+")
        def handle(_client: Any, _userdata: Any, message: Any) -> None:
            if message.payload == b"bad":
                raise RuntimeError("on purpose")
            time.sleep(0.01)  # the time that the tap is told

        subscribe_quietly(mqtt, f"{topic}/+")
        tap_of(mqtt).add(notes)
        for number in range(40):
            mqtt.publish(f"{topic}/{number % 8}", "bad" if number % 10 == 0 else "good", 1)
        done = notes.wait_for(HandlerDone, 40)
        notes.wait_for(Acknowledged, 40)
    messages = [came.message for came in notes.of(MessageIn)]
    assert len(messages) == len(done) == 40
    assert {id(each.message) for each in done} == {id(message) for message in messages}
    for each in done:
        assert each.failed == (each.message.payload == b"bad")
        assert each.failed or 0.01 <= each.seconds < 2
    names = {name for name in notes.threads if name.startswith("mqtt-handler-")}
    assert len(names) == (4 if threads == 4 else 0)


def test_quick_handlers_are_told_one_by_one(broker: Mosquitto) -> None:
    notes = Notes()
    with connected(make_app(broker.port)) as mqtt:
        subscribe(mqtt, "tap/quick")
        seen: list[Any] = []
        mqtt.on_message()(lambda *_: seen.append(None))

        def play(count: int) -> None:
            seen.clear()
            for _ in range(count):
                mqtt.publish("tap/quick")
            wait_until(lambda: len(seen) == count)

        # So many that several are measured together.
        play(1_000)
        tap_of(mqtt).add(notes)
        play(100)
        notes.wait_for(HandlerDone, 100)
        assert len(notes.of(MessageIn)) == 100
        # Now of `on_subscribe`, which is called in another way.
        subscribe(mqtt, "tap/quick")
        wait_until(lambda: notes.of(HandlerDone)[-1].message is None)
        tap_of(mqtt).remove(notes)
        known = len(notes.all)
        play(100)
        assert len(notes.all) == known
        times = mqtt.stats()["handlers"]
        assert times["calls"] >= 1_200


def test_messages_that_no_handler_takes_are_told_when_they_are_dropped(broker: Mosquitto) -> None:
    notes = Notes()
    with connected(make_app(broker.port)) as mqtt:
        subscribe(mqtt, "tap/nobody")
        tap_of(mqtt).add(notes)
        for _ in range(1_010):
            mqtt.publish("tap/nobody")
        assert notes.wait_for(Dropped, 10) == [Dropped("no_handler", 1)] * 10
        assert notes.of(MessageIn) == []
        mqtt.on_message()(lambda *_: None)
        # They are in when there is somebody for them.
        notes.wait_for(MessageIn, 1_000)


def test_messages_that_handlers_are_too_slow_for_are_told_when_that_begins_and_ends(
    broker: Mosquitto,
) -> None:
    notes, entered, go_on = Notes(), threading.Event(), threading.Event()
    config: dict[str, Any] = {"incoming_overflow": "drop-newest", "max_incoming_messages": 5}
    with connected(make_app(broker.port, **config)) as mqtt:

        @mqtt.on_message()
        def handle(*_: Any) -> None:
            entered.set()
            assert go_on.wait(20)

        subscribe(mqtt, "tap/slow")
        tap_of(mqtt).add(notes)
        mqtt.publish("tap/slow")
        assert entered.wait(10)
        for _ in range(200):
            mqtt.publish("tap/slow")
        wait_until(lambda: mqtt.stats()["dropped"]["incoming_overflow"] == 195)
        go_on.set()
        assert notes.wait_for(Dropped, 2) == [
            Dropped("incoming_overflow", 0),
            Dropped("incoming_overflow", 195),
        ]


def test_reports_are_made_for_observers_and_handlers_only(broker: Mosquitto) -> None:
    notes, published = Notes(), list[int]()
    with connected(make_app(broker.port)) as mqtt:
        subscribe(mqtt, "tap/reports")
        tap_of(mqtt).add(notes)
        mids = [mqtt.publish("tap/other", "", qos)[1] for qos in (0, 1, 2)]
        acknowledged = notes.wait_for(Acknowledged, 3)
        assert sorted(acknowledged) == [Acknowledged(mid, 0) for mid in sorted(mids)]
        # A handler comes and goes, and the observer still gets them.
        mqtt.on_publish()(lambda _client, _userdata, mid: published.append(mid))
        _, mid = mqtt.publish("tap/other", "", 1)
        wait_until(lambda: published == [mid])
        mqtt.client.on_publish = None
        notes.all.clear()
        _, mid = mqtt.publish("tap/other", "", 1)
        assert notes.wait_for(Acknowledged) == [Acknowledged(mid, 0)]
        # The observer goes, and a handler still gets them.
        tap_of(mqtt).remove(notes)
        notes.all.clear()
        mqtt.on_publish()(lambda _client, _userdata, mid: published.append(mid))
        _, mid = mqtt.publish("tap/other", "", 1)
        wait_until(lambda: published[-1] == mid)
        assert notes.all == []


@pytest.mark.parametrize("threads", [1, 2])
def test_an_observer_that_fails_is_told_of_once_and_disturbs_nobody(
    broker: Mosquitto, threads: int, caplog: pytest.LogCaptureFixture
) -> None:
    notes, seen, calls = Notes(), list[bytes](), list[Occurrence]()

    def fail(what: Occurrence) -> None:
        calls.append(what)
        # In a thread of the package's nothing is meant for the program.
        is_here = threading.current_thread() is threading.main_thread()
        raise (RuntimeError if is_here else SystemExit)("on purpose")

    topic = f"tap/fail/{threads}"
    with connected(make_app(broker.port, handler_threads=threads)) as mqtt:
        mqtt.on_message()(lambda _c, _u, message: seen.append(message.payload))
        subscribe_quietly(mqtt, topic)
        tap_of(mqtt).add(fail)
        tap_of(mqtt).add(notes)
        for number in range(20):
            mqtt.publish(topic, str(number), 1)
        notes.wait_for(Acknowledged, 20)
        notes.wait_for(HandlerDone, 20)
        assert seen == [b"%d" % number for number in range(20)]
        wait_until(lambda: len(calls) == len(notes.all))
        tap_of(mqtt).remove(fail)
    told = [record for record in caplog.records if record.name == "flask_mqtt"]
    told = [record for record in told if record.levelno >= logging.WARNING]
    assert [vars(record)["mqtt_event"] for record in told] == ["observer_failed"]
    assert told[0].exc_info is not None
    assert "fail" in vars(told[0])["mqtt_handler"]


def test_an_observer_may_call_the_client_and_change_the_observers(broker: Mosquitto) -> None:
    notes = Notes()
    with connected(make_app(broker.port)) as mqtt:

        def once(what: Occurrence) -> None:
            if isinstance(what, Subscribed):
                tap_of(mqtt).remove(once)
                tap_of(mqtt).add(notes)
                mqtt.publish("tap/inside", "", 1)
                mqtt.client.on_log = lambda *_: None

        tap_of(mqtt).add(once)
        mqtt.subscribe("tap/else")
        notes.wait_for(Acknowledged)
        with pytest.raises(ValueError, match=r"observer .*once: it was not added"):
            tap_of(mqtt).remove(once)


def test_a_handler_that_connect_calls_in_the_callers_thread_is_told(broker: Mosquitto) -> None:
    notes = Notes()
    with closing(Client()) as client:
        client.on_pre_connect = lambda *_: None
        client._parts.dispatcher.tap.add(notes)
        client.connect("127.0.0.1", broker.port)
        [done] = notes.of(HandlerDone)
        assert (done.failed, done.message) == (False, None)
        assert notes.threads == {threading.current_thread().name}


def test_what_is_meant_for_the_applications_thread_gets_there(scripted: ScriptedBroker) -> None:
    def interrupt(what: Occurrence) -> None:
        if isinstance(what, MessageIn):
            raise KeyboardInterrupt

    seen: list[bytes] = []
    with closing(Client()) as client:
        client.on_message = lambda _c, _u, message: seen.append(message.payload)
        client.connect("127.0.0.1", scripted.port)
        while not client.is_connected():
            client.loop(0.1)
        client._parts.dispatcher.tap.add(interrupt)
        scripted.publish("a", b"x", qos=1)
        with pytest.raises(KeyboardInterrupt):
            client.loop_forever()
        assert seen == []
        client._parts.dispatcher.tap.remove(interrupt)
        while not seen:
            client.loop(0.1)
        scripted.wait_for("PUBACK")
        assert seen == [b"x"]
