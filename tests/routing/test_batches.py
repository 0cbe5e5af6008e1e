"""Batches: what is handled together, when, and what is acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from typing_extensions import TypeAliasType

from flask_mqtt import Mqtt, MQTTMessage
from flask_mqtt.routing import batches
from flask_mqtt.routing.signature import item_of
from support.apps import make_app
from support.batches import FOREVER, Seen, send
from support.pool import mids
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        # Time for another call to begin, which must not.
        time.sleep(0.002)
        seen.extend((message.topic, int(message.payload)) for message in messages)
        running.clear()

    for number in range(300):
        scripted.publish(f"t/{number % 5}", b"%d" % number, qos=1)
    scripted.wait_for("PUBACK", 300)
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
    assert entered.wait(20)
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


@dataclass
class Reading:
    value: float


Readings = TypeAliasType("Readings", list[Reading])


@pytest.mark.parametrize(
    "annotation",
    [
        list[Reading],
        Sequence[Reading],
        Iterable[Reading],
        Collection[Reading],
        Annotated[list[Reading], "decoded"],
        Readings,
    ],
)
def test_whatever_a_list_is_called_its_items_are_decoded(
    scripted: ScriptedBroker, mqtt: Mqtt, annotation: Any
) -> None:
    handled: list[Any] = []

    def handle(client: Any, readings: Any) -> None:
        handled.extend(readings)

    handle.__annotations__["readings"] = annotation
    mqtt.batch("t/+", max=1)(handle)
    scripted.publish("t/1", b'{"value": 1}')
    wait_until(lambda: handled)
    assert handled == [Reading(1.0)]


@pytest.mark.parametrize(
    "annotation",
    [Reading, tuple[Reading, ...], set[Reading], list[Reading] | None, dict[str, int]],
)
def test_a_payload_type_that_is_no_list_is_refused(annotation: Any) -> None:
    def handle(client: Any, readings: Any) -> None: ...

    handle.__annotations__["readings"] = annotation
    with pytest.raises(TypeError, match=r"parameter 'readings' gets a list, as in list\[Reading\]"):
        Mqtt().batch("t/+")(handle)


@pytest.mark.parametrize(
    "annotation", [list, list[Any], Sequence[MQTTMessage], Any, "list[MQTTMessage]", object]
)
def test_a_list_of_messages_is_one_of_messages(annotation: Any) -> None:
    def handle(client: Any, messages: Any) -> None: ...

    handle.__annotations__["messages"] = annotation
    assert item_of(handle, "t/+", json=False) is None
