"""Batches: what is handled together, when, and what is acknowledged."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Mqtt, MQTTMessage, Retry
from flask_mqtt.routing import batches, retries
from support.apps import make_app
from support.pool import mids
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from support.scripted import ScriptedBroker

#: Longer than any test takes: a batch that waits for it waits for ever.
FOREVER = 600.0


@pytest.fixture
def app(scripted: ScriptedBroker, threads: int) -> Flask:
    app = make_app(scripted.port)
    app.config["MQTT_HANDLER_THREADS"] = threads
    return app


@pytest.fixture
def mqtt(app: Flask) -> Iterator[Mqtt]:
    with connected(app) as mqtt:
        yield mqtt


class Seen:
    """What a handler of batches has got."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.threads: list[str] = []

    def handle(self, _client: Any, messages: list[MQTTMessage]) -> None:
        self.threads.append(threading.current_thread().name)
        self.batches.append([message.payload for message in messages])

    @property
    def payloads(self) -> list[bytes]:
        return [payload for batch in self.batches for payload in batch]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def send(broker: ScriptedBroker, numbers: range, qos: int = 1, topic: str = "t/1") -> None:
    for number in numbers:
        broker.publish(topic, b"%d" % number, qos=qos)


def test_a_batch_is_handled_when_it_is_full_and_acknowledged_then(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen
) -> None:
    mqtt.batch("t/+", max=3, wait=FOREVER, qos=1)(seen.handle)
    send(scripted, range(2))
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 2)
    assert not seen.batches
    assert mids(scripted) == []
    send(scripted, range(2, 7))
    scripted.wait_for("PUBACK", 6)
    assert seen.batches == [[b"0", b"1", b"2"], [b"3", b"4", b"5"]]
    assert mids(scripted) == [1, 2, 3, 4, 5, 6]
    assert mqtt.stats()["routes"]["batches"] == 2


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_batch_is_handled_when_its_time_is_over(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen, qos: int
) -> None:
    mqtt.batch("t/+", wait=0.5, qos=qos)(seen.handle)
    since = time.monotonic()
    send(scripted, range(5), qos=qos)
    wait_until(lambda: len(seen.payloads) == 5)
    assert time.monotonic() - since > 0.4
    assert seen.batches == [[b"0", b"1", b"2", b"3", b"4"]]
    if qos:
        scripted.wait_for("PUBACK" if qos == 1 else "PUBCOMP", 5)


def test_without_a_time_to_wait_it_has_what_came_together(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen
) -> None:
    mqtt.batch("t/+", wait=0)(seen.handle)
    for first in (0, 100):
        send(scripted, range(first, first + 100), qos=0)
        wait_until(lambda: len(seen.payloads) == first + 100)  # noqa: B023 - called here
    assert seen.payloads == [b"%d" % number for number in range(200)]
    assert len(seen.batches) < 200


def test_a_batch_of_many_bytes_is_full(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "_MOST_BYTES", 100)
    mqtt.batch("t/+", wait=FOREVER)(seen.handle)
    for payload in (b"x" * 60, b"y" * 60, b"z" * 200):
        scripted.publish("t/1", payload)
    wait_until(lambda: len(seen.batches) == 2)
    assert [len(batch) for batch in seen.batches] == [2, 1]


def test_the_order_of_each_topic_is_kept_while_a_handler_is_slow(
    scripted: ScriptedBroker, mqtt: Mqtt, threads: int
) -> None:
    seen: list[tuple[str, int]] = []
    running = []

    @mqtt.batch("t/+", max=7, wait=0.01, qos=1)
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        running.append(1)
        assert len(running) == 1
        time.sleep(0.002)
        seen.extend((message.topic, int(message.payload)) for message in messages)
        running.clear()

    for number in range(300):
        scripted.publish(f"t/{number % 5}", b"%d" % number, qos=1)
    scripted.wait_for("PUBACK", 300, timeout=10)
    assert mids(scripted) == list(range(1, 301))
    for topic in range(5):
        numbers = [number for name, number in seen if name == f"t/{topic}"]
        assert numbers == list(range(topic, 300, 5))
    if threads == 1:
        assert [number for _, number in seen] == list(range(300))


def test_a_handler_that_fails_is_logged_and_the_messages_acknowledged(
    scripted: ScriptedBroker, mqtt: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1)
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        calls.append(len(messages))
        raise RuntimeError("on purpose")

    send(scripted, range(4))
    scripted.wait_for("PUBACK", 4)
    assert calls == [2, 2]
    wait_until(lambda: sum(one.exc_info is not None for one in caplog.records) == 2)
    wait_until(lambda: mqtt.stats()["handlers"]["failures"] == 2)


@pytest.mark.parametrize("threads", [3], indirect=True)
def test_of_batches_that_a_thread_handles_in_one_go_each_failure_counts(
    scripted: ScriptedBroker, mqtt: Mqtt
) -> None:
    goes_on = threading.Event()

    @mqtt.batch("t/+", max=1, wait=FOREVER, qos=1)
    def handle(client: Any, messages: list[MQTTMessage]) -> None:
        assert goes_on.wait(10)
        raise RuntimeError("on purpose")

    # Another thread brings the second one meanwhile.
    send(scripted, range(1), topic="t/1")
    send(scripted, range(1), topic="t/2")
    wait_until(lambda: mqtt.stats()["handlers"]["calls"] == 1)
    goes_on.set()
    scripted.wait_for("PUBACK", 2)
    wait_until(lambda: mqtt.stats()["handlers"]["failures"] == 2)


