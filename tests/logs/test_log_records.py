"""A change of state is one record of the logger `flask_mqtt`, with fields; a message is none."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from support.apps import app_for, make_app
from support.packets import MQTT5, MQTT311
from support.ports import closed_port
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

MILLION = 1_000_000


class Records(logging.Handler):
    """What the logger got: its records, and their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)

    @property
    def events(self) -> list[str]:
        return [fields(record).get("event", "") for record in self.all]

    def of(self, event: str) -> logging.LogRecord:
        """Wait for the record of an event."""
        wait_until(lambda: event in self.events, what=event)
        [record] = [record for record in self.all if fields(record)["event"] == event]
        return record


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return {
        name.removeprefix("mqtt_"): value
        for name, value in vars(record).items()
        if name.startswith("mqtt_")
    }


@pytest.fixture
def records() -> Iterator[Records]:
    """The records from INFO on."""
    logger, handler = logging.getLogger("flask_mqtt"), Records()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_a_life_with_a_broker_that_goes_and_comes_back(records: Records) -> None:
    with ScriptedBroker(connack=[0, 5, 0]) as broker:
        where = f"127.0.0.1:{broker.port}"
        app = make_app(broker.port, client_id="me", reconnect_delay_min=0.2)
        with connected(app):
            broker.stop_listening()
            broker.drop()
            records.of("connect_failed")
            broker.listen()
            wait_until(lambda: records.events.count("connected") == 2)
    assert records.events == [
        "connected",
        "connection_lost",
        "connect_failed",
        "refused",
        "connected",
        "disconnected",
    ]
    assert [record.levelname for record in records.all] == [
        "INFO",
        "WARNING",
        "WARNING",
        "WARNING",
        "INFO",
        "INFO",
    ]
    told = [fields(record) for record in records.all]
    assert all((each["broker"], each["client_id"]) == (where, "me") for each in told)
    assert [each.get("rc") for each in told] == [None, 7, None, 5, None, 0]
    assert [each.get("next_broker") for each in told] == [None, where, where, where, None, None]
    assert all(0.1 < each["delay"] <= 0.8 for each in told[1:4])
    assert "Connection refused" in told[2]["error"]
    assert records.all[0].getMessage() == f"Connected to {where} as 'me'"
    assert records.all[-1].getMessage() == f"Disconnected from {where} as 'me'"


def test_the_first_attempt_that_fails_is_told_once(records: Records) -> None:
    with pytest.raises(ConnectionRefusedError):
        Mqtt(make_app(closed_port()))
    record = records.of("connect_failed")
    assert (records.events, record.levelname) == (["connect_failed"], "ERROR")
    assert "Connection refused" in fields(record)["error"]


def test_the_next_broker_is_told(records: Records, scripted: ScriptedBroker) -> None:
    gone = closed_port()
    urls = [f"mqtt://127.0.0.1:{port}" for port in (gone, scripted.port)]
    with connected(app_for(urls)):
        pass
    assert records.events == ["connect_failed", "connected", "disconnected"]
    told = fields(records.all[0])
    assert told["broker"] == f"127.0.0.1:{gone}"
    assert (told["next_broker"], told["delay"]) == (f"127.0.0.1:{scripted.port}", 0)
    assert fields(records.all[1])["broker"] == f"127.0.0.1:{scripted.port}"


@pytest.mark.parametrize(("code", "event"), [(0x8B, "broker_disconnected"), (0x8E, "taken_over")])
def test_a_disconnect_of_the_brokers_is_told_from_a_loss(
    records: Records, code: int, event: str
) -> None:
    with (
        ScriptedBroker(version=MQTT5) as broker,
        connected(make_app(broker.port, protocol_version=5)),
    ):
        broker.send(MQTT5.disconnect(code))
        record = records.of(event)
        assert (record.levelname, fields(record)["rc"]) == ("WARNING", code)
    assert records.events[:2] == ["connected", event]


def test_that_there_is_no_other_attempt_is_told(records: Records) -> None:
    with (
        ScriptedBroker() as broker,
        connected(make_app(broker.port, reconnect_on_failure=False)),
    ):
        broker.drop()
        record = records.of("stopped")
        assert fields(record)["error"] == "connection closed by the broker"
        assert "MQTT_RECONNECT_ON_FAILURE is off" in record.getMessage()
    assert records.events == ["connected", "stopped"]


def test_an_end_is_told_once_however_it_is_made(records: Records, scripted: ScriptedBroker) -> None:
    for end in ("disconnect", "close", "reinitialise"):
        client = Client()
        with closing(client):
            client.connect("127.0.0.1", scripted.port)
            client.loop_start()
            wait_until(lambda: records.events == ["connected"])
            getattr(client, end)()
        wait_until(lambda: len(records.all) == 2)
        assert records.events == ["connected", "disconnected"], end
        records.all.clear()


