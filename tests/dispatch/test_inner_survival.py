"""Threads that call handlers go on, whatever fails in the package or in the standard library."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, records
from flask_mqtt.guards import Troubles
from support.apps import make_app
from support.going_on import goes_on
from support.running import closing, connected
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scripted import ScriptedBroker


def test_functions_of_the_standard_library_that_were_replaced(
    scripted: ScriptedBroker,
    threads: int,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def sleep(seconds: float, _sleep: Callable[[float], None] = time.sleep) -> None:
        if threading.current_thread().name.startswith("mqtt-"):
            raise error.with_traceback(None)
        _sleep(seconds)

    monkeypatch.setattr(records, "_troubles", Troubles())
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        # Other threads have their turn between two batches, where the second is there already.
        entered, waiting = threading.Event(), threading.Event()

        def handle(_client: Any, _userdata: Any, message: Any) -> None:
            if message.payload == b"wait":
                entered.set()
                waiting.wait(10)

        mqtt.on_topic("a/#")(handle)
        scripted.publish("a/0", qos=1)
        scripted.wait_for("PUBACK")
        scripted.publish("a/0", b"wait", qos=1)
        assert entered.wait(10)
        monkeypatch.setattr(time, "sleep", sleep)
        for number in range(200):
            scripted.publish(f"a/{number % 3}", qos=1)
        wait_until(lambda: threads > 1 or mqtt.stats()["waiting_incoming"]["messages"])
        waiting.set()
        scripted.wait_for("PUBACK", 202)
        goes_on(scripted, mqtt.client, threads)
        monkeypatch.undo()
    told = [each for each in caplog.records if "continues after a failure" in each.getMessage()]
    # One for each place, not one for each time.
    assert 1 <= len(told) <= 3


def test_a_call_that_fails_inside_acknowledges_the_message_and_keeps_the_others(
    scripted: ScriptedBroker, threads: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bytes] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.on_topic("a/#")(lambda _c, _u, message: seen.append(message.payload))
        dispatcher = mqtt.client._parts.dispatcher
        find = dispatcher.message_handlers._of

        def find_or_fail(topic: str) -> Any:
            if topic == "a/2":
                raise error.with_traceback(None)
            return find(topic)

        monkeypatch.setattr(dispatcher.message_handlers, "_of", find_or_fail)
        for number in range(9):
            scripted.publish(f"a/{number % 3}", b"%d" % number, qos=1 + number % 2)
        scripted.wait_for("PUBACK", 5)
        scripted.wait_for("PUBCOMP", 4)
        assert sorted(seen) == [b"0", b"1", b"3", b"4", b"6", b"7"]
        assert [packet.mid for packet in scripted.of("PUBACK")] == [1, 3, 5, 7, 9]
        goes_on(scripted, mqtt.client, threads)


def test_an_exception_that_another_thread_raises_in_them(
    scripted: ScriptedBroker, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stop(BaseException):
        pass

    # It may be raised in the report of an earlier one, too, where pytest's own hook would fail.
    monkeypatch.setattr("sys.unraisablehook", lambda _unraisable: None)
    seen: list[bytes] = []
    with connected(make_app(scripted.port, handler_threads=threads)) as mqtt:
        mqtt.on_topic("a/#")(lambda _c, _u, message: seen.append(message.payload))
        raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
        for number in range(150):
            for thread in mqtt.client._parts.dispatcher._threads._own._threads:
                assert thread.ident is not None
                raise_in(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
            scripted.publish(f"a/{number % 5}", b"%d" % number, qos=1)
            # A rate: exceptions and messages come at all moments of the threads' work.
            time.sleep(0.0005)
        scripted.wait_for("PUBACK", 150)
        goes_on(scripted, mqtt.client, threads)
        assert [packet.mid for packet in scripted.of("PUBACK")][:150] == list(range(1, 151))


def test_a_thread_that_cannot_start_leaves_a_true_state_behind(
    scripted: ScriptedBroker, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, armed = threading.Thread.start, True

    def limited(thread: threading.Thread) -> None:
        if armed and thread.name == "mqtt-dispatch":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with closing(Client()) as client:
        client.configure(handler_threads=threads)
        client.connect_async("127.0.0.1", scripted.port)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                client.loop_start()
            assert not client._parts.dispatcher.working
            assert not client._parts.dispatcher.started
        # In the meantime the application's own thread can do it.
        while not client.is_connected():
            client.loop(0.1)
        armed = False
        assert client.loop_start() == 0
        goes_on(scripted, client, threads)
        # Between two connections the thread rests, and may not begin again either.
        client.disconnect()
        wait_until(lambda: not client._parts.dispatcher.working)
        armed = True
        with pytest.raises(RuntimeError, match="can't start new thread"):
            client.reconnect()
        assert not client._parts.dispatcher.working
        armed = False
        client.reconnect()
        wait_until(client.is_connected)
        goes_on(scripted, client, threads)


#: What the loop needs no descriptor for, and what it does.
WITHOUT_DESCRIPTORS = """
    import resource
    client = flask_mqtt.Client()
    seen = []
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
    client.connect("127.0.0.1", int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    say(int(client.loop_start()))
    until(client.is_connected)
    say("connected")
    until(lambda: seen)
    say(seen)
    other = flask_mqtt.Client()
    other.connect_async("127.0.0.1", int(sys.argv[1]))
    try:
        say("no error", other.loop_start())
    except OSError as error:
        say("OSError", error.errno)
    say(int(other.loop_stop()), int(other.loop(0)))
    os._exit(0)
"""


@pytest.mark.slow
def test_a_loop_starts_without_descriptors_or_says_that_there_are_none(
    scripted: ScriptedBroker,
) -> None:
    with running(WITHOUT_DESCRIPTORS, scripted.port) as script:
        script.expect("0")
        script.expect("connected")
        scripted.publish("a", b"x", qos=1)
        script.expect("[b'x']")
        script.expect("OSError 24")
        script.expect("3 4")
