"""The demo, run as a process of its own against a real broker, over HTTP."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import pytest

from support.demo import (
    HOSTILE,
    ROOT,
    Demo,
    find,
    find_message,
    is_connected,
    quiet_demo,
    running_demo,
)
from support.packets import MQTT311

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow


def publish_from_outside(broker: Mosquitto, topic: str, payload: bytes) -> None:
    """Publish what the page cannot: bytes that are no text."""
    with socket.create_connection((broker.host, broker.port), timeout=5) as connection:
        connection.sendall(MQTT311.connect(""))
        assert connection.recv(4) == MQTT311.connack()
        connection.sendall(MQTT311.publish(topic, payload))
        connection.sendall(MQTT311.disconnect())
        assert connection.recv(1) == b""


@pytest.fixture(scope="module")
def demo(broker: Mosquitto) -> Iterator[Demo]:
    with quiet_demo(broker.port) as running:
        yield running


@pytest.mark.smoke
def test_a_published_message_arrives_in_the_stream(demo: Demo) -> None:
    with demo.events() as events:
        assert demo.post("subscribe", {"topic": "page/+/in", "qos": 1}) == {"ok": True, "note": ""}
        find(events, "state", lambda state: {"topic": "page/+/in", "qos": 1} in state["topics"])
        demo.post("publish", {"topic": "page/a/in", "payload": HOSTILE, "qos": 1})
        message = find_message(events, "page/a/in")
    assert message["body"] == HOSTILE
    assert (message["encoding"], message["qos"], message["retain"]) == ("text", 1, False)


def test_nothing_arrives_after_unsubscribing(demo: Demo) -> None:
    with demo.events() as events:
        demo.post("subscribe", {"topic": "page/gone"})
        demo.post("publish", {"topic": "page/gone", "payload": "first"})
        find_message(events, "page/gone")
        demo.post("unsubscribe", {"topic": "page/gone"})
        demo.post("publish", {"topic": "page/gone", "payload": "second"})
        # Messages of one client keep their order, so this one would come after "second".
        demo.post("publish", {"topic": "demo/after", "payload": ""})
        batch = find(events, "messages")
    assert [message["topic"] for message in batch] == ["demo/after"]


def test_a_payload_that_is_not_utf_8_is_shown_as_hexadecimal_digits(
    demo: Demo, broker: Mosquitto
) -> None:
    with demo.events() as events:
        find(events, "state", is_connected)
        publish_from_outside(broker, "demo/binary", b"\x00\xff\xfe")
        message = find_message(events, "demo/binary")
    assert (message["body"], message["encoding"], message["size"]) == ("00 ff fe", "hex", 3)


@pytest.mark.parametrize(
    ("action", "body", "reason"),
    [
        ("subscribe", {"topic": "a/#/b"}, "filter"),
        ("subscribe", {"topic": "a", "qos": 3}, "QoS"),
        ("publish", {"topic": "a/#", "payload": ""}, "wildcard"),
        ("publish", {"topic": "a", "payload": 5}, "payload must be a text"),
        ("publish", ["a"], "a JSON object is expected"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    demo: Demo, action: str, body: object, reason: str
) -> None:
    answer = demo.post(action, body)
    assert answer["ok"] is False
    assert reason.lower() in answer["note"].lower()


def test_the_page_begins_with_the_messages_of_a_device_that_can_be_switched_off_and_on(
    broker: Mosquitto,
) -> None:
    with running_demo(broker.port) as demo, demo.events() as events:
        assert find_message(events, "demo/temperature")["body"].endswith("°C")
        demo.post("device", {"running": False})
        find(events, "state", lambda state: not state["device"])
        demo.post("device", {"running": True})
        find(events, "state", lambda state: state["device"])
        assert find_message(events, "demo/temperature")


def test_a_broker_elsewhere_gets_no_message_that_nobody_asked_for() -> None:
    # An address that is kept for documentation: nobody answers there.
    with (
        running_demo(settings={"MQTT_BROKER_URL": "192.0.2.1"}) as demo,
        demo.events() as events,
    ):
        assert find(events, "state")["device"] is False


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_that_the_client_is_done_with_is_confirmed(demo: Demo, qos: int) -> None:
    with demo.events() as events:
        find(events, "state", is_connected)
        answer = demo.post("publish", {"topic": "page/confirmed", "payload": "", "qos": qos})
        assert answer["ok"]
        assert find(events, "confirmed", lambda mids: answer["mid"] in mids)


def test_a_browser_that_reads_too_slowly_loses_the_oldest_messages_and_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    from demo import hub

    feed = hub.Hub()
    stream = feed.stream({"connected": True})
    assert next(stream).startswith("event: state\n")
    for number in range(hub.QUEUE_LENGTH + 5):
        feed.add(hub.Message("t", str(number).encode(), 0, retain=False))
    bodies: list[str] = []
    dropped = 0
    while not dropped:
        name, data = next(stream).strip().split("\ndata: ")
        if name == "event: messages":
            bodies += [message["body"] for message in json.loads(data)]
        elif name == "event: beat":
            dropped = json.loads(data)["dropped"]
    feed.close()
    assert list(stream) == []
    assert dropped == 5
    assert bodies == [str(number) for number in range(5, hub.QUEUE_LENGTH + 5)]


def test_the_page_says_when_the_broker_goes_away_and_comes_back(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo, demo.events() as events:
        find(events, "state", is_connected)
        broker.stop()
        find(events, "state", lambda state: not state["connected"])
        answer = demo.post("publish", {"topic": "demo/lost", "payload": "", "qos": 0})
        assert not answer["ok"]
        assert "no connection" in answer["note"]
        kept = demo.post("publish", {"topic": "demo/kept", "payload": "safe", "qos": 1})
        # Nothing is lost, so it is no error.
        assert (kept["ok"], kept["waits"]) == (True, True)
        assert "is kept" in kept["note"]
        broker.start()
        find(events, "state", is_connected)
        find(events, "confirmed", lambda mids: kept["mid"] in mids)
        demo.wait_for_line("Connected again: ")


def test_what_is_unsubscribed_from_without_a_connection_is_gone_with_the_next_one(
    broker_factory: Callable[..., Mosquitto],
) -> None:
    broker = broker_factory()
    with running_demo(broker.port) as demo, demo.events() as events:
        find(events, "state", is_connected)
        broker.stop()
        find(events, "state", lambda state: not state["connected"])
        answer = demo.post("unsubscribe", {"topic": "demo/#"})
        assert answer["ok"]
        assert "The next one is without the subscription" in answer["note"]
        assert find(events, "state")["topics"] == []
        broker.start()
        assert find(events, "state", is_connected)["topics"] == []
