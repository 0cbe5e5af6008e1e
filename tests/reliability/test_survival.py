"""What survives when a connection is cut, at every place of a message's flow.

The tables of docs/reliability.md are what is measured here. This writes them:

    PYTHONPATH=tests python -m reliability.test_survival
"""

from __future__ import annotations

import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flask_mqtt import MQTTv5, MQTTv311
from support.faults import Act
from support.mosquitto import Mosquitto
from support.survival import FLOWS, PUBLISHER, SUBSCRIBER, Cell, Outcome, cells, measure

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
WRITER = "PYTHONPATH=tests python -m reliability.test_survival"
PLACE = re.compile(r"(<!-- (publisher|subscriber): .+? -->\n)(.*?)(<!-- end -->)", re.DOTALL)
WORDS = ("never", "once", "twice")
NOTHING = "\N{EN DASH}"
COLUMNS = (
    *("QoS", "The connection is cut", "Session", "Message 2 is delivered", "Order"),
    *("On the next connection", "Completed by"),
)
AT_ONCE = 8

Outcomes = dict[Cell, Outcome]
#: A place of the flow, and the cuts that lead to it: one after a packet, one before the next.
Point = tuple[str, list[tuple[Act, int]]]


def measure_all(port: int, protocol: int = MQTTv311) -> Outcomes:
    """Measure every cut against the broker on a port."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = pool.map(partial(measure, port, protocol=protocol), cells())
        return dict(zip(cells(), outcomes, strict=True))


def points(qos: int) -> Iterator[Point]:
    """Return the places of a flow."""
    flow = FLOWS[qos]
    yield f"before {flow[0]}", [(Act.CUT_BEFORE, 0)]
    for packet in range(1, len(flow)):
        cuts = [(Act.CUT_AFTER, packet - 1), (Act.CUT_BEFORE, packet)]
        yield f"between {flow[packet - 1]} and {flow[packet]}", cuts
    yield f"after {flow[-1]}", [(Act.CUT_AFTER, len(flow) - 1)]


def lines(outcomes: Outcomes, role: str, qos: int) -> Iterator[tuple[str, str, Outcome]]:
    """Return place, session and outcome; what comes out the same is one line."""
    for place, cuts in points(qos):
        found = [
            (clean, act, outcomes[Cell(role, qos, clean, act, packet)])
            for clean in (True, False)
            for act, packet in cuts
        ]
        if len({outcome for _, _, outcome in found}) == 1:
            yield place, "either", found[0][2]
            continue
        for clean, group in groupby(found, key=lambda item: item[0]):
            session, items = "clean" if clean else "persistent", list(group)
            if len({outcome for _, _, outcome in items}) == 1:
                yield place, session, items[0][2]
                continue
            for _, act, outcome in items:
                which = "the first arrived" if act is Act.CUT_AFTER else "the second was sent"
                yield f"{place}: {which}", session, outcome


def table(outcomes: Outcomes, role: str) -> str:
    """Return the table of the page."""
    rows = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for qos in range(3):
        for place, session, outcome in lines(outcomes, role, qos):
            cells = [str(qos), place, session, WORDS[outcome.delivered], outcome.order]
            rest = [outcome.again or NOTHING, outcome.acknowledged or NOTHING]
            rows.append(f"| {' | '.join(cells + rest)} |")
    return "\n".join(rows) + "\n"


def rewrite(text: str, outcomes: Outcomes) -> str:
    """Return the page with the tables that belong there."""
    return PLACE.sub(lambda found: found[1] + table(outcomes, found[2]) + found[4], text)


@pytest.fixture(scope="module")
def outcomes(broker: Mosquitto) -> Outcomes:
    return measure_all(broker.port)


def test_the_tables_of_the_page_are_what_happens(outcomes: Outcomes) -> None:
    text = PAGE.read_text()
    assert [role for _, role, _, _ in PLACE.findall(text)] == [PUBLISHER, SUBSCRIBER]
    assert text == rewrite(text, outcomes), f"{WRITER} writes it"


def test_with_mqtt_5_it_is_the_same(broker: Mosquitto, outcomes: Outcomes) -> None:
    assert measure_all(broker.port, MQTTv5) == outcomes


def test_a_publisher_loses_nothing_of_qos_1_and_2(outcomes: Outcomes) -> None:
    found = [outcome for cell, outcome in outcomes.items() if cell.role == PUBLISHER and cell.qos]
    assert all(outcome.delivered for outcome in found)
    assert {outcome.order.replace("2 2", "2") for outcome in found} == {"1 2 3 4"}


def test_a_subscriber_with_a_session_loses_nothing_of_qos_1_and_2(outcomes: Outcomes) -> None:
    found = [
        outcome
        for cell, outcome in outcomes.items()
        if cell.role == SUBSCRIBER and cell.qos and not cell.clean
    ]
    assert {outcome.order.replace("2 2", "2") for outcome in found} == {"1 2 3 4"}


def test_qos_2_is_delivered_once_where_the_broker_keeps_the_session(outcomes: Outcomes) -> None:
    found = [outcome for cell, outcome in outcomes.items() if cell.qos == 2 and not cell.clean]
    assert {outcome.delivered for outcome in found} == {1}


def test_what_a_subscriber_has_got_is_delivered_though_the_session_is_gone(
    outcomes: Outcomes,
) -> None:
    got = [
        outcome.delivered
        for cell, outcome in outcomes.items()
        if cell.role == SUBSCRIBER and (cell.packet, cell.act) != (0, Act.CUT_BEFORE)
    ]
    assert all(got)


def test_what_completes_a_message_goes_out_after_the_handler(outcomes: Outcomes) -> None:
    completed = {
        outcome.acknowledged
        for cell, outcome in outcomes.items()
        if cell.role == SUBSCRIBER and outcome.acknowledged
    }
    acks, connections = ("PUBACK", "PUBCOMP"), (1, 2)
    assert completed == {
        f"{ack} on connection {number}, after the handler" for ack in acks for number in connections
    }


if __name__ == "__main__":
    with Mosquitto(Path(tempfile.mkdtemp())) as mosquitto:
        PAGE.write_text(rewrite(PAGE.read_text(), measure_all(mosquitto.port)))
