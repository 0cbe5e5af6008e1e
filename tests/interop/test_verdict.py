"""What the run with a cluster says of an order, for each way in which one can go."""

from __future__ import annotations

import pytest

from interop.cluster import verdict
from interop.cluster.hosts import Handled
from interop.cluster.tap import Packet

pytestmark = pytest.mark.smoke


def packets(*said: str) -> list[Packet]:
    """Make packets of words such as "1: shop-a < PUBLISH": connection, client, way and kind."""
    made = []
    for each in said:
        connection, client, way, kind = each.replace(":", "").split()
        node = f"node {connection}"
        payload = b"7" if kind == "PUBLISH" else b""
        made.append(Packet(0.0, node, client, int(connection), way == ">", kind, 1, payload))
    return made


PUBLISHED = ("1: publisher > PUBLISH", "1: publisher < PUBACK")
DELIVERED = ("2: shop-a-1 < PUBLISH", "2: shop-a-1 > PUBACK")


@pytest.mark.parametrize(
    ("said", "handled", "reason"),
    [
        ((*PUBLISHED, *DELIVERED), 1, ""),
        ((), 0, verdict.UNACKNOWLEDGED),
        ((PUBLISHED[0],), 0, verdict.UNACKNOWLEDGED),
        (PUBLISHED, 0, verdict.NOT_DELIVERED),
        ((*PUBLISHED, DELIVERED[0]), 0, verdict.NOT_AGAIN),
        ((*PUBLISHED, *DELIVERED), 0, verdict.BY_CLIENT),
        ((*PUBLISHED, DELIVERED[0], "3: shop-a < PUBLISH"), 2, verdict.GIVEN_AGAIN),
        ((*PUBLISHED, *DELIVERED, "3: shop-a < PUBLISH"), 2, verdict.BROKER_AGAIN),
        ((*PUBLISHED, *DELIVERED), 2, verdict.CLIENT_AGAIN),
        (
            (PUBLISHED[0], *DELIVERED, "3: publisher > PUBLISH", *DELIVERED),
            2,
            verdict.SENT_AGAIN,
        ),
        (
            (*PUBLISHED, "3: publisher > PUBLISH", *DELIVERED, *DELIVERED),
            2,
            verdict.CLIENT_SENT_AGAIN,
        ),
    ],
)
def test_an_order_has_a_verdict(said: tuple[str, ...], handled: int, reason: str) -> None:
    lines = [Handled(7, "a", 100, float(number)) for number in range(handled)]
    found = verdict.judge([7], packets(*said), lines, [])
    assert {**found.lost, **found.again} == ({reason: [7]} if reason else {})
    assert (found.orders, found.handled, found.longest) == (1, handled, max(0.0, handled - 1.0))


def test_each_host_handles_every_order() -> None:
    said = [*PUBLISHED, *DELIVERED]
    found = verdict.judge([7], packets(*said), [Handled(7, "a", 100, 0.0)], ["a", "b"])
    assert found.lost == {verdict.NOT_DELIVERED: [7]}
    assert found.again == {}
