"""Slots: which process of an application has which number."""

from __future__ import annotations

import gc
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_mqtt.process import slots
from support.children import in_child
from support.script import Script, running

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("slots_folder"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

#: Commands on stdin, an answer for each on stdout.
HOLDER = """
    from flask_mqtt.process import slots
    held = {}
    for line in sys.stdin:
        what, *words = line.split()
        if what == "take":
            slot = slots.take(words[0], avoid=set(map(int, words[1:])))
            held[slot.number] = slot
            say(slot.number)
        elif what == "try":
            slot = slots.try_take(words[0], int(words[1]))
            held[int(words[1])] = slot
            say(slot is not None)
        elif what == "mark":
            held[int(words[0])].mark(dirty=words[1] == "dirty")
            say("marked")
        elif what == "note":
            held[int(words[0])].note_connection()
            say("noted")
        elif what == "release":
            held.pop(int(words[0])).release()
            say("released")
        elif what == "dirty":
            say(slots.free_dirty(words[0]))
"""


class Holder:
    """Another process that holds slots."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def ask(self, command: str) -> str:
        stdin = self.script.process.stdin
        assert stdin is not None
        stdin.write(command + "\n")
        stdin.flush()
        answer = self.script.line()
        if not answer:
            self.script.finish()
        assert answer, self.script.errors
        return answer

    def kill(self) -> None:
        self.script.process.kill()
        self.script.process.wait()


class Holders:
    """Starts them."""

    def __init__(self, stack: ExitStack) -> None:
        self.stack = stack

    def one(self) -> Holder:
        return Holder(self.stack.enter_context(running(HOLDER, 0)))


@pytest.fixture
def holders() -> Iterator[Holders]:
    """Start other processes; they end with the test."""
    with ExitStack() as stack:
        yield Holders(stack)


def test_processes_have_numbers_from_0_on(holders: Holders) -> None:
    first, second = holders.one(), holders.one()
    assert first.ask("take app") == "0"
    assert second.ask("take app") == "1"
    assert slots.take("app").number == 2
    assert second.ask("take other") == "0"


def test_a_free_number_is_taken_again(holders: Holders) -> None:
    first, second = holders.one(), holders.one()
    assert first.ask("take app") == "0"
    assert second.ask("take app") == "1"
    assert first.ask("release 0") == "released"
    assert slots.take("app").number == 0


def test_a_killed_process_has_no_slot_any_more(holders: Holders) -> None:
    first, second = holders.one(), holders.one()
    assert first.ask("take app") == "0"
    assert second.ask("take app") == "1"
    first.kill()
    assert holders.one().ask("take app") == "0"


def test_what_stayed_behind_goes_first(holders: Holders) -> None:
    some = [holders.one() for _ in range(4)]
    for number, holder in enumerate(some):
        assert holder.ask("take app") == str(number)
    assert some[3].ask("mark 3 dirty") == "marked"
    for number in (1, 2, 3):
        some[number].kill()
    assert some[0].ask("dirty app") == "[3]"
    with_session = slots.take("app")
    assert with_session.number == 3
    assert some[0].ask("dirty app") == "[]"
    with_session.mark(dirty=False)
    with_session.release()
    assert slots.free_dirty("app") == []
    assert slots.take("app").number == 1


def test_a_single_process_has_slot_0(holders: Holders) -> None:
    first, second = holders.one(), holders.one()
    assert first.ask("take app") == "0"
    assert second.ask("take app") == "1"
    assert second.ask("mark 1 dirty") == "marked"
    for holder in (first, second):
        holder.kill()
    # The other one's session is finished by whoever looks for that.
    assert slots.take("app").number == 0
    assert slots.free_dirty("app") == [1]


def test_numbers_to_avoid(holders: Holders) -> None:
    assert holders.one().ask("take app 0 1") == "2"
    slot = slots.take("app", avoid={0})
    assert slot.number == 1
    # The process has one, which is to be avoided now.
    assert slots.take("app", avoid={1}).number == 0


def test_a_process_has_one_slot_that_all_share(holders: Holders) -> None:
    other = holders.one()
    first, second = slots.take("app"), slots.take("app")
    assert (first.number, second.number) == (0, 0)
    first.release()
    first.release()
    assert other.ask("try app 0") == "False"
    second.release()
    assert other.ask("try app 0") == "True"


def test_a_slot_that_nothing_refers_to_is_free(holders: Holders) -> None:
    slots.take("app")
    assert holders.one().ask("take app") == "0"


def test_one_slot_is_released_while_another_stays(holders: Holders) -> None:
    other = holders.one()
    own, adopted = slots.take("app"), slots.try_take("app", 3)
    assert adopted is not None
    adopted.release()
    assert other.ask("try app 3") == "True"
    assert other.ask("try app 0") == "False"
    assert own.number == 0


def test_a_certain_slot(holders: Holders) -> None:
    other = holders.one()
    own = slots.take("app")
    assert slots.try_take("app", own.number) is None
    assert other.ask("try app 5") == "True"
    assert slots.try_take("app", 5) is None
    other.kill()
    taken = slots.try_take("app", 5)
    assert taken is not None
    assert taken.number == 5


def test_only_what_is_clean(holders: Holders) -> None:
    some = [holders.one() for _ in range(3)]
    for number, holder in enumerate(some):
        assert holder.ask("take app") == str(number)
        assert holder.ask(f"mark {number} {'clean' if number == 2 else 'dirty'}") == "marked"
    for holder in some:
        holder.kill()
    assert slots.take("app", only_clean=True).number == 2
    # What it only looked at is free, and as it was.
    assert slots.free_dirty("app") == [0, 1]


def test_looking_for_what_stayed_behind_disturbs_nobody(holders: Holders) -> None:
    looking, first = holders.one(), holders.one()
    assert first.ask("take app") == "0"
    assert first.ask("mark 0 dirty") == "marked"
    first.ask("release 0")
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            looking.ask("dirty app")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(1_000):
            slot = slots.take("app")
            assert slot.number == 0
            slot.release()
    finally:
        stop.set()
        thread.join()


def test_many_threads_share(holders: Holders) -> None:
    barrier = threading.Barrier(8)
    found: list[int] = []

    def work() -> None:
        barrier.wait()
        for _ in range(100):
            with_others = slots.take("app")
            found.append(with_others.number)
            with_others.release()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [0] * 800
    assert holders.one().ask("take app") == "0"


def test_the_end_of_a_process_is_silent() -> None:
    code = """
        from flask_mqtt.process import slots
        slot = slots.take("app")
        cycle = [slots.try_take("app", 1)]
        cycle.append(cycle)
        flask_mqtt.kept = slots.take("other")
    """
    with running(code, 0) as script:
        assert script.finish() == 0
        assert script.errors == ""


def test_slots_are_released_by_the_garbage_collector(holders: Holders) -> None:
    cycle: list[object] = [slots.take("app")]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert holders.one().ask("take app") == "0"


# -- forks ----------------------------------------------------------------------------------------


def test_a_forked_child_has_a_slot_of_its_own(holders: Holders) -> None:
    other = holders.one()
    slot = slots.take("app")

    def child() -> None:
        assert slots.inherited("app") == {0}
        assert slots.inherited("other") == frozenset()
        assert slots.try_take("app", 0) is None
        own = slots.take("app")
        assert own.number == 1
        slot.release()
        with pytest.raises(ValueError, match="slot 0 is not held"):
            slot.mark(dirty=True)
        in_child(lambda: _same(slots.inherited("app"), {0, 1}))

    in_child(child)
    assert other.ask("try app 0") == "False"
    assert other.ask("try app 1") == "True"
    assert slots.inherited("app") == frozenset()


def test_a_child_that_outlives_its_parent_does_not_keep_the_slot(holders: Holders) -> None:
    code = """
        from flask_mqtt.process import slots
        slot = slots.take("app")
        child = os.fork()
        if child == 0:
            sys.stdin.read()
            os._exit(0)
        say(slot.number, child)
        os.kill(os.getpid(), 9)
    """
    with running(code, 0) as script:
        number, child = script.line().split()
        assert number == "0"
        assert script.process.wait(10) == -signal.SIGKILL
        os.kill(int(child), 0)
        assert holders.one().ask("take app") == "0"


def test_descriptors_of_a_child_are_closed(slots_folder: Path) -> None:
    slot = slots.take("app")
    opened = _descriptors(slots_folder)
    assert len(opened) == 2
    in_child(lambda: _same(_descriptors(slots_folder), []))
    slot.release()
    assert _descriptors(slots_folder) == []


def _descriptors(slots_folder: Path) -> list[str]:
    found = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except OSError:
            continue
        if target.is_relative_to(slots_folder):
            found.append(str(target))
    return found


def _same(found: object, due: object) -> None:
    assert found == due


def test_there_is_room_for_a_connection_of_each_process_and_one_more(
    holders: Holders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "COUNTED_SECONDS", 3600.0)
    assert slots.is_quiet("app")
    other = holders.one()
    assert other.ask("take app") == "0"
    slot = slots.take("app")
    assert other.ask("note 0") == "noted"
    slot.note_connection()
    assert not slots.is_quiet("app")
    assert slots.is_quiet("another")
    # Turns are no processes.
    turn = slots.try_turn("app")
    assert slots.has_room("app")
    other.ask("note 0")
    assert not slots.has_room("app")
    assert slots.has_room("app", 1)
    assert turn is not None
    assert holders.one().ask("take app") == "2"
    # A process has a slot that has connected.
    assert not slots.has_room("app")
    newest = holders.one()
    assert newest.ask("take app") == "3"
    newest.ask("note 3")
    assert slots.has_room("app")
    slot.note_connection()
    assert not slots.has_room("app")
    monkeypatch.setattr(slots, "COUNTED_SECONDS", 0.0)
    assert slots.has_room("app")
    assert slots.is_quiet("app")


def test_only_some_connections_of_a_slot_are_kept(
    slots_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "COUNTED_SECONDS", 3600.0)
    slot = slots.take("app")
    slot.note_connection()
    size = (slots_folder / "app.slots").stat().st_size
    for _ in range(10):
        slot.note_connection()
    assert (slots_folder / "app.slots").stat().st_size == size
    slot.release()
    with pytest.raises(ValueError, match="slot 0 is not held"):
        slot.note_connection()
