"""What can go wrong between a client and a broker: faults by a script, or random ones from a seed.

    Script(Fault(Act.CUT_AFTER, UP, "PUBLISH", 2))     # the second PUBLISH arrives, nothing else
    Script(Fault(Act.CUT_AT, DOWN, byte=100))          # 100 bytes come from the broker
    RandomFaults(7, {Act.CUT_AFTER: 0.002, Act.DELAY: 0.05}, {Act.DELAY: 0.1})

`FaultProxy` (fault_proxy.py) asks for each packet what is to happen to it.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from .codec import KINDS, Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UP = "up"
"""From the client to the broker."""
DOWN = "down"
"""From the broker to the client."""

ACKS = ("PUBACK", "PUBREC", "PUBREL", "PUBCOMP")


class Act(Enum):
    """What is done to a packet, or to the connection when the packet comes."""

    CUT_BEFORE = "cut before"
    """Ends the connection in its place: what was passed on before arrives, at both ends."""
    CUT_AFTER = "cut after"
    """Ends the connection when it has been passed on; no answer to it arrives."""
    CUT_AT = "cut inside"
    """Ends the connection inside it."""
    RESET = "reset"
    """Ends the connection in its place, for the client by a RST, which may destroy what came."""
    HALF_OPEN = "half-open"
    """Passes nothing on any more, not even the end; both ends see an open connection."""
    STALL = "stall"
    """Reads nothing any more on this side, for so many seconds, or until the connection ends."""
    DELAY = "delay"
    """The packet, and all behind it, come so many seconds later."""
    SWALLOW = "swallow"
    """The packet does not arrive."""
    DUPLICATE = "duplicate"
    """The packet arrives twice."""
    REORDER = "reorder"
    """The packet comes after the next of its kind, or when nothing has come for a moment."""
    SPLIT = "split"
    """The packet comes in segments of one byte."""
    COALESCE = "coalesce"
    """The packet comes in one segment with the next few."""


class Passing(NamedTuple):
    """A packet on its way. Fields that its kind does not have are empty."""

    connection: int
    side: str
    kind: str
    mid: int
    qos: int
    dup: bool
    topic: str
    payload: bytes
    #: How many bytes came before it on this side of the connection.
    start: int
    length: int


def peek(raw: bytes, connection: int, side: str, start: int, level: int) -> Passing:
    """Look into a packet of MQTT 3.1.1 (level 4) or 5."""
    kind, flags = KINDS[raw[0] >> 4], raw[0] & 0x0F
    header = next(index for index in range(1, 5) if not raw[index] & 0x80) + 1
    reader = Reader(raw[header:])
    mid, topic, payload = 0, "", b""
    if kind == "PUBLISH":
        topic = reader.text()
        mid = reader.short() if flags & 6 else 0
        if level == 5:
            reader.properties()
        payload = reader.rest
    elif kind in ACKS:
        mid = reader.short()
    qos = flags >> 1 & 3 if kind == "PUBLISH" else 0
    dup = kind == "PUBLISH" and bool(flags & 8)
    return Passing(connection, side, kind, mid, qos, dup, topic, payload, start, len(raw))


@dataclass(frozen=True)
class Fault:
    """One fault, and the packet that it happens to.

    side, kind: of which packets; empty for all.
    number: the first, second, ... of those, over all connections.
    connection: the number of the only connection that counts; 0 for all.
    byte: for CUT_AT: how many bytes arrive on this side of the connection.
    seconds: for STALL (0: until the connection ends) and DELAY.
    count: for COALESCE: how many packets go together.
    """

    act: Act
    side: str = ""
    kind: str = ""
    number: int = 1
    connection: int = 0
    byte: int = 0
    seconds: float = 0
    count: int = 10

    def fits(self, passing: Passing) -> bool:
        """Whether it is about a packet such as this."""
        wanted = (self.connection, self.side, self.kind)
        if any(want and want != is_it for want, is_it in zip(wanted, passing, strict=False)):
            return False
        within = passing.start <= self.byte < passing.start + passing.length
        return within or self.act is not Act.CUT_AT


class Faults(Protocol):
    """Where faults come from."""

    def of(self, connection: int, side: str) -> Callable[[Passing], Fault | None]:
        """Return what chooses the fault of each packet that comes on a side of a connection."""


class Script:
    """The faults given, each of them once."""

    def __init__(self, *faults: Fault) -> None:
        self._waiting = list(faults)
        self._lock = threading.Lock()

    def of(self, connection: int, side: str) -> Callable[[Passing], Fault | None]:
        return self._choose

    def add(self, fault: Fault) -> None:
        """Add one; its packets are counted from now on."""
        with self._lock:
            self._waiting.append(fault)

    def _choose(self, passing: Passing) -> Fault | None:
        chosen = None
        with self._lock:
            waiting, self._waiting = self._waiting, []
            for fault in waiting:
                if chosen is None and fault.fits(passing):
                    if fault.number == 1:
                        chosen = fault
                    else:
                        self._waiting.append(replace(fault, number=fault.number - 1))
                else:
                    self._waiting.append(fault)
        return chosen


class RandomFaults:
    """Faults by chance. What is drawn follows from the seed, the connection and the side.

    chances: the probability of each act for a packet that it can happen to.
    longest: of an act that takes time, in seconds.

    What a broker or client may not do, happens where it does no harm to a session of MQTT: only a
    CONNACK comes twice, and only PUBACK and PUBCOMP change their order, since that of the others is
    the order of messages (MQTT 3.1.1, section 4.6). Nothing is swallowed, since TCP does not.
    """

    ONLY = {Act.DUPLICATE: ("CONNACK",), Act.REORDER: ("PUBACK", "PUBCOMP")}  # noqa: RUF012

    def __init__(
        self, seed: int, chances: Mapping[Act, float], longest: Mapping[Act, float]
    ) -> None:
        self.seed = seed
        self._longest = dict(longest)
        self._chances = dict(chances)
        self._over = threading.Event()

    def stop(self) -> None:
        """Let everything pass from now on."""
        self._over.set()

    def of(self, connection: int, side: str) -> Callable[[Passing], Fault | None]:
        chance = random.Random(f"{self.seed}/{connection}/{side}")

        def choose(passing: Passing) -> Fault | None:
            if self._over.is_set():
                return None
            for act, probability in self._chances.items():
                if passing.kind in self.ONLY.get(act, (passing.kind,)) and (
                    chance.random() < probability
                ):
                    byte = passing.start + chance.randrange(passing.length)
                    seconds = chance.uniform(0, self._longest.get(act, 0))
                    return Fault(act, byte=byte, seconds=seconds, count=chance.randrange(2, 20))
            return None

        return choose