def test_a_handler_has_the_application_s_context(
    scripted: ScriptedBroker, mqtt: Mqtt, app: Flask
) -> None:
    from flask import current_app

    seen: list[str] = []

    @mqtt.batch("t/+", max=2, wait=0.05)
    async def handle(client: Any, messages: list[MQTTMessage]) -> None:
        assert client is mqtt.client
        seen.extend(current_app.name for _ in messages)

    # The last one is handled when its time is over.
    send(scripted, range(3), qos=0)
    wait_until(lambda: len(seen) == 3)
    assert set(seen) == {app.name}


@pytest.mark.parametrize("how", ["close", "disconnect", "loop_stop"])
def test_what_is_collected_is_handled_before_the_connection_ends(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen, how: str
) -> None:
    mqtt.batch("t/+", wait=FOREVER, qos=1)(seen.handle)
    send(scripted, range(3))
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 3)
    ends: dict[str, Callable[[], object]] = {
        "close": mqtt.close,
        "disconnect": mqtt.client.disconnect,
        "loop_stop": mqtt.client.loop_stop,
    }
    ends[how]()
    scripted.wait_for("PUBACK", 3)
    assert seen.batches == [[b"0", b"1", b"2"]]
    assert all(name.startswith("mqtt-") for name in seen.threads)


def test_an_async_handler_that_disconnects_does_not_wait_for_what_is_collected(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen
) -> None:
    took: list[float] = []
    mqtt.batch("t/+", wait=FOREVER, qos=1)(seen.handle)

    @mqtt.on_topic("end")
    async def end(client: Any, userdata: Any, message: MQTTMessage) -> None:
        since = time.monotonic()
        client.disconnect()
        took.append(time.monotonic() - since)

    send(scripted, range(2))
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 2)
    scripted.publish("end")
    wait_until(lambda: took and seen.batches)
    assert took[0] < 2
    # Handled this early, they may still be acknowledged before the DISCONNECT.
    assert mids(scripted) in ([], [1, 2])


def test_what_is_collected_is_handled_when_the_connection_is_lost(
    scripted: ScriptedBroker, mqtt: Mqtt, seen: Seen
) -> None:
    mqtt.client.reconnect_delay_set(0.05, 0.1)
    mqtt.batch("t/+", wait=FOREVER, qos=1)(seen.handle)
    send(scripted, range(3))
    wait_until(lambda: mqtt.client._parts.dispatcher.held.unacknowledged == 3)
    scripted.drop()
    wait_until(lambda: seen.batches)
    assert seen.batches == [[b"0", b"1", b"2"]]
    scripted.wait_for("CONNECT", 2)
    assert mids(scripted) == []


def test_a_handler_that_hangs_does_not_keep_close_for_long(
    scripted: ScriptedBroker, mqtt: Mqtt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_mqtt.client.loops.STOP_TIMEOUT", 0.2)
    monkeypatch.setattr("flask_mqtt.connection.connection.HANDLING_TIMEOUT", 0.2)
    entered, goes_on = threading.Event(), threading.Event()

    @mqtt.batch("t/+", max=2, wait=FOREVER, qos=1)
    def handle(client: Any, messages: Any) -> None:
        entered.set()
        goes_on.wait(20)

    send(scripted, range(3))
    assert entered.wait(5)
    since = time.monotonic()
    mqtt.close()
    assert time.monotonic() - since < 4
    assert mids(scripted) == []
    goes_on.set()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max": 0}, "max 0: it must be from 1 to 65535"),
        ({"max": "many"}, "max 'many': it must be an int of 1 or more"),
        ({"max": True}, "max True: it must be an int of 1 or more"),
        ({"wait": -1}, "wait -1: it must be a number of seconds from 0 to 86400"),
        ({"wait": None}, "wait None: it must be a number of seconds from 0 to 86400"),
        ({"wait": float("nan")}, "wait nan: it must be a number of seconds from 0 to 86400"),
        ({"retry": 3}, r"retry 3: it must be a Retry, as in Retry\(times=3\)"),
        ({"timeout": 0}, "timeout 0: it must be a number of seconds above 0"),
        ({"dead_letter": "errors/#"}, "dead_letter 'errors/#'"),
        ({"qos": 3}, "qos 3: it must be 0, 1 or 2"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(options: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=error):
        Mqtt().batch("t/+", **options)


def test_what_is_wrong_with_a_handler_is_said() -> None:
    mqtt = Mqtt()
    with pytest.raises(TypeError, match=r"called as handler\(client, messages\)"):
        mqtt.batch("t/+")(lambda messages: None)

    def numbers(client: Any, numbers: list[int]) -> None: ...

    with pytest.raises(
        TypeError, match="'numbers' must be a list of messages or of a payload type"
    ):
        mqtt.batch("t/+")(numbers)

    def dicts(client: Any, dicts: list[dict[str, Any]]) -> None: ...

    with pytest.raises(TypeError, match="which needs json=True"):
        mqtt.batch("t/+")(dicts)


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

    @mqtt.topic("t/+", timeout=0.1)
    def handle(client: Any, message: MQTTMessage) -> None:
        if message.payload == b"1":
            goes_on.wait(20)

    send(scripted, range(2), qos=0)
    wait_until(lambda: mqtt.stats()["routes"]["overdue"] == 1)
    goes_on.set()
    send(scripted, range(1), qos=0)
    wait_until(lambda: mqtt.stats()["handlers"]["calls"] == 3)
    [record] = [one for one in caplog.records if "more than" in one.getMessage()]
    assert record.__dict__["mqtt_event"] == "handler_overdue"
    assert record.__dict__["mqtt_topic"] == "t/1"
    assert record.__dict__["mqtt_seconds"] == 0.1
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
    mqtt.on_topic("wait")(lambda *_: before.wait(5))
    scripted.publish("wait")
    send(scripted, range(20))
    before.set()
    wait_until(lambda: len(sizes) >= 19)
    assert set(sizes) == {2}
