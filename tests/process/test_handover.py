"""A process lets go of its connection because another one asks it to."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from flask_mqtt.process import handover
from support.children import in_child
from support.script import running
from support.wait import wait_until

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)

#: Longer than anything here takes, and the tests never wait for it.
LONG = 30.0


class Holder:
    """What has a connection, which it lets go of unless it shall not."""

    def __init__(self, *, lets_go: bool = True) -> None:
        self.lets_go = lets_go
        self.asked: list[str] = []

    def let_go(self) -> bool:
        self.asked.append(threading.current_thread().name)
        return self.lets_go


def serving() -> bool:
    return "mqtt-handover" in {thread.name for thread in threading.enumerate()}


@pytest.fixture(autouse=True)
def _nothing_offered() -> None:
    """Wait for the end of the last thread, which has the name until then."""
    gc.collect()
    wait_until(lambda: not serving())


def test_a_forked_child_asks_and_the_parent_lets_go() -> None:
    holder, other = Holder(), Holder()
    handover.offer("one", holder.let_go)
    handover.offer("two", other.let_go)
    parent = os.getpid()

    def child() -> None:
        assert handover.ask(parent, "one", LONG)
        assert not handover.ask(parent, "nobody's", LONG)

    try:
        in_child(child)
        assert holder.asked == ["mqtt-handover"]
        assert other.asked == []
    finally:
        handover.withdraw(holder.let_go)
        handover.withdraw(other.let_go)


def test_another_program_asks() -> None:
    holder = Holder()
    handover.offer("one", holder.let_go)
    code = "import os; from flask_mqtt.process.handover import ask; print(ask(os.getppid(), 'one'))"
    try:
        answer = subprocess.check_output([sys.executable, "-c", code], text=True)
        assert answer == "True\n"
        assert len(holder.asked) == 1
    finally:
        handover.withdraw(holder.let_go)


def test_a_process_may_refuse() -> None:
    holder = Holder(lets_go=False)
    handover.offer("one", holder.let_go)
    try:
        assert not handover.ask(os.getpid(), "one", LONG)
        assert len(holder.asked) == 1
    finally:
        handover.withdraw(holder.let_go)


def test_nothing_listens_any_more_after_the_last_was_withdrawn() -> None:
    holder, other = Holder(), Holder()
    handover.offer("one", holder.let_go)
    handover.offer("one", other.let_go)
    handover.withdraw(holder.let_go)
    assert handover.ask(os.getpid(), "one", LONG)
    assert holder.asked == []
    handover.withdraw(other.let_go)
    wait_until(lambda: not serving())
    begun = time.monotonic()
    assert not handover.ask(os.getpid(), "one", LONG)
    assert time.monotonic() - begun < LONG / 2
    # It can begin anew.
    handover.offer("one", holder.let_go)
    assert handover.ask(os.getpid(), "one", LONG)
    handover.withdraw(holder.let_go)


def test_with_the_first_fork_only() -> None:
    holder = Holder()
    handover.offer("one", holder.let_go, once_forked=True)
    parent = os.getpid()
    try:
        assert not serving()
        assert not handover.ask(parent, "one", LONG)
        # The child may be quicker than the thread.
        in_child(lambda: handover.ask(parent, "one", LONG) or pytest.fail("it has not let go"))
        assert len(holder.asked) == 1
        assert serving()
    finally:
        handover.withdraw(holder.let_go)


def test_a_child_offers_nothing_of_its_parents() -> None:
    holder = Holder()
    handover.offer("one", holder.let_go)

    def child() -> None:
        assert not handover.ask(os.getpid(), "one", LONG)
        assert not serving()
        own = Holder()
        handover.offer("one", own.let_go)
        assert handover.ask(os.getpid(), "one", LONG)
        assert len(own.asked) == 1

    try:
        in_child(child)
        assert holder.asked == []
    finally:
        handover.withdraw(holder.let_go)


def test_who_is_given_up_is_not_asked() -> None:
    handover.offer("one", Holder().let_go)
    last = Holder()
    handover.offer("two", last.let_go)
    try:
        assert not handover.ask(os.getpid(), "one", LONG)
        assert handover.ask(os.getpid(), "two", LONG)
    finally:
        handover.withdraw(last.let_go)


def test_who_does_not_answer_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Holder):
        def let_go(self) -> bool:
            return go.wait(LONG)

    go, stuck = threading.Event(), Stuck()
    handover.offer("one", stuck.let_go)
    try:
        assert not handover.ask(os.getpid(), "one", 0.1)
        [record] = caplog.records
        assert vars(record)["mqtt_event"] == "handover_timeout"
        assert f"{os.getpid()} has not let go of its MQTT connection within 0.1 s" in caplog.text
    finally:
        go.set()
        handover.withdraw(stuck.let_go)


def test_who_connects_and_says_nothing_holds_up_others_for_a_moment() -> None:
    holder = Holder()
    handover.offer("one", holder.let_go)
    try:
        name = handover.address(os.getpid())
        with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as endless:
            silent.connect(name)
            endless.connect(name)
            endless.sendall(b"x" * 5000)
            assert handover.ask(os.getpid(), "one", LONG)
    finally:
        handover.withdraw(holder.let_go)


def test_a_name_that_somebody_has_is_no_connection_of_the_parents(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pid = os.getppid()
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(handover.address(pid))
        squatter.listen()
        # This process answers in the place of its parent.
        assert not handover.ask(pid, "one", LONG)
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(handover.address(os.getpid()))
        holder = Holder()
        handover.offer("one", holder.let_go)
        handover.withdraw(holder.let_go)
    [record] = caplog.records
    assert vars(record)["mqtt_event"] == "handover_failed"


def test_an_application_that_ends_without_close_writes_nothing_to_stderr(
    broker: Mosquitto,
) -> None:
    with running("mqtt = Mqtt(app)", broker.port) as script:
        assert script.finish() == 0
        assert script.errors == ""


def test_the_end_does_not_wait_for_a_thread_that_has_ended_with_the_interpreter(
    broker: Mosquitto,
) -> None:
    code = """
    from flask_mqtt.process import handover

    mqtt = Mqtt(app)
    thread = threading.Thread(target=handover._mine()._lock.acquire)
    thread.start()
    thread.join()
    """
    with running(code, broker.port) as script:
        assert script.finish() == 0
        assert script.errors == ""
