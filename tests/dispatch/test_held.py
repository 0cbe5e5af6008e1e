"""Messages that are acknowledged later than their handlers return."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.dispatch import held
from support.pool import mids, pool_of
from support.wait import wait_until

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from flask_mqtt import Client, MQTTMessage
    from flask_mqtt.dispatch.held import Hold
    from support.scripted import ScriptedBroker


class Holder:
    """A handler that holds the messages whose payload begins so."""

    def __init__(self, client: Client) -> None:
        self.dispatcher = client._parts.dispatcher
        self.holds: dict[bytes, Hold] = {}
        self.seen: list[bytes] = []

    def handle(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        if message.payload.startswith(b"hold"):
            self.holds[message.payload] = self.dispatcher.hold(message)
        self.seen.append(message.payload)

    def unacknowledged(self) -> int:
        return self.dispatcher.held.unacknowledged


@pytest.fixture
def waiting(client: Client, scripted: ScriptedBroker, threads: int) -> Client:
    """A client whose threads call handlers: one or several."""
    client.configure(handler_threads=threads)
    client.connect("127.0.0.1", scripted.port)
    client.loop_start()
    wait_until(client.is_connected)
    return client


@pytest.fixture
def holder(waiting: Client) -> Holder:
    holder = Holder(waiting)
    waiting.on_message = holder.handle
    return holder


def send(broker: ScriptedBroker, *payloads: bytes, qos: int = 1) -> None:
    for payload in payloads:
        broker.publish(f"t/{payload.decode()}", payload, qos=qos)


def test_later_ones_wait_for_one_that_is_held_and_keep_their_order(
    scripted: ScriptedBroker, holder: Holder
) -> None:
    send(scripted, b"1", b"hold 2", b"3", b"hold 4", b"5")
    scripted.wait_for("PUBACK")
    wait_until(lambda: holder.unacknowledged() == 4)
    # Another thread than the handlers', and not in order.
    holder.holds[b"hold 4"].release()
    assert mids(scripted) == [1]
    holder.holds[b"hold 2"].release()
    scripted.wait_for("PUBACK", 5)
    assert mids(scripted) == [1, 2, 3, 4, 5]
    assert holder.unacknowledged() == 0


def test_with_qos_2_none_waits_for_another_one(scripted: ScriptedBroker, holder: Holder) -> None:
    send(scripted, b"hold 1", b"hold 2", b"3", qos=2)
    scripted.wait_for("PUBCOMP", 1)
    wait_until(lambda: holder.unacknowledged() == 2)
    holder.holds[b"hold 2"].release()
    scripted.wait_for("PUBCOMP", 2)
    holder.holds[b"hold 1"].release()
    scripted.wait_for("PUBCOMP", 3)
    assert [packet.mid for packet in scripted.of("PUBCOMP")] == [3, 2, 1]
    assert holder.unacknowledged() == 0


def test_a_message_is_acknowledged_after_the_last_hold_and_once(
    scripted: ScriptedBroker, waiting: Client
) -> None:
    holders = [Holder(waiting), Holder(waiting)]
    for one in holders:
        waiting._parts.dispatcher.add_route_beside("t/#", one.handle)
    send(scripted, b"hold")
    wait_until(lambda: all(one.holds for one in holders))
    holders[0].holds[b"hold"].release()
    holders[0].holds[b"hold"].release()
    assert mids(scripted) == []
    holders[1].holds[b"hold"].release()
    scripted.wait_for("PUBACK")
    send(scripted, b"next")
    scripted.wait_for("PUBACK", 2)
    assert mids(scripted) == [1, 2]


def test_one_that_is_released_while_its_handler_runs_is_acknowledged_after_it(
    scripted: ScriptedBroker, waiting: Client
) -> None:
    released, goes_on = threading.Event(), threading.Event()

    def handle(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
        waiting._parts.dispatcher.hold(message).release()
        released.set()
        assert goes_on.wait(10)

    waiting.on_message = handle
    send(scripted, b"1")
    assert released.wait(10)
    assert mids(scripted) == []
    goes_on.set()
    scripted.wait_for("PUBACK")


def test_one_that_is_dropped_is_not_acknowledged_and_none_waits_for_it(
    scripted: ScriptedBroker, holder: Holder
) -> None:
    send(scripted, b"hold 1", b"2")
    wait_until(lambda: len(holder.seen) == 2)
    holder.holds[b"hold 1"].drop()
    scripted.wait_for("PUBACK")
    assert mids(scripted) == [2]


def test_where_the_application_acknowledges_there_is_nothing_to_hold(
    scripted: ScriptedBroker, waiting: Client, holder: Holder
) -> None:
    waiting.manual_ack_set(True)
    send(scripted, b"hold 1", b"hold 2")
    wait_until(lambda: len(holder.holds) == 2)
    waiting.ack(2, 1)
    holder.holds[b"hold 1"].release()
    scripted.wait_for("PUBACK")
    assert mids(scripted) == [2]


def test_with_qos_0_there_is_nothing_to_hold(scripted: ScriptedBroker, holder: Holder) -> None:
    send(scripted, b"hold", qos=0)
    wait_until(lambda: holder.holds)
    assert holder.unacknowledged() == 0
    holder.holds[b"hold"].release()


def test_what_an_earlier_connection_brought_keeps_no_other_waiting(
    scripted: ScriptedBroker, waiting: Client, holder: Holder
) -> None:
    waiting.reconnect_delay_set(0.05, 0.1)
    send(scripted, b"hold 1", b"2")
    wait_until(lambda: len(holder.seen) == 2)
    scripted.drop()
    scripted.wait_for("CONNECT", 2)
    wait_until(waiting.is_connected)
    send(scripted, b"3")
    scripted.wait_for("PUBACK")
    holder.holds[b"hold 1"].release()
    send(scripted, b"4")
    scripted.wait_for("PUBACK", 2)
    assert mids(scripted) == [3, 4]
    assert holder.unacknowledged() == 0


def test_what_is_held_over_a_stop_and_a_start_is_acknowledged_in_order(
    scripted: ScriptedBroker, waiting: Client, holder: Holder
) -> None:
    send(scripted, b"hold 1", b"2")
    wait_until(lambda: len(holder.seen) == 2)
    waiting.loop_stop()
    send(scripted, b"3", b"hold 4")
    while len(holder.seen) < 4:
        waiting.loop(0.1)
    assert mids(scripted) == []
    holder.holds[b"hold 1"].release()
    scripted.wait_for("PUBACK", 3)
    waiting.configure(handler_threads=2)
    waiting.loop_start()
    send(scripted, b"5")
    wait_until(lambda: len(holder.seen) == 5)
    holder.holds[b"hold 4"].release()
    scripted.wait_for("PUBACK", 5)
    assert mids(scripted) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("connected_by_loop")
def test_one_whose_handler_is_interrupted_is_not_acknowledged_and_none_waits_for_it(
    scripted: ScriptedBroker, client: Client
) -> None:
    holder = Holder(client)

    def handle(client: Client, userdata: Any, message: MQTTMessage) -> None:
        holder.handle(client, userdata, message)
        if message.payload == b"hold 2":
            raise KeyboardInterrupt

    client.on_message = handle
    send(scripted, b"hold 1", b"hold 2", b"3")
    with pytest.raises(KeyboardInterrupt):
        client.loop_forever()
    while len(holder.seen) < 3:
        client.loop(0.1)
    for hold in holder.holds.values():
        hold.release()
    scripted.wait_for("PUBACK", 2)
    assert mids(scripted) == [1, 3]


@pytest.mark.parametrize("threads", [1], indirect=True)
def test_there_is_a_bound_for_what_waits_behind_one_and_the_rest_is_not_acknowledged(
    scripted: ScriptedBroker,
    holder: Holder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(held, "_MOST_UNACKNOWLEDGED", 3)
    send(scripted, b"hold 1", b"2", b"3", b"4", b"hold 5")
    # The last two are counted until their handlers have returned.
    wait_until(lambda: len(holder.seen) == 5 and holder.unacknowledged() == 3)
    for hold in holder.holds.values():
        hold.release()
    scripted.wait_for("PUBACK", 3)
    send(scripted, b"6")
    scripted.wait_for("PUBACK", 4)
    assert mids(scripted) == [1, 2, 3, 6]
    [record] = [one for one in caplog.records if "never acknowledged" in one.getMessage()]
    assert record.__dict__["mqtt_event"] == "not_acknowledged"


@pytest.mark.parametrize("threads", [3], indirect=True)
def test_a_release_ends_the_wait_of_a_pool_for_room(
    scripted: ScriptedBroker, waiting: Client, holder: Holder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flask_mqtt.dispatch.pool._MOST_UNACKNOWLEDGED", 10)
    send(scripted, b"hold", *(b"%d" % number for number in range(50)))
    pool = pool_of(waiting)
    wait_until(lambda: pool._is_full and holder.holds)
    assert mids(scripted) == []
    holder.holds[b"hold"].release()
    scripted.wait_for("PUBACK", 51)


def test_a_forked_child_holds_nothing(scripted: ScriptedBroker, holder: Holder) -> None:
    send(scripted, b"hold 1", b"2")
    wait_until(lambda: holder.unacknowledged() == 2)
    child = os.fork()
    if child == 0:
        holder.holds[b"hold 1"].release()
        os._exit(holder.unacknowledged())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mids(scripted) == []
    holder.holds[b"hold 1"].release()
    scripted.wait_for("PUBACK", 2)


# -- timers ---------------------------------------------------------------------------------------


def test_a_timer_is_called_as_a_handler_is(waiting: Client, threads: int) -> None:
    called: list[tuple[str, float]] = []
    dispatcher = waiting._parts.dispatcher
    at = time.monotonic() + 0.05
    dispatcher.call_at(
        at, lambda: called.append((threading.current_thread().name, time.monotonic())), "a"
    )
    wait_until(lambda: called)
    [(name, moment)] = called
    assert name.startswith("mqtt-dispatch" if threads == 1 else "mqtt-handler-")
    assert at <= moment < at + 2
    wait_until(lambda: waiting.stats()["handlers"]["calls"] == 1)


def test_what_a_timer_raises_is_logged_and_the_next_one_follows(
    waiting: Client, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[int] = []

    def fail() -> None:
        raise RuntimeError("on purpose")

    dispatcher = waiting._parts.dispatcher
    dispatcher.call_at(0, fail, "a")
    dispatcher.call_at(0, lambda: called.append(1), "b")
    wait_until(lambda: called)

    def failures() -> list[logging.LogRecord]:
        return [one for one in caplog.records if "failed" in one.getMessage()]

    # Another thread may have called the first one.
    [record] = wait_until(failures)
    assert record.exc_info is not None


@pytest.mark.usefixtures("connected_by_loop")
def test_loop_calls_a_timer_before_its_own_time_is_over(client: Client) -> None:
    called: list[int] = []
    client._parts.dispatcher.call_at(time.monotonic() + 0.05, lambda: called.append(1), "a")
    since = time.monotonic()
    while not called:
        client.loop(10)
    assert time.monotonic() - since < 5


class Keeping:
    """What keeps messages until they are flushed."""

    def __init__(self, client: Client) -> None:
        self.dispatcher = client._parts.dispatcher
        self.holds: list[Hold] = []
        self.released: list[str] = []
        self.is_forked = False
        self.dispatcher.held.keepers.append(self)

    def handle(self, _client: Any, _userdata: Any, message: MQTTMessage) -> None:
        self.holds.append(self.dispatcher.hold(message))

    def step(self) -> None:
        while self.holds:
            self.released.append(threading.current_thread().name)
            self.holds[0].release()
            del self.holds[0]

    def flush(self) -> None:
        if self.holds:
            self.dispatcher.call_at(0, self.step, "keeping")

    def wait(self, until: float) -> bool:
        wait_until(lambda: not self.holds, until - time.monotonic())
        return True

    def drop(self) -> None:
        for hold in self.holds:
            hold.drop()

    def forked(self) -> None:
        self.holds.clear()
        self.is_forked = True


def end_by_loop_stop(client: Client) -> None:
    client.loop_stop()


def end_by_disconnect(client: Client) -> None:
    client.disconnect()


def end_by_close(client: Client) -> None:
    client.close()


@pytest.mark.parametrize("end", [end_by_loop_stop, end_by_disconnect, end_by_close])
def test_what_is_kept_is_acknowledged_before_the_connection_ends(
    scripted: ScriptedBroker, waiting: Client, end: Callable[[Client], None]
) -> None:
    keeping = Keeping(waiting)
    waiting.on_message = keeping.handle
    send(scripted, b"1", b"2", b"3")
    wait_until(lambda: len(keeping.holds) == 3)
    end(waiting)
    scripted.wait_for("PUBACK", 3)
    assert mids(scripted) == [1, 2, 3]
    assert all(name.startswith("mqtt-") for name in keeping.released)
    if end is not end_by_loop_stop:
        scripted.wait_for("DISCONNECT")
        assert [packet.kind for packet in scripted.packets][-1] == "DISCONNECT"


@pytest.mark.parametrize("threads", [3], indirect=True)
@pytest.mark.parametrize("end", [end_by_disconnect, end_by_close])
def test_the_connection_does_not_end_before_the_handler_of_what_was_kept_has_returned(
    scripted: ScriptedBroker, waiting: Client, end: Callable[[Client], None]
) -> None:
    keeping = Keeping(waiting)
    goes_on = threading.Event()

    def handle(client: Client, userdata: Any, message: MQTTMessage) -> None:
        keeping.handle(client, userdata, message)
        assert goes_on.wait(10)

    waiting.on_message = handle
    send(scripted, b"1")
    wait_until(lambda: keeping.holds)
    ending = threading.Thread(target=end, args=(waiting,))
    ending.start()
    # Nothing holds it any more.
    held = waiting._parts.dispatcher.held
    wait_until(lambda: any(one.over for one in list(held._released)), what="it is waited for")
    assert scripted.of("PUBACK", "DISCONNECT") == []
    goes_on.set()
    ending.join(10)
    scripted.wait_for("DISCONNECT")
    assert mids(scripted) == [1]


@pytest.mark.usefixtures("connected_by_loop")
def test_without_a_thread_that_is_done_by_who_disconnects(
    scripted: ScriptedBroker, client: Client
) -> None:
    keeping = Keeping(client)
    client.on_message = keeping.handle
    send(scripted, b"1", b"2")
    while len(keeping.holds) < 2:
        client.loop(0.1)
    client.disconnect()
    scripted.wait_for("DISCONNECT")
    assert mids(scripted) == [1, 2]
    assert keeping.released == ["MainThread", "MainThread"]


def test_a_handler_that_disconnects_does_not_wait_for_what_is_kept(
    scripted: ScriptedBroker, waiting: Client
) -> None:
    keeping = Keeping(waiting)

    def handle(client: Client, userdata: Any, message: MQTTMessage) -> None:
        keeping.handle(client, userdata, message)
        if message.payload == b"2":
            client.disconnect()

    waiting.on_message = handle
    send(scripted, b"1", b"2")
    scripted.wait_for("DISCONNECT")
    wait_until(lambda: not keeping.holds)


def test_a_forked_child_keeps_nothing(scripted: ScriptedBroker, waiting: Client) -> None:
    keeping = Keeping(waiting)
    waiting.on_message = keeping.handle
    send(scripted, b"1")
    wait_until(lambda: keeping.holds)
    child = os.fork()
    if child == 0:
        os._exit(0 if keeping.is_forked and not keeping.holds else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert mids(scripted) == []
