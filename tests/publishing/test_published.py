"""`on_publish` is called once for each message that was accepted, in order, however many wait."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_SUCCESS, Client, MQTTv5
from support.apps import make_app
from support.packets import MQTT5
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_mqtt import Mqtt
    from support.mosquitto import Mosquitto


class Reports:
    """The identifiers that `on_publish` was called with, while it may be held up."""

    def __init__(self, *, held: bool = False) -> None:
        self.mids: list[int] = []
        self._released = threading.Event()
        if not held:
            self._released.set()

    def __call__(self, _client: Any, _userdata: Any, mid: int, *_: Any) -> None:
        self._released.wait(30)
        self.mids.append(mid)

    def release(self) -> None:
        self._released.set()

    def come(self, mids: list[int]) -> None:
        """Wait until it was called for these, and no more often."""
        wait_until(lambda: len(self.mids) >= len(mids), 60)
        assert self.mids == mids


def publish(mqtt: Mqtt | Client, count: int, qos: int = 0) -> list[int]:
    """Publish so many messages, all of which are accepted; return their identifiers."""
    infos = [mqtt.publish("t", b"x", qos) for _ in range(count)]
    assert {info[0] for info in infos} == {MQTT_ERR_SUCCESS}
    return [info[1] for info in infos]


def written(client: Client) -> list[int]:
    """Count the messages that are written, or acknowledged, by QoS."""
    messages = client.stats()["published"]["messages"]
    return [messages["qos0"], messages["qos1"], messages["qos2"]]


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client(client_id="reports")) as client:
        yield client


@pytest.mark.slow
@pytest.mark.parametrize("held", [False, True], ids=["at once", "held up"])
def test_a_burst_of_qos_0_has_a_call_for_each(broker: Mosquitto, held: bool) -> None:
    reports = Reports(held=held)
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_publish()(reports)
        mids = publish(mqtt, 100_000)
        # The identifiers begin again after the last one.
        assert mids == list(itertools.islice(itertools.cycle(range(1, 65_536)), 100_000))
        if held:
            wait_until(lambda: mqtt.stats()["published"]["messages"]["qos0"] == 100_000)
            reports.release()
        reports.come(mids)
        assert mqtt.stats()["dropped"]["log_lines"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("qos", [1, 2])
def test_a_burst_of_qos_1_and_2_has_a_call_for_each(broker: Mosquitto, qos: int) -> None:
    reports = Reports(held=True)
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_publish()(reports)
        mids = publish(mqtt, 30_000, qos)
        wait_until(lambda: mqtt.stats()["in_flight"] + mqtt.stats()["queued"] == 0, 60)
        reports.release()
        reports.come(mids)


@pytest.mark.slow
def test_messages_of_every_qos_in_turn_have_a_call_each(broker: Mosquitto) -> None:
    reports = Reports(held=True)
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_publish()(reports)
        mids = [publish(mqtt, 1, number % 3)[0] for number in range(30_000)]
        wait_until(lambda: mqtt.stats()["in_flight"] + mqtt.stats()["queued"] == 0, 60)
        reports.release()
        wait_until(lambda: len(reports.mids) >= len(mids), 60)
    assert sorted(reports.mids) == sorted(mids)
    for qos in range(3):
        mine = set(mids[qos::3])
        assert [mid for mid in reports.mids if mid in mine] == mids[qos::3]


@pytest.mark.slow
def test_every_request_has_its_answer_told(broker: Mosquitto) -> None:
    subscribed, unsubscribed, released = Reports(), Reports(), threading.Event()
    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_publish()(lambda *_: released.wait(30))
        mqtt.publish("t", "hold")
        mqtt.on_subscribe()(subscribed)
        mqtt.on_unsubscribe()(unsubscribed)
        wanted = [mqtt.subscribe(f"a/{number}")[1] for number in range(25_000)]
        unwanted = [mqtt.client.unsubscribe(f"a/{number}")[1] for number in range(25_000)]
        released.set()
        subscribed.come([mid for mid in wanted if mid])
        unsubscribed.come([mid for mid in unwanted if mid])
    assert None not in wanted + unwanted


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_without_a_loop_the_calls_come_with_the_next_one(
    broker: Mosquitto, client: Client, qos: int
) -> None:
    reports = Reports()
    client.on_publish = reports
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids = publish(client, 25_000, qos)
    wait_until(lambda: written(client)[qos] == 25_000, 60)
    assert not reports.mids
    client.loop_start()
    reports.come(mids)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_calls_that_are_due_come_after_the_end_of_the_connection_too(
    broker: Mosquitto, client: Client, qos: int
) -> None:
    reports = Reports()
    client.on_publish = reports
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids = publish(client, 1_000, qos)
    wait_until(lambda: written(client)[qos] == 1_000, 60)
    client.disconnect()
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids += publish(client, 1_000, qos)
    client.loop_start()
    reports.come(mids)


def test_a_connection_that_is_lost_takes_no_call_along(scripted: ScriptedBroker) -> None:
    reports = Reports(held=True)
    with connected(make_app(scripted.port, reconnect_delay_min=0.01)) as mqtt:
        mqtt.on_publish()(reports)
        mids = publish(mqtt, 1_000)
        wait_until(lambda: mqtt.stats()["published"]["messages"]["qos0"] == 1_000)
        scripted.drop()
        wait_until(lambda: mqtt.stats()["connections"] == 2)
        mids += publish(mqtt, 1_000, 1)
        wait_until(lambda: mqtt.stats()["published"]["messages"]["qos1"] == 1_000)
        reports.release()
        reports.come(mids)


def test_a_handler_that_stops_the_loop_leaves_the_other_calls_for_the_next(
    broker: Mosquitto, client: Client
) -> None:
    seen: list[int] = []

    def handle(client: Client, _userdata: Any, mid: int) -> None:
        seen.append(mid)
        if mid % 100 == 7:
            client.loop_stop()

    client.on_publish = handle
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids = publish(client, 1_000)
    wait_until(lambda: client.stats()["published"]["messages"]["qos0"] == 1_000)
    for place in range(10):
        client.loop_start()
        wait_until(lambda: not client._parts.dispatcher.running)
        assert seen == mids[: 100 * place + 7]
    client.loop_start()
    wait_until(lambda: seen == mids)


def loop_for_ever(client: Client) -> None:
    while True:
        client.loop(5)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_handler_that_ends_a_loop_leaves_the_other_calls_for_the_next(
    broker: Mosquitto, client: Client, error: type[BaseException]
) -> None:
    seen: list[int] = []

    def handle(_client: Any, _userdata: Any, mid: int) -> None:
        seen.append(mid)
        if mid in (1, 2, 300, 600):
            raise error

    client.on_publish = handle
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids = publish(client, 600)
    wait_until(lambda: client.stats()["published"]["messages"]["qos0"] == 600)
    for end in (1, 2, 300, 600):
        with pytest.raises(error):
            loop_for_ever(client)
        assert seen == mids[:end]


@pytest.mark.slow
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_handler_may_publish_in_turn(broker: Mosquitto, qos: int) -> None:
    mids: list[int] = []
    reports: list[int] = []
    codes: set[int] = set()

    def handle(client: Client, _userdata: Any, mid: int) -> None:
        reports.append(mid)
        if len(mids) < 20_000:
            info = client.publish("t", b"x", qos)
            codes.add(info[0])
            mids.append(info[1])

    with connected(make_app(broker.port)) as mqtt:
        mqtt.on_publish()(handle)
        mids += publish(mqtt, 100, qos)
        wait_until(lambda: len(reports) >= 20_000, 60)
        assert codes == {MQTT_ERR_SUCCESS}
        wait_until(lambda: len(reports) == len(mids))
    assert sorted(reports) == sorted(mids)


def test_another_handler_takes_over_in_the_middle(broker: Mosquitto, client: Client) -> None:
    first, second = Reports(), Reports()

    def handle(client: Client, *arguments: Any) -> None:
        first(client, *arguments)
        if len(first.mids) == 300:
            client.on_publish = second

    client.on_publish = handle
    client.connect("127.0.0.1", broker.port)
    wait_until(client.is_connected)
    mids = publish(client, 1_000)
    wait_until(lambda: client.stats()["published"]["messages"]["qos0"] == 1_000)
    client.loop_start()
    second.come(mids[300:])
    assert first.mids == mids[:300]


def test_with_mqtt_5_every_call_has_its_own_reason_and_properties() -> None:
    codes = (0, 0, 16, 16, 0x87, 0x87, 0)

    def acknowledge(broker: ScriptedBroker, packet: Any) -> bool:
        if packet.kind != "PUBLISH":
            return False
        place = packet.mid - 1
        given = {"ReasonString": "why"} if place % 2 else None
        broker.send(MQTT5.ack("PUBACK", packet.mid, codes[place % len(codes)], given))
        return True

    seen: list[tuple[int, int, str | None]] = []
    with (
        ScriptedBroker(version=MQTT5, hook=acknowledge) as broker,
        connected(make_app(broker.port, protocol_version=MQTTv5)) as mqtt,
    ):

        @mqtt.on_publish()
        def handle(_client: Any, _userdata: Any, mid: int, properties: Any, reason: Any) -> None:
            seen.append((mid, reason.value, getattr(properties, "ReasonString", None)))
            # It is this call's alone.
            properties.ReasonString = "changed"

        mids = publish(mqtt, 70, 1)
        wait_until(lambda: len(seen) == 70)
    assert seen == [
        (mid, codes[place % len(codes)], "why" if place % 2 else None)
        for place, mid in enumerate(mids)
    ]
