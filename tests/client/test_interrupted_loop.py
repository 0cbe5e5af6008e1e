"""`loop` that is interrupted, as by Ctrl-C: at every moment at which Python does that."""

from __future__ import annotations

import random
import signal
import sys
import threading
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask, has_app_context

from flask_mqtt import MQTT_ERR_SUCCESS, Client
from flask_mqtt.handlers.scope import is_handler
from support.packets import MQTT311
from support.pool import handler_threads
from support.running import closing
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from support.scripted import ScriptedBroker

#: More moments than `loop` has with three messages.
MOST_MOMENTS = 2_000


class Interrupter:
    """Raises KeyboardInterrupt at the n-th moment at which CPython looks for signals.

    That is where a function begins and where one of C has returned, and at the ends of loops,
    which it does not see.
    """

    def __init__(self, moment: int) -> None:
        self._left = moment
        self.place = ""

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> None:
        if event not in ("call", "c_return") or self.place:
            return
        self._left -= 1
        if self._left < 0:
            self.place = f"{event} in {frame.f_code.co_name}, line {frame.f_lineno}"
            raise KeyboardInterrupt


def interrupted(call: Callable[[], Any], moment: int) -> tuple[str, set[str]]:
    """Call something and interrupt it. Returns where, and the functions that were running."""
    interrupter = Interrupter(moment)
    sys.setprofile(interrupter)
    try:
        call()
    except KeyboardInterrupt as error:
        return interrupter.place, running(error)
    finally:
        sys.setprofile(None)
    return interrupter.place, set()


