"""Failed messages and batches of routes: retries, dead letters, time limits."""

from __future__ import annotations

import logging
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTMessage, Retry
from flask_mqtt.routing import retries
from support.apps import make_app
from support.batches import FOREVER, Seen, send
from support.pool import mids
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask

    from support.scripted import ScriptedBroker


@pytest.fixture
def app(scripted: ScriptedBroker, threads: int) -> Flask:
    app = make_app(scripted.port)
    app.config["MQTT_HANDLER_THREADS"] = threads
    return app


@pytest.fixture
def mqtt(app: Flask) -> Iterator[Mqtt]:
    with connected(app) as mqtt:
        yield mqtt


@pytest.fixture
def seen() -> Seen:
    return Seen()


# -- retries of batches ---------------------------------------------------------------------------


def test_a_batch_is_handled_again_as_a_unit_and_later_messages_wait(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[list[bytes]] = []

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1, retry=Retry(times=3, backoff=0.05))
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        calls.append([message.payload for message in messages])
        if len(calls) < 3:
            raise RuntimeError("on purpose")

    with caplog.at_level(logging.WARNING, "flask_mqtt"):
        send(scripted, range(4))
        scripted.wait_for("PUBACK", 4)
    assert calls == [[b"0", b"1"]] * 3 + [[b"2", b"3"]]
    again = [one for one in caplog.records if "called again in" in one.getMessage()]
    assert len(again) == 2
    counted = mqtt.stats()["routes"]
    assert (counted["retries"], counted["given_up"], counted["batches"]) == (2, 0, 2)


def test_a_batch_that_is_given_up_is_acknowledged_and_sent_as_dead_letters(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    retry = Retry(times=2, backoff=0.01)

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1, retry=retry, dead_letter="errors/{topic}")
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        raise RuntimeError("on purpose")

    send(scripted, range(2))
    scripted.wait_for("PUBACK", 2)
    scripted.wait_for("PUBLISH", 2)
    letters = [(packet.topic, packet.payload) for packet in scripted.of("PUBLISH")]
    assert letters == [("errors/t/1", b"0"), ("errors/t/1", b"1")]
    counted = mqtt.stats()["routes"]
    assert (counted["retries"], counted["given_up"], counted["dead_letters"]) == (2, 1, 2)


def test_where_the_next_batch_is_full_a_failed_one_waits_no_longer(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    calls: list[list[bytes]] = []

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1, retry=Retry(times=1, backoff=1_000, longest=1e4))
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        calls.append([message.payload for message in messages])
        if messages[0].payload == b"0":
            raise RuntimeError("on purpose")

    send(scripted, range(4))
    scripted.wait_for("PUBACK", 4)
    assert calls == [[b"0", b"1"], [b"0", b"1"], [b"2", b"3"]]


def test_a_failed_batch_is_not_acknowledged_when_the_connection_ends(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1, retry=Retry(times=1, backoff=1_000, longest=1e4))
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        calls.append(1)
        raise RuntimeError("on purpose")

    send(scripted, range(3))
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 3 and calls)
    mqtt.close()
    scripted.wait_for("DISCONNECT")
    assert mids(scripted) == []
    [record] = [one for one in caplog.records if "could handle 3 messages" in one.getMessage()]
    assert record.__dict__["mqtt_lost"] == 0


# -- retries of messages --------------------------------------------------------------------------


