"""What becomes of messages on their way when a connection is ended, by whom ever.

The tables of docs/reliability.md are what is measured here. This writes them:

    PYTHONPATH=tests python -m reliability.test_partings
"""

from __future__ import annotations

import contextlib
import itertools
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.mosquitto import Mosquitto
from support.partings import ABRUPT, PUBLISHED, RECEIVED, Cell, Outcome, cells, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What they share is measured with some hundred processes.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITER = "PYTHONPATH=tests python -m reliability.test_partings"
PLACE = re.compile(r"(<!-- parting (published|received): .+? -->\n)(.*?)(<!-- end -->)", re.DOTALL)
WORDS = ("never", "once", "twice")
AT_ONCE = 4

#: Partings that come to the same.
GROUPS = {
    "`disconnect`, `close`, or `connect` again": ("disconnect", "close", "replaced"),
    "another client takes the client identifier": ("taken over",),
    "end of the program, `sys.exit`, SIGTERM with a handler that calls it": (
        *("exit", "sigterm handled"),
    ),
    "SIGTERM without a handler, SIGKILL, `os._exit`": ("sigterm", "sigkill", "os._exit"),
}
COLUMNS = {
    "published": ("published just before", "not acknowledged", "without a connection"),
    "received": ("its handler runs", "waits behind that"),
}
STATES = {"published": PUBLISHED, "received": RECEIVED}

Outcomes = dict[Cell, Outcome]

_numbers = itertools.count()


def measure_all(port: int) -> Outcomes:
    """Measure every parting with the broker on a port."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(lambda cell: measure(port, next(_numbers), cell), cells())
        return dict(zip(cells(), outcomes, strict=True))


def possible(cell: Cell, qos: int) -> tuple[int, ...]:
    """Return how often a message may arrive that was published just before an abrupt parting."""
    if qos == 0 or not (cell.file or cell.parting == "taken over"):
        return (0, 1)
    # A clean session lets the broker forget that it had the message.
    return (1, 2) if qos == 1 or cell.clean else (1,)


def told(cell: Cell, outcome: Outcome, state: str) -> str:
    """Return what became of the messages in one state, for each QoS."""
    if state == "answered" and cell.parting in ABRUPT:
        names = {(0, 1): "perhaps", (1, 2): "once or twice", (1,): "once"}
        return " / ".join(names[possible(cell, qos)] for qos in range(3))
    return " / ".join(WORDS[count] for count in outcome[state])


def rows(outcomes: Outcomes, table: str) -> Iterator[tuple[str, ...]]:
    """Return the lines; what comes out the same with either session is one."""
    for name, partings in GROUPS.items():
        for file in (False, True):
            found = []
            for clean in (True, False):
                members = [Cell(parting, clean, file) for parting in partings]
                texts = {
                    tuple(told(cell, outcomes[cell], state) for state in STATES[table])
                    for cell in members
                }
                found.append((clean, texts.pop()))
                assert not texts, f"not the same: {[outcomes[cell] for cell in members]}"
            for texts, group in groupby(found, key=lambda item: item[1]):
                sessions = ["clean" if clean else "persistent" for clean, _ in group]
                session = sessions[0] if len(sessions) == 1 else "either"
                yield (name, "yes" if file else "no", session, *texts)


def merged(lines: list[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Return the lines; what comes out the same with a file and without is one."""
    for name, group in groupby(lines, key=lambda line: line[0]):
        items = list(group)
        without, with_ = ([line[2:] for line in items if line[1] == file] for file in ("no", "yes"))
        if without == with_:
            yield from ((name, "either", *line) for line in without)
        else:
            yield from items


def table(outcomes: Outcomes, kind: str) -> str:
    """Return a table of the page."""
    head = ("Parting", "File", "Session", *COLUMNS[kind])
    lines = [f"| {' | '.join(line)} |\n" for line in (head, *merged(list(rows(outcomes, kind))))]
    return "".join([lines[0], "|---" * len(head) + "|\n", *lines[1:]])


def rewrite(text: str, outcomes: Outcomes) -> str:
    """Return the page with the tables that belong there."""
    return PLACE.sub(lambda found: found[1] + table(outcomes, found[2]) + found[4], text)


@pytest.fixture(scope="module")
def outcomes(broker: Mosquitto) -> Outcomes:
    found, text = measure_all(broker.port), PAGE.read_text()
    with contextlib.suppress(AssertionError):
        if rewrite(text, found) == text:
            return found
    # An end waits 0.3 s for a broker that is silent, as it may be on a machine with other work.
    return measure_all(broker.port)


def test_the_tables_of_the_page_are_what_happens(outcomes: Outcomes) -> None:
    text = PAGE.read_text()
    assert [kind for _, kind, _, _ in PLACE.findall(text)] == list(COLUMNS)
    assert text == rewrite(text, outcomes), f"{WRITER} writes it"


def test_what_was_published_just_before_an_abrupt_parting_is_not_less_or_more_than_told(
    outcomes: Outcomes,
) -> None:
    for cell, outcome in outcomes.items():
        if cell.parting in ABRUPT:
            for qos, count in enumerate(outcome["answered"]):
                assert count in possible(cell, qos), f"{cell}, QoS {qos}"


def test_with_a_file_no_parting_loses_what_was_published_with_qos_1_or_2(
    outcomes: Outcomes,
) -> None:
    found = [outcome for cell, outcome in outcomes.items() if cell.file]
    assert all(outcome[state][qos] for outcome in found for state in PUBLISHED for qos in (1, 2))


def test_an_orderly_parting_sends_everything_that_a_broker_answers(outcomes: Outcomes) -> None:
    found = {
        outcome["answered"] for cell, outcome in outcomes.items() if cell.parting not in ABRUPT
    }
    assert found == {(1, 1, 1)}


def test_a_persistent_session_and_a_file_lose_nothing_received_with_qos_1_or_2(
    outcomes: Outcomes,
) -> None:
    found = [outcome for cell, outcome in outcomes.items() if cell.file and not cell.clean]
    assert all(outcome[state][qos] for outcome in found for state in RECEIVED for qos in (1, 2))


if __name__ == "__main__":
    with Mosquitto(Path(tempfile.mkdtemp())) as mosquitto:
        PAGE.write_text(rewrite(PAGE.read_text(), measure_all(mosquitto.port)))