def running(error: BaseException) -> set[str]:
    names, trace = set(), error.__traceback__
    while trace is not None:
        names.add(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    return names


def waiting(client: Client) -> int:
    return client.stats()["waiting_incoming"]["messages"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["client", "application", "teardown"])
@pytest.mark.usefixtures("connected_by_loop")
def test_every_message_is_handled_once_wherever_loop_is_interrupted(
    scripted: ScriptedBroker, client: Client, kind: str
) -> None:
    app = Flask(__name__)
    if kind != "client":
        client._parts.dispatcher.bind(app)
    if kind == "teardown":
        app.teardown_appcontext(lambda _: None)
    begun: Counter[int] = Counter()
    published: Counter[int] = Counter()
    mids: Iterator[int] = iter(range(1, 60_000))
    unhandled: set[int] = set()

    def take_report(_client: Any, _userdata: Any, mid: int) -> None:
        published[mid] += 1

    def take_message(_client: Any, _userdata: Any, message: Any) -> None:
        begun[int(message.payload)] += 1

    client.on_publish = take_report
    client.message_callback_add("a/#", take_message)
    sent: list[int] = []
    reports: list[int] = []
    unreported = 0
    for moment in range(MOST_MOMENTS):
        numbers = [next(mids) for _ in range(3)]
        sent += numbers
        scripted.send(b"".join(MQTT311.publish("a/b", b"%d" % n, qos=1, mid=n) for n in numbers))
        info = client.publish("t", "x", 1)
        reports.append(info.mid)
        wait_until(lambda: waiting(client) == 3 and info.is_published())  # noqa: B023 - at once
        place, names = interrupted(lambda: client.loop(0), moment)
        assert not client._parts.dispatcher.is_current_thread, place
        assert not is_handler(client._parts.holder.core), place
        # What was running is not called again.
        if "take_message" in names:
            unhandled.update([number for number in numbers if not begun[number]][:1])
        unreported += "take_report" in names
        for _ in range(100):
            assert client.loop(0) == MQTT_ERR_SUCCESS, place
            done = all(begun[number] for number in numbers if number not in unhandled)
            if done and len(published) + unreported >= len(reports) and not waiting(client):
                break
        else:
            pytest.fail(f"lost at {place}: {begun}, {published}")
        assert not has_app_context(), place
        assert max(begun.values()) == 1, place
        if not place:
            break
    else:
        pytest.fail("there is no end of moments")
    assert moment > 50
    assert set(begun) | unhandled == set(sent)
    assert max(published.values()) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("connected_by_loop")
def test_a_handler_of_two_filters_is_called_once_for_each_wherever_loop_is_interrupted(
    scripted: ScriptedBroker, client: Client
) -> None:
    begun: Counter[int] = Counter()

    def take_message(_client: Any, _userdata: Any, message: Any) -> None:
        begun[int(message.payload)] += 1

    client.message_callback_add("a/#", take_message)
    client.message_callback_add("a/b", take_message)
    client.loop(0)
    #: Messages of which an interruption has left a call out.
    partly: set[int] = set()
    for number in range(1, MOST_MOMENTS):
        scripted.publish("a/b", b"%d" % number, qos=1, mid=number)
        wait_until(lambda: waiting(client) == 1)
        place, _ = interrupted(lambda: client.loop(0), number)
        while waiting(client) or client.loop(0.01) != MQTT_ERR_SUCCESS:
            client.loop(0)
        client.loop(0)
        assert begun[number] <= 2, place
        if begun[number] < 2:
            partly.add(number)
        if not place:
            break
    else:
        pytest.fail("there is no end of moments")
    assert number > 30
    assert partly
    scripted.wait_for(lambda packet: packet.kind == "PUBACK" and packet.mid == number)
    acknowledged = {packet.mid for packet in scripted.of("PUBACK")}
    assert not partly & acknowledged


# In some callbacks of its own, CPython takes note of an exception and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("connected_by_loop")
def test_of_what_signals_interrupt_nothing_is_lost_but_the_call_that_ran(
    scripted: ScriptedBroker, client: Client
) -> None:
    count, begun = 40_000, Counter[int]()

    def take_message(_client: Any, _userdata: Any, message: Any) -> None:
        begun[int(message.payload)] += 1

    def send() -> None:
        for first in range(0, count, 1_000):
            packets = [MQTT311.publish("a", b"%d" % n) for n in range(first, first + 1_000)]
            scripted.send(b"".join(packets))

    client.on_message = take_message
    sender = threading.Thread(target=send)
    sender.start()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    interruptions, inside = 0, 0

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    deadline = time.monotonic() + 30
    try:
        while len(begun) < count - inside and time.monotonic() < deadline:
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00005, 0.0006))
                client.loop(0.05)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt as error:  # noqa: PERF203 - that is what is tested
                interruptions += 1
                inside += "take_message" in running(error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sender.join()
    print(f"{interruptions} interruptions, {inside} of them in the handler")
    assert interruptions > 30
    assert len(begun) + inside >= count
    assert max(begun.values()) == 1
    assert client.loop(0) == MQTT_ERR_SUCCESS


@pytest.mark.parametrize("error", [TimeoutError, KeyboardInterrupt, SystemExit])
@pytest.mark.usefixtures("connected_by_loop")
def test_what_a_signal_handler_raises_while_loop_waits_goes_to_the_caller(
    scripted: ScriptedBroker, client: Client, error: type[BaseException]
) -> None:
    seen: list[bytes] = []
    client.on_message = lambda _client, _userdata, message: seen.append(message.payload)

    def fail(*_: Any) -> None:
        raise error

    signal.signal(signal.SIGALRM, fail)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(error):
            client.loop_forever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    scripted.publish("a", b"1", qos=1)
    while not seen:
        client.loop(0.1)
    scripted.wait_for("PUBACK")


def start(client: Client, port: int) -> None:
    client.connect("127.0.0.1", port)
    client.loop_start()
    wait_until(client.is_connected)


#: What is interrupted. `loop_start` is not: CPython's `threading.Thread.start` has moments after
#: which the new thread waits for ever for a lock of its own, and others that raise RuntimeError.
CALLS: dict[str, Callable[[Client, int], Any]] = {
    "connect": lambda client, port: client.connect("127.0.0.1", port),
    "loop_stop": lambda client, _port: client.loop_stop(),
    "disconnect": lambda client, _port: client.disconnect(),
    "wait_for_publish": lambda client, _port: client.publish("t", "x", 1).wait_for_publish(5),
    "close": lambda client, _port: client.close(),
}


# In some callbacks of its own, CPython takes note of an exception and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", CALLS)
def test_a_client_goes_on_wherever_a_call_was_interrupted(
    scripted: ScriptedBroker, name: str
) -> None:
    seen: list[bytes] = []
    with closing(Client()) as client:
        client.configure(handler_threads=2)
        client.on_message = lambda _client, _userdata, message: seen.append(message.payload)
        # `connect` has many, each of which takes a connection.
        step = 10 if name == "connect" else 1
        for moment in range(random.randrange(step), MOST_MOMENTS, step):
            if name == "connect":
                client.loop_stop()
                client.disconnect()
            elif not (client._parts.dispatcher.started and client.is_connected()):
                client.loop_stop()
                start(client, scripted.port)
            place, _ = interrupted(lambda: CALLS[name](client, scripted.port), moment)
            # Whatever the state is, it is one that can be gone on from.
            client.loop_stop()
            start(client, scripted.port)
            payload = b"%d" % moment
            scripted.publish("a", payload, qos=1)
            wait_until(partial(seen.__contains__, payload), what=f"a message after {place}")
            if not place:
                break
        else:
            pytest.fail("there is no end of moments")
        assert moment > 5
    wait_until(lambda: not handler_threads())