def test_a_connection_that_another_one_replaces_is_told(
    records: Records, scripted: ScriptedBroker
) -> None:
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.client.reconnect()
        wait_until(lambda: records.events == ["connected", "disconnected", "connected"])
    assert records.events[3:] == ["disconnected"]
    assert records.all[-1].getMessage() == f"Disconnected from 127.0.0.1:{scripted.port}"


def test_a_pause_is_told_with_its_bound_and_its_time(
    records: Records, scripted: ScriptedBroker
) -> None:
    released = threading.Event()
    with connected(make_app(scripted.port, max_incoming_messages=4)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, _message: released.wait(10))
        scripted.publish("t", b"first")
        wait_until(lambda: mqtt.stats()["received"]["messages"]["qos0"] == 1)
        for _ in range(20):
            scripted.publish("t", b"x")
        wait_until(lambda: mqtt.stats()["reading"]["seconds"] > 1.1)
        released.set()
        record = records.of("reading_resumed")
        assert (record.levelname, fields(record)["bound"]) == ("INFO", "messages")
        assert 1 < fields(record)["seconds"] < 10
        assert "MQTT_MAX_INCOMING_MESSAGES" in record.getMessage()
    paused = records.of("reading_paused")
    assert (paused.levelname, fields(paused)["bound"]) == ("WARNING", "messages")


@pytest.mark.slow
def test_dropping_is_told_when_it_begins_and_when_it_ends(
    records: Records, scripted: ScriptedBroker
) -> None:
    entered, released = threading.Event(), threading.Event()
    with connected(make_app(scripted.port, max_incoming_messages=1)) as mqtt:

        @mqtt.on_log()
        def handle(client: Any, userdata: Any, level: int, line: str) -> None:
            if "PUBLISH" in line:
                entered.set()
                released.wait(10)

        mqtt.publish("t")
        assert entered.wait(20)
        for _ in range(20_100):
            mqtt.publish("t")
        wait_until(lambda: mqtt.stats()["published"]["messages"]["qos0"] == 20_101)
        released.set()
        ended = fields(records.of("dropping_ended"))
        assert ended["reason"] == "log_lines"
        assert ended["count"] == mqtt.stats()["dropped"]["log_lines"]
    assert records.events == ["connected", "dropping", "dropping_ended", "disconnected"]


def test_a_handler_that_fails_is_told_with_its_name_and_topic(
    records: Records, scripted: ScriptedBroker
) -> None:
    with closing(Client(client_id="me")) as client:

        def handle(client: Any, userdata: Any, message: Any) -> None:
            raise RuntimeError("broken")

        client.on_message = handle
        client.connect("127.0.0.1", scripted.port)
        client.loop_start()
        wait_until(client.is_connected)
        scripted.publish("a/b", b"x")
        record = records.of("handler_failed")
    assert (record.levelname, fields(record)["topic"]) == ("ERROR", "a/b")
    assert fields(record)["handler"].endswith("handle")
    assert fields(record)["client_id"] == "me"
    assert record.exc_info is not None


def test_no_record_has_a_secret(records: Records) -> None:
    logging.getLogger("flask_mqtt").setLevel(logging.DEBUG)
    url = "mqtt://me:hunter2@127.0.0.1"
    with ScriptedBroker(connack=[0, 4, 0]) as broker:
        app = app_for(f"{url}:{broker.port}", reconnect_delay_min=0.02)
        with connected(app) as mqtt:
            broker.drop()
            wait_until(lambda: records.events.count("connected") == 2)
            assert "hunter2" not in repr(mqtt.stats())
    shown = [record.getMessage() + repr(vars(record)) for record in records.all]
    assert len(shown) > 4
    assert "hunter2" not in "".join(shown)


@pytest.mark.slow
def test_a_million_messages_make_no_record(records: Records, scripted: ScriptedBroker) -> None:
    block = MQTT311.publish("t", b"x") * 10_000
    with connected(make_app(scripted.port)) as mqtt:
        mqtt.on_message()(lambda _client, _userdata, _message: None)
        for _ in range(MILLION // 10_000):
            scripted.send(block)
        received = mqtt.stats
        wait_until(lambda: received()["received"]["messages"]["qos0"] == MILLION, 60)
        for _ in range(10_000):
            mqtt.publish("t", b"x")
        wait_until(lambda: mqtt.stats()["waiting_incoming"]["messages"] == 0, 60)
    assert records.events == ["connected", "disconnected"]
