"""Handlers that the core calls in a row: what one of them changes holds for the next message."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, g

from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask_mqtt import Mqtt
    from support.scripted import ScriptedBroker

COUNT = 30
NUMBERS = list(range(COUNT))
MIDDLE = COUNT // 2


class Scene:
    """Messages that are numbers, which wait together until all of them are there."""

    def __init__(self, scripted: ScriptedBroker, mqtt: Mqtt) -> None:
        self.scripted, self.mqtt = scripted, mqtt
        self.seen: list[int] = []
        #: The userdata that came with each.
        self.given: list[object] = []
        #: What the middle one does, and every one.
        self.change: Callable[[], object] = lambda: None
        self.each: Callable[[Any], object] = lambda _message: None
        self._entered, self._go_on = threading.Event(), threading.Event()

    def handle(self, _client: Any, userdata: Any, message: Any) -> Any:
        if message.payload == b"wait":
            self._entered.set()
            assert self._go_on.wait(10)
            return None
        number = int(message.payload)
        self.given.append(userdata)
        self.seen.append(number)
        if number == MIDDLE:
            self.change()
        return self.each(message)

    def receive(self, qos: int = 0) -> None:
        """Have all of them fetched at once, behind one that waits."""
        self.mqtt.on_topic("a/#")(self.handle)
        # Kept by the client from now on: the first message ends a wait for further handlers.
        self.scripted.publish("a/1", b"wait")
        assert self._entered.wait(10)
        for number in NUMBERS:
            self.scripted.publish(f"a/{number % 3}", b"%d" % number, qos=qos)
        wait_until(lambda: self.mqtt.stats()["waiting_incoming"]["messages"] == COUNT)
        self._go_on.set()

    def end(self) -> None:
        wait_until(lambda: len(self.seen) == COUNT)
        assert self.seen == NUMBERS


@pytest.fixture
def scene(scripted: ScriptedBroker) -> Iterator[Scene]:
    with connected(make_app(scripted.port)) as mqtt:
        yield Scene(scripted, mqtt)


def test_messages_that_come_together_are_handled_without_the_loop_of_others(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = scene.mqtt.client._parts.dispatcher.message_handlers
    handle, calls = handlers.handle, 0

    def counted(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        handle(*arguments)

    monkeypatch.setattr(handlers, "handle", counted)
    scene.receive(qos=1)
    scene.end()
    # The one that waits, and the first of each topic.
    assert calls <= 4
    assert scene.scripted.wait_for("PUBACK", COUNT)
    # They are counted at the end of the row.
    wait_until(lambda: scene.mqtt.stats()["handlers"]["calls"] >= COUNT)


@pytest.mark.parametrize("change", ["on_topic", "remove", "beside"])
def test_another_handler_gets_the_next_message(scene: Scene, change: str) -> None:
    other: list[int] = []

    def handle_other(_client: Any, _userdata: Any, message: Any) -> None:
        other.append(int(message.payload))

    def alter() -> None:
        client = scene.mqtt.client
        if change == "on_topic":
            scene.mqtt.on_topic("a/#")(handle_other)
        elif change == "remove":
            client.on_message = handle_other
            client.message_callback_remove("a/#")
        else:
            scene.mqtt.on_topic("a/+")(handle_other)

    scene.change = alter
    scene.receive()
    wait_until(lambda: other[-1:] == NUMBERS[-1:])
    assert other == NUMBERS[MIDDLE + 1 :]
    assert scene.seen == (NUMBERS if change == "beside" else NUMBERS[: MIDDLE + 1])


def test_another_userdata_is_given_to_the_next_handler(scene: Scene) -> None:
    before = scene.mqtt.client.user_data_get()
    scene.change = lambda: scene.mqtt.client.user_data_set("other")
    scene.receive()
    scene.end()
    assert scene.given == [before] * (MIDDLE + 1) + ["other"] * (COUNT - MIDDLE - 1)


def test_the_next_message_is_not_acknowledged_where_the_application_does_that(
    scene: Scene,
) -> None:
    scene.change = lambda: scene.mqtt.client.manual_ack_set(True)
    scene.receive(qos=1)
    scene.end()
    scene.scripted.wait_for("PUBACK", MIDDLE)
    scene.mqtt.client.manual_ack_set(False)
    scene.scripted.publish("a/0", b"100", qos=1)
    scene.scripted.wait_for("PUBACK", MIDDLE + 1)
    assert [packet.mid for packet in scene.scripted.of("PUBACK")] == [
        *range(1, MIDDLE + 1),
        COUNT + 1,
    ]


def test_a_thread_that_is_stopped_leaves_the_rest_to_the_next_one(scene: Scene) -> None:
    client = scene.mqtt.client
    stopped = threading.Event()

    def stop() -> None:
        client._parts.dispatcher.stop(0, lambda: False)
        stopped.set()

    scene.change = stop
    scene.receive(qos=1)
    assert stopped.wait(10)
    wait_until(lambda: not client._parts.dispatcher.running)
    scene.scripted.wait_for("PUBACK", MIDDLE + 1)
    assert scene.seen == NUMBERS[: MIDDLE + 1]
    client._parts.dispatcher.start()
    scene.end()
    scene.scripted.wait_for("PUBACK", COUNT)


def test_what_a_handler_raises_or_returns_does_not_concern_the_others(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    finished: list[int] = []

    async def finish(number: int) -> None:
        finished.append(number)

    def each(message: Any) -> Any:
        number = int(message.payload)
        if number % 3 == 0:
            raise ValueError(number)
        return finish(number) if number % 3 == 1 else None

    scene.each = each
    with caplog.at_level(logging.ERROR):
        scene.receive(qos=1)
        scene.end()
        scene.scripted.wait_for("PUBACK", COUNT)
    assert finished == NUMBERS[1::3]
    told = [record for record in caplog.records if "failed" in record.getMessage()]
    raised = [record.exc_info[1] for record in told if record.exc_info]
    assert [error.args for error in raised if error is not None] == [(n,) for n in NUMBERS[::3]]
    for record in told:
        traceback = record.exc_info and record.exc_info[2]
        # Nothing of the package's is in it.
        assert traceback
        assert traceback.tb_frame.f_globals["__name__"] == __name__
    times = scene.mqtt.stats()["handlers"]
    assert times["failures"] == COUNT // 3


def test_each_handler_has_a_context_of_its_own(scripted: ScriptedBroker) -> None:
    app, ended = make_app(scripted.port), 0
    with connected(app) as mqtt:
        scene, seen = Scene(scripted, mqtt), []

        def each(message: Any) -> None:
            number = int(message.payload)
            seen.append(g.get("number"))
            if number % 2:
                g.number = number
            if number == MIDDLE:
                app.teardown_appcontext(count)

        def count(_error: BaseException | None) -> None:
            nonlocal ended
            ended += 1

        scene.each = each
        with first_request_allowed(app):
            scene.receive()
            scene.end()
        assert seen == [None] * COUNT
        wait_until(lambda: ended == COUNT - MIDDLE)


@contextlib.contextmanager
def first_request_allowed(app: Flask) -> Iterator[None]:
    """Let functions be registered as if no request had come."""
    before, app._got_first_request = app._got_first_request, False
    yield
    app._got_first_request = before


def test_each_message_is_acknowledged_whatever_another_thread_raises_in_between(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(BaseException):
        pass

    # However few come at once.
    monkeypatch.setattr("flask_mqtt.dispatch.batch.A_ROW", 1)
    # It may be raised in the report of an earlier one, too, where pytest's own hook would fail.
    monkeypatch.setattr("sys.unraisablehook", lambda _unraisable: None)
    scene.mqtt.on_topic("a/#")(lambda _c, _u, message: scene.seen.append(int(message.payload)))
    (thread,) = scene.mqtt.client._parts.dispatcher._threads._own._threads
    assert thread.ident is not None
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    total = 40 * COUNT
    for number in range(total):
        scene.scripted.publish(f"a/{number % 5}", b"%d" % number, qos=1)
        if number % 7 == 0:
            raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
    scene.scripted.wait_for("PUBACK", total, timeout=30)
    mids = [packet.mid for packet in scene.scripted.of("PUBACK")]
    assert mids == list(range(1, total + 1))
    # None was handled twice, and none before an earlier one.
    assert scene.seen == sorted(set(scene.seen))
    assert len(scene.seen) > total / 2


class Reports:
    """Reports on messages that were published, which wait together until all are there."""

    def __init__(self, mqtt: Mqtt) -> None:
        self.mqtt = mqtt
        self.seen: list[int] = []
        self.mids: list[int] = []
        self.change: Callable[[], object] = lambda: None
        self._entered, self._go_on = threading.Event(), threading.Event()

    def handle(self, _client: Any, _userdata: Any, mid: int) -> None:
        if not self._entered.is_set():
            self._entered.set()
            assert self._go_on.wait(10)
            return
        self.seen.append(mid)
        if mid == self.mids[MIDDLE]:
            self.change()

    def publish(self) -> None:
        self.mqtt.on_publish()(self.handle)
        self.mqtt.publish("a", b"wait")
        assert self._entered.wait(10)
        self.mids = [self.mqtt.publish("a")[1] for _ in NUMBERS]
        wait_until(lambda: self.mqtt.stats()["published"]["messages"]["qos0"] == COUNT + 1)
        self._go_on.set()

    def end(self) -> None:
        wait_until(lambda: len(self.seen) == COUNT)
        assert self.seen == self.mids


@pytest.fixture
def reports(scripted: ScriptedBroker) -> Iterator[Reports]:
    with connected(make_app(scripted.port)) as mqtt:
        yield Reports(mqtt)


def test_another_handler_gets_the_next_report(reports: Reports) -> None:
    other: list[int] = []
    reports.change = lambda: reports.mqtt.on_publish()(lambda _c, _u, mid: other.append(mid))
    reports.publish()
    wait_until(lambda: other[-1:] == reports.mids[-1:])
    assert reports.seen == reports.mids[: MIDDLE + 1]
    assert other == reports.mids[MIDDLE + 1 :]


def test_a_report_is_not_lost_where_its_thread_is_stopped_or_its_handler_fails(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = reports.mqtt.client._parts.dispatcher

    def stop() -> None:
        dispatcher.stop(0, lambda: False)
        raise ValueError("stopped")

    reports.change = stop
    reports.publish()
    wait_until(lambda: not dispatcher.running)
    wait_until(lambda: "stopped" in caplog.text)
    assert reports.seen == reports.mids[: MIDDLE + 1]
    dispatcher.start()
    reports.end()
