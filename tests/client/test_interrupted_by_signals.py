"""`loop` and `loop_start` that are interrupted by a function for a signal, which has a frame."""

from __future__ import annotations

import linecache
import signal
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from flask_mqtt.dispatch import batch, routes
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from flask_mqtt import Client
    from support.scripted import ScriptedBroker


pytestmark = pytest.mark.usefixtures("connected_by_loop")


class Interruption(Exception):  # noqa: N818 - it is not meant as an error
    """What a program's time limit raises."""


def interrupt(*_: Any) -> None:
    raise Interruption


@contextmanager
def at_line(code: CodeType, moment: int, fits: Callable[[FrameType], bool]) -> Iterator[list[int]]:
    """Call `interrupt` at the n-th line of a function at which a condition is fulfilled."""
    places: list[int] = []
    left = moment

    def in_function(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if event == "line" and not places and fits(frame):
            left -= 1
            if left < 0:
                places.append(frame.f_lineno)
                interrupt()
        return in_function

    def follow(frame: FrameType, _event: str, _argument: Any) -> Any:
        return in_function if frame.f_code is code else None

    sys.settrace(follow)
    try:
        yield places
    finally:
        sys.settrace(None)


def waiting(client: Client) -> int:
    return client.stats()["waiting_incoming"]["messages"]


def begins_a_loop(frame: FrameType) -> bool:
    """Whether CPython looks for signals at a line: not everywhere."""
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    return line.lstrip().startswith("for ")


def interrupted(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Interruption:
        return True
    return False


def test_no_handler_is_called_twice_where_a_message_has_several(
    scripted: ScriptedBroker, client: Client
) -> None:
    first, second = Counter[bytes](), Counter[bytes]()
    client.message_callback_add("a", lambda _c, _u, message: first.update([message.payload]))
    client.message_callback_add("#", lambda _c, _u, message: second.update([message.payload]))
    for moment in range(50):
        payload = b"%d" % moment
        scripted.publish("a", payload)
        wait_until(lambda: waiting(client) == 1)
        code = routes.MessageHandlers.handle.__code__
        with at_line(code, moment, begins_a_loop) as places:
            interrupted(lambda: client.loop(0))
        while client.stats()["waiting_incoming"]["messages"]:
            client.loop(0)
        client.loop(0)
        if not places:
            break
        assert first[payload] == 1, places
        assert second[payload] <= 1, places
    else:
        pytest.fail("there is no end of lines")
    # Before the first, between the two, and after the last.
    assert moment == 3


def test_no_event_is_told_twice(scripted: ScriptedBroker, client: Client) -> None:
    told = Counter[int]()
    client.on_subscribe = lambda _client, _userdata, mid, _granted: told.update([mid])
    # What follows the call of its handler.
    last: list[Any] = []

    def follows(frame: FrameType) -> bool:
        event = frame.f_locals.get("event")
        if event is None or event is frame.f_locals["done"]:
            return False
        is_new = not last or last[-1] is not event
        last.append(event)
        # A tuple is an event of another kind than a message.
        return not is_new and bool(told) and type(event) is tuple

    _, mid = client.subscribe("a")
    scripted.wait_for("SUBSCRIBE")
    with at_line(batch.Batch._handle.__code__, 0, follows) as places:
        while not told and not interrupted(lambda: client.loop(0.05)):
            pass
        interrupted(lambda: client.loop(0))
    for _ in range(5):
        client.loop(0)
    assert places
    assert told == {mid: 1}


def test_a_message_whose_context_was_interrupted_waits_for_the_next_call(
    scripted: ScriptedBroker, client: Client
) -> None:
    class Interrupted(Flask):
        def app_context(self) -> Any:
            if left:
                left.pop()
                interrupt()
            return super().app_context()

    left, seen = [1], list[bytes]()
    client._parts.dispatcher.bind(Interrupted(__name__))
    client.on_message = lambda _c, _u, message: seen.append(message.payload)
    scripted.publish("a", b"1", qos=1)
    wait_until(lambda: waiting(client) == 1)
    assert interrupted(lambda: client.loop(0))
    assert not scripted.of("PUBACK")
    wait_until(lambda: client.loop(0.1) == 0 and seen)
    assert seen == [b"1"]
    scripted.wait_for("PUBACK")


def test_a_context_that_always_fails_costs_its_messages_their_handlers_and_no_other(
    scripted: ScriptedBroker, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Flask):
        def app_context(self) -> Any:
            raise Interruption

    client._parts.dispatcher.bind(Broken(__name__))
    client.on_message = lambda *_: None
    scripted.publish("a", b"1", qos=1)
    wait_until(lambda: waiting(client) == 1)
    assert not interrupted(lambda: client.loop(0))
    scripted.wait_for("PUBACK")
    assert "failed" in caplog.text


def test_a_thread_whose_start_was_interrupted_is_waited_for(
    scripted: ScriptedBroker, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have begun with what was fetched."""
    entered, gate = threading.Event(), threading.Event()
    seen: list[tuple[bytes, str]] = []

    def handle(_client: Any, _userdata: Any, message: Any) -> None:
        entered.set()
        assert gate.wait(10)
        seen.append((message.payload, threading.current_thread().name))

    class Thread(threading.Thread):
        def start(self) -> None:
            super().start()
            assert entered.wait(10)
            interrupt()

    client.on_message = handle
    scripted.publish("a", b"1")
    scripted.publish("a", b"2")
    wait_until(lambda: waiting(client) == 2)
    monkeypatch.setattr(threading, "Thread", Thread)
    assert interrupted(client.loop_start)
    monkeypatch.undo()
    # Nobody else goes on with its messages before it has ended.
    client.loop(0.05)
    assert not seen
    gate.set()
    wait_until(lambda: client.loop(0.1) == 0 and len(seen) == 2)
    assert [payload for payload, _ in seen] == [b"1", b"2"]


# Python swallows what a signal's handler raises in a callback of a weak reference, and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_real_signals_find_no_other_moment(scripted: ScriptedBroker, client: Client) -> None:
    count, begun, armed = 5_000, Counter[bytes](), False

    def loop() -> None:
        nonlocal armed
        armed = True
        client.loop(0)
        armed = False

    def alarm(*_: Any) -> None:
        nonlocal armed
        if armed:
            armed = False
            interrupt()

    client.message_callback_add("a", lambda _c, _u, message: begun.update([message.payload]))
    client.message_callback_add("#", lambda *_: None)
    for number in range(count):
        scripted.publish("a", b"%d" % number)
    wait_until(lambda: waiting(client) == count)
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        while waiting(client):
            signal.setitimer(signal.ITIMER_REAL, 0.0005)
            interrupted(loop)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert max(begun.values()) == 1
