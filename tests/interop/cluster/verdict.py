"""What became of each order and whose doing it was, by the taps and by the books of the hosts."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .hosts import Handled
    from .tap import Packet

PUBLISHER = "publisher"

#: Why an order was lost.
UNACKNOWLEDGED = "the broker never acknowledged it to the publisher"
NOT_DELIVERED = "the broker acknowledged it and never delivered it"
NOT_AGAIN = "delivered to a worker that had no time to acknowledge it, and never again"
BY_CLIENT = "a worker acknowledged it without having handled it"

#: Why an order was handled more than once.
SENT_AGAIN = "published again, as the connection ended before its PUBACK (QoS 1)"
GIVEN_AGAIN = "delivered again, as the connection ended before its PUBACK (QoS 1)"
BROKER_AGAIN = "delivered again, although a worker had sent its PUBACK"
CLIENT_SENT_AGAIN = "published again, although the broker had acknowledged it"
CLIENT_AGAIN = "handled again without being delivered again"


class Journey(NamedTuple):
    """An order on its way over one connection."""

    node: str
    client: str
    acknowledged: bool


class Verdict(NamedTuple):
    """What became of the orders. Each host handles every order, or all hosts share them.

    orders, handled: how many orders there were, and how often one was handled.
    lost: the orders that were never handled, by the reason.
    again: those that were handled more than once, by the reason.
    longest: the longest time in which no order was handled, of any host, in seconds.
    """

    orders: int
    handled: int
    lost: dict[str, list[int]]
    again: dict[str, list[int]]
    longest: float


def judge(
    orders: Iterable[int], packets: Iterable[Packet], handled: Iterable[Handled], hosts: list[str]
) -> Verdict:
    """Tell what became of orders.

    hosts: those that handle every order; empty where all hosts share them.
    """
    wanted = sorted(orders)
    published, delivered = _journeys(packets)
    lines = [line for line in handled if line.number >= 0]
    lost: defaultdict[str, list[int]] = defaultdict(list)
    again: defaultdict[str, list[int]] = defaultdict(list)
    longest = 0.0
    for host in hosts or [""]:
        times = sorted(line.at for line in lines if line.host == host or not host)
        longest = max([longest, *(after - before for before, after in pairwise(times))])
        counts = Counter(line.number for line in lines if line.host == host or not host)
        for number in wanted:
            sent = published[number]
            given = [trip for trip in delivered[number] if _is_at(trip, host)]
            if not counts[number]:
                lost[_why_lost(sent, given)].append(number)
            elif counts[number] > 1:
                again[_why_again(sent, given, counts[number])].append(number)
    return Verdict(len(wanted), len(lines), lost, again, longest)


def _is_at(trip: Journey, host: str) -> bool:
    """Whether a worker of the host got it; its client id is `shop-HOST` or `shop-HOST-SLOT`."""
    return not host or f"{trip.client}-".startswith(f"shop-{host}-")


def _why_lost(sent: list[Journey], given: list[Journey]) -> str:
    if not any(trip.acknowledged for trip in sent):
        return UNACKNOWLEDGED
    if any(trip.acknowledged for trip in given):
        return BY_CLIENT
    return NOT_AGAIN if given else NOT_DELIVERED


def _why_again(sent: list[Journey], given: list[Journey], handled: int) -> str:
    if handled > len(given):
        return CLIENT_AGAIN
    if len(sent) > 1:
        return CLIENT_SENT_AGAIN if sent[0].acknowledged else SENT_AGAIN
    return BROKER_AGAIN if given[0].acknowledged else GIVEN_AGAIN


def _journeys(
    packets: Iterable[Packet],
) -> tuple[defaultdict[int, list[Journey]], defaultdict[int, list[Journey]]]:
    """Return what was published, and what was delivered to workers, by order."""
    ways: dict[bool, defaultdict[int, list[Journey]]]
    ways = {True: defaultdict(list), False: defaultdict(list)}
    under_way: dict[tuple[int, bool, int], int] = {}
    for packet in packets:
        if packet.kind == "PUBLISH" and packet.payload:
            number = int(packet.payload)
            under_way[packet.connection, packet.of_client, packet.mid] = number
            journey = Journey(packet.node, packet.client, acknowledged=False)
            ways[packet.of_client][number].append(journey)
        elif packet.kind == "PUBACK":
            sender = not packet.of_client
            number = under_way[packet.connection, sender, packet.mid]
            trips = ways[sender][number]
            last = max(
                index
                for index, trip in enumerate(trips)
                if (trip.node, trip.client) == (packet.node, packet.client)
            )
            trips[last] = trips[last]._replace(acknowledged=True)
    return ways[True], ways[False]