def test_a_message_is_handled_again_and_others_of_its_topic_wait(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    calls: list[tuple[str, bytes]] = []
    failed: list[bytes] = []

    @mqtt.topic("t/<name>", qos=1, retry=Retry(times=3, backoff=0.2))
    def handle(client: Any, message: MQTTMessage, name: str) -> None:
        calls.append((name, message.payload))
        if name == "bad" and message.payload == b"0" and len(failed) < 2:
            failed.append(message.payload)
            raise RuntimeError("on purpose")

    send(scripted, range(3), topic="t/bad")
    send(scripted, range(3, 6), topic="t/good")
    wait_until(lambda: len(calls) == 4)
    # Others do not wait for it, but to be acknowledged.
    assert sorted(calls) == [("bad", b"0"), *(("good", b"%d" % one) for one in (3, 4, 5))]
    assert mids(scripted) == []
    scripted.wait_for("PUBACK", 6)
    assert mids(scripted) == [1, 2, 3, 4, 5, 6]
    bad = [payload for name, payload in calls if name == "bad"]
    assert bad == [b"0", b"0", b"0", b"1", b"2"]
    assert mqtt.stats()["routes"]["retries"] == 2


def test_a_message_that_is_given_up_is_acknowledged_and_sent_as_a_dead_letter(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    @mqtt.topic("t/+", qos=1, retry=Retry(times=2, backoff=0.01), dead_letter="errors/{topic}")
    def handle(client: Any, message: MQTTMessage) -> None:
        if message.payload != b"2":
            raise RuntimeError("on purpose")

    send(scripted, range(3))
    scripted.wait_for("PUBACK", 3)
    scripted.wait_for("PUBLISH", 2)
    letters = [(packet.topic, packet.payload) for packet in scripted.of("PUBLISH")]
    assert letters == [("errors/t/1", b"0"), ("errors/t/1", b"1")]
    counted = mqtt.stats()["routes"]
    assert (counted["retries"], counted["given_up"], counted["dead_letters"]) == (4, 2, 2)
    given_up = [one for one in caplog.records if "has failed 3 times" in one.getMessage()]
    assert len(given_up) == 2
    assert mqtt.stats()["handlers"]["failures"] == 2


def test_without_retries_a_dead_letter_follows_the_first_failure(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    @mqtt.topic("t/+", qos=1, dead_letter="errors/{topic}")
    def handle(client: Any, message: MQTTMessage) -> None:
        raise RuntimeError("on purpose")

    send(scripted, range(1))
    scripted.wait_for("PUBACK")
    assert scripted.wait_for("PUBLISH").topic == "errors/t/1"
    assert mqtt.stats()["handlers"]["failures"] == 1


def test_beyond_the_bound_failures_are_tried_again_at_once(
    scripted: ScriptedBroker, mqtt: Mqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "_MOST_MESSAGES", 4)
    calls: list[bytes] = []

    @mqtt.topic("t/<name>", qos=1, retry=Retry(times=1, backoff=1_000, longest=1e4))
    def handle(client: Any, message: MQTTMessage, name: str) -> None:
        calls.append(message.payload)
        if name == "bad":
            raise RuntimeError("on purpose")

    send(scripted, range(10), topic="t/bad")
    scripted.wait_for("PUBACK", 6)
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 4)
    # The first one is called twice at once, and each of the others too when its turn comes.
    assert calls.count(b"0") == 2
    assert mqtt.stats()["routes"]["given_up"] >= 3


def test_a_failed_message_is_not_acknowledged_when_the_connection_ends(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    @mqtt.topic("t/+", qos=1, retry=Retry(times=1, backoff=1_000, longest=1e4))
    def handle(client: Any, message: MQTTMessage) -> None:
        calls.append(1)
        raise RuntimeError("on purpose")

    send(scripted, range(2))
    scripted.publish("t/1", b"lost", qos=0)
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 2 and calls)
    mqtt.close()
    scripted.wait_for("DISCONNECT")
    assert mids(scripted) == []
    wait_until(lambda: any("could handle" in one.getMessage() for one in caplog.records))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"times": 0}, "times 0: it must be from 1 to 1000000"),
        ({"times": 1.5}, "times 1.5: it must be an int of 1 or more"),
        ({"times": 1, "backoff": -1}, "backoff -1: it must be a number of seconds"),
        ({"times": 1, "factor": 0.5}, "factor 0.5: it must be a number of 1 or more"),
        ({"times": 1, "factor": "2"}, "factor '2': it must be a number of 1 or more"),
        ({"times": 1, "longest": float("inf")}, "longest inf: it must be a number of seconds"),
    ],
)
def test_what_is_wrong_with_a_retry_is_said(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        Retry(**arguments)


def test_the_seconds_between_attempts_grow_up_to_a_limit() -> None:
    retry = Retry(times=2_000, backoff=0.5, factor=3, longest=10)
    assert [retry.delay(failures) for failures in (1, 2, 3, 4, 2_000)] == [0.5, 1.5, 4.5, 10, 10]


# -- time limits ----------------------------------------------------------------------------------


def test_a_handler_that_hangs_is_reported_while_it_does(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    goes_on = threading.Event()

    def told() -> list[logging.LogRecord]:
        return [one for one in caplog.records if "more than" in one.getMessage()]

    @mqtt.topic("t/+", timeout=0.5)
    def handle(client: Any, message: MQTTMessage) -> None:
        if message.payload == b"1":
            goes_on.wait(20)

    send(scripted, range(2), qos=0)
    # It is counted first.
    wait_until(told)
    goes_on.set()
    send(scripted, range(1), qos=0)
    wait_until(lambda: mqtt.stats()["handlers"]["calls"] == 3)
    [record] = told()
    assert record.__dict__["mqtt_event"] == "handler_overdue"
    assert record.__dict__["mqtt_topic"] == "t/1"
    assert record.__dict__["mqtt_seconds"] == 0.5
    assert mqtt.stats()["routes"]["overdue"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("bound", [5, 1_000])
def test_each_of_many_messages_is_handled_once_and_in_order_though_many_fail(
    scripted: ScriptedBroker, mqtt: Mqtt, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    monkeypatch.setattr(retries, "_MOST_MESSAGES", bound)
    count = 2_000
    attempts: Counter[int] = Counter()
    handled: dict[str, list[int]] = defaultdict(list)

    @mqtt.topic("t/<name>", qos=1, retry=Retry(times=3, backoff=0.002))
    def handle(client: Any, message: MQTTMessage, name: str) -> None:
        number = int(message.payload)
        attempts[number] += 1
        # The first attempts of some fail, and of none all.
        if attempts[number] <= (number * 7919 % 13) - 9:
            raise RuntimeError("on purpose")
        handled[name].append(number)

    for number in range(count):
        scripted.publish(f"t/{number % 7}", b"%d" % number, qos=1)
    scripted.wait_for("PUBACK", count, timeout=30)
    assert mids(scripted) == list(range(1, count + 1))
    assert handled == {str(topic): list(range(topic, count, 7)) for topic in range(7)}
    assert mqtt.stats()["routes"]["given_up"] == 0


# -- hooks, and failures of other kinds -----------------------------------------------------------


class Unusual(BaseException):
    """As the exceptions of green threads for a timeout: no `Exception`."""


@pytest.mark.parametrize("retry", [None, Retry(times=1, backoff=0.01)], ids=["at once", "retry"])
def test_what_is_no_exception_but_an_interrupt_is_a_failure_too(
    scripted: ScriptedBroker, mqtt: Mqtt, retry: Retry | None
) -> None:
    after: list[str] = []
    mqtt.after_message()(lambda _client, message: after.append(message.topic))

    @mqtt.topic("t/+", qos=1, retry=retry, dead_letter="errors/{topic}")
    def handle(client: Any, message: MQTTMessage) -> None:
        raise Unusual

    send(scripted, range(1))
    scripted.wait_for("PUBACK")
    assert scripted.wait_for("PUBLISH").topic == "errors/t/1"
    assert after == ["t/1"] * (1 if retry is None else 2)


def test_each_attempt_has_the_payload_that_came(scripted: ScriptedBroker, mqtt: Mqtt) -> None:
    calls: list[bytes] = []

    @mqtt.before_message()
    def unpack(client: Any, message: MQTTMessage) -> None:
        message.payload = b"unpacked " + message.payload

    @mqtt.topic("t/+", qos=1, retry=Retry(times=1, backoff=0.01), dead_letter="errors/{topic}")
    def handle(client: Any, message: MQTTMessage) -> None:
        calls.append(message.payload)
        raise RuntimeError("on purpose")

    @mqtt.topic("t/1", qos=1)
    def other(client: Any, message: MQTTMessage) -> None:
        calls.append(message.payload)

    send(scripted, range(1))
    scripted.wait_for("PUBACK")
    assert calls == [b"unpacked 0"] * 3
    assert scripted.wait_for("PUBLISH").payload == b"0"


def test_an_attempt_of_two_threads_at_once_is_one(
    scripted: ScriptedBroker, mqtt: Mqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one thread gives a message up, another one must not take it for one that is due."""
    calls: list[bytes] = []

    @mqtt.topic("t/+", qos=1, retry=Retry(times=1, backoff=0.0))
    def handle(client: Any, message: MQTTMessage) -> None:
        calls.append(message.payload)
        raise RuntimeError("on purpose")

    keepers = mqtt.client._parts.dispatcher.held.keepers
    [kept] = [one for one in keepers if isinstance(one, retries.Retries)]
    give_up = kept._give_up

    def another_thread(message: MQTTMessage, error: BaseException) -> None:
        line = kept._lines[message.topic]
        thread = threading.Thread(target=kept._attempt, args=(line,), kwargs={"at_once": True})
        thread.start()
        thread.join()
        give_up(message, error)

    monkeypatch.setattr(kept, "_give_up", another_thread)
    send(scripted, range(2))
    scripted.wait_for("PUBACK", 2)
    assert calls == [b"0", b"0", b"1", b"1"]


class TextlessError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("retry", [None, Retry(times=1, backoff=0.01)], ids=["at once", "retry"])
@pytest.mark.parametrize("is_batch", [False, True], ids=["messages", "batches"])
def test_nothing_stands_still_where_an_exception_has_no_text(
    scripted: ScriptedBroker,
    mqtt: Mqtt,
    caplog: pytest.LogCaptureFixture,
    retry: Retry | None,
    *,
    is_batch: bool,
) -> None:
    def handle(client: Any, given: Any) -> None:
        raise TextlessError

    if is_batch:
        mqtt.batch("t/+", qos=1, max=1, retry=retry, dead_letter="errors/{topic}")(handle)
    else:
        mqtt.topic("t/+", qos=1, retry=retry, dead_letter="errors/{topic}")(handle)
    for number in range(3):
        scripted.publish("t/1", b"%d" % number, qos=1)
        scripted.wait_for("PUBACK", number + 1)
    letters = [scripted.wait_for("PUBLISH", number).payload for number in (1, 2, 3)]
    assert letters == [b"0", b"1", b"2"]
    wait_until(lambda: mqtt.stats()["handlers"]["failures"] == 3)
    retried = [one for one in caplog.records if "TextlessError: it has no text" in one.getMessage()]
    assert len(retried) == (0 if retry is None else 3)


@pytest.mark.parametrize("is_batch", [False, True], ids=["messages", "batches"])
def test_nothing_stands_still_where_a_dead_letter_cannot_be_published(
    scripted: ScriptedBroker,
    mqtt: Mqtt,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_batch: bool,
) -> None:
    def publish(*_: Any, **__: Any) -> None:
        raise LookupError("a publish of the application's own")

    def handle(client: Any, given: Any) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr(mqtt, "publish", publish)
    if is_batch:
        mqtt.batch("t/+", qos=1, max=1, dead_letter="errors")(handle)
    else:
        retry = Retry(times=1, backoff=0.01)
        mqtt.topic("t/+", qos=1, retry=retry, dead_letter="errors")(handle)
    send(scripted, range(3))
    scripted.wait_for("PUBACK", 3)
    assert caplog.text.count("letter: LookupError: a publish of the application's own") == 3
    assert mqtt.stats()["routes"]["dead_letters_lost"] == 3


def test_no_batch_has_more_than_its_most_after_one_that_was_given_up(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    sizes: list[int] = []

    @mqtt.batch("t/+", qos=1, max=2, wait=FOREVER, retry=Retry(times=1, backoff=100, longest=1e4))
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        sizes.append(len(messages))
        raise RuntimeError("on purpose")

    # At once, so that no timer comes between them.
    before = threading.Event()
    mqtt.on_topic("wait")(lambda *_: before.wait(20))
    scripted.publish("wait")
    send(scripted, range(20))
    before.set()
    wait_until(lambda: len(sizes) >= 19)
    assert set(sizes) == {2}
