"""A proxy between a client and a broker, which knows packets and does to them what faults.py has.

    script = Script(Fault(Act.CUT_AFTER, UP, "PUBLISH", 2))
    with FaultProxy(broker.port, script) as proxy:
        ...                                     # a client connects to 127.0.0.1:proxy.port
        proxy.wait_closed()
        assert [seen.kind for seen in proxy.trace if seen.arrived] == [...]

MQTT 3.1.1 and 5. Two threads for each connection, which end with it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .codec import frame_length
from .faults import DOWN, UP, Act, Passing, Script, peek
from .server import HOST, Server
from .wait import PATIENCE, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .faults import Fault, Faults

#: Seconds after which what waits for another packet goes on without it.
MOMENT = 0.05

#: The kind of what cannot be looked into.
OPAQUE = "bytes"

#: What ends the connection, and where the packet does not arrive.
ENDS = (Act.CUT_BEFORE, Act.CUT_AFTER, Act.CUT_AT, Act.RESET, Act.HALF_OPEN)
STAYS = (Act.CUT_BEFORE, Act.CUT_AT, Act.RESET, Act.HALF_OPEN, Act.SWALLOW)


class Seen(NamedTuple):
    """A packet that came to the proxy, or a remark (`kind` "note") in its place in the order."""

    packet: Passing | None
    fate: Act | None = None
    arrived: bool = True
    note: str = ""

    @property
    def kind(self) -> str:
        """The kind of the packet."""
        return self.packet.kind if self.packet else "note"

    def __str__(self) -> str:
        if self.packet is None:
            return f"-- {self.note}"
        packet, fate = self.packet, f" [{self.fate.value}]" if self.fate else ""
        arrow = ">" if packet.side == UP else "<"
        flags = f" q{packet.qos}{' dup' if packet.dup else ''}" if packet.kind == "PUBLISH" else ""
        what = f" {packet.topic} {packet.payload[:24]!r}" if packet.topic else ""
        lost = "" if self.arrived else " (lost)"
        return f"{packet.connection} {arrow} {packet.kind} {packet.mid}{flags}{what}{fate}{lost}"


class FaultProxy(Server):
    """Listens on a free port and passes packets on to a port, with the faults given.

    record: called with everything that is seen, in order; by default it goes into `trace`.
    opaque: what passes cannot be looked into, as with TLS; whatever is read at once is a packet of
        the kind `OPAQUE`.
    """

    def __init__(
        self,
        target: int,
        faults: Faults | None = None,
        record: Callable[[Seen], None] | None = None,
        *,
        opaque: bool = False,
    ) -> None:
        super().__init__()
        self.target = target
        self.opaque = opaque
        self.faults = faults or Script()
        self.trace: list[Seen] = []
        self.counts: Counter[Act] = Counter()
        self.connections = 0
        self.turned_away = 0
        self._record = record or self.trace.append
        self._lock = threading.Lock()
        self._links: set[_Link] = set()
        self._gate = threading.Event()
        self._gate.set()

    def close(self) -> None:
        """Stop listening, end all connections without waiting for their ends, and join them."""
        super().close()
        for link in self._links_open():
            link.abort()
        for link in self._links_open():
            link.join(5)

    def hold(self) -> None:
        """End connections that come now at once, until `let_in`."""
        self._gate.clear()

    def let_in(self) -> None:
        """Take connections again."""
        self._gate.set()

    def drop(self) -> None:
        """End the connections that there are, as a cut does."""
        for link in self._links_open():
            link.cut()

    def wait_closed(self, timeout: float = PATIENCE) -> None:
        """Wait until both ends of every connection have closed it."""
        wait_until(lambda: not self._links_open(), timeout, "the ends to close their connections")

    def note(self, text: str) -> None:
        """Add a remark to the record."""
        self.see(Seen(None, note=text))

    def see(self, seen: Seen) -> None:
        """Add something to the record, and count the faults."""
        with self._lock:
            self._record(seen)
            if seen.fate:
                self.counts[seen.fate] += 1

    def kinds(self, connection: int, side: str) -> list[str]:
        """Return the kinds of the packets that arrived on a side of a connection."""
        return [
            seen.kind
            for seen in list(self.trace)
            if seen.packet and seen.arrived and seen.packet[:2] == (connection, side)
        ]

    def _links_open(self) -> list[_Link]:
        with self._lock:
            return list(self._links)

    def take(self, connection: socket.socket) -> None:
        if not self._gate.is_set():
            connection.close()
            self.turned_away += 1
            return
        try:
            broker = socket.create_connection((HOST, self.target), timeout=5)
        except OSError:
            connection.close()
            return
        broker.settimeout(None)
        with self._lock:
            self.connections += 1
            link = _Link(self, self.connections, connection, broker)
            self._links.add(link)
        link.start()

    def forget(self, link: _Link) -> None:
        """A connection has ended."""
        with self._lock:
            self._links.discard(link)


class _Link:
    """One connection: two sockets, and a lane each way."""

    def __init__(
        self, proxy: FaultProxy, number: int, client: socket.socket, broker: socket.socket
    ) -> None:
        self.proxy, self.number = proxy, number
        self.level = 4
        #: Whether nothing is passed on any more.
        self.deaf = threading.Event()
        #: Whether the client gets a RST and no FIN.
        self.resetting = False
        #: Whether an end does not learn that the other one has closed.
        self.half_open = False
        self._ended = threading.Event()
        self._sockets = (client, broker)
        for end in self._sockets:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lanes = (_Lane(self, UP, client, broker), _Lane(self, DOWN, broker, client))
        self._lock = threading.Lock()
        self._running = 2

    def start(self) -> None:
        for lane in self._lanes:
            lane.start()

    def join(self, timeout: float) -> None:
        for lane in self._lanes:
            lane.join(timeout)

    def cut(self) -> None:
        """End it. What was passed on arrives, since the sockets stay until their ends close."""
        self.half_open = False
        self.deaf.set()
        self._shut(socket.SHUT_WR)

    def reset(self) -> None:
        """End it: by a RST for the client, and for the broker as a cut does.

        mosquitto 2.0.11 sends a QoS 2 message again after its PUBREC, where a RST keeps it from
        repeating the PUBREL and another connection follows.
        """
        self.resetting = True
        self.deaf.set()
        client, _ = self._sockets
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # Wakes the lane that reads from it; when both have ended, it is closed by the RST.
            client.shutdown(socket.SHUT_RD)

    def abort(self) -> None:
        """End it without waiting for the ends."""
        self.deaf.set()
        self._ended.set()
        self._shut(socket.SHUT_RDWR)

    def wait(self, seconds: float) -> None:
        """Wait so long, or (0) until the connection ends."""
        self._ended.wait(seconds or None)

    def lane_ended(self) -> None:
        """One end has closed; the second time, everything is closed."""
        self._ended.set()
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:
            for end in self._sockets:
                end.close()
            self.proxy.forget(self)

    def _shut(self, how: int) -> None:
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(how)


class _Lane(threading.Thread):
    """Passes packets from one socket to the other."""

    def __init__(
        self, link: _Link, side: str, source: socket.socket, target: socket.socket
    ) -> None:
        super().__init__(name=f"faults-{side}-{link.number}", daemon=True)
        self._link, self._side = link, side
        self._source, self._target = source, target
        self._choose = link.proxy.faults.of(link.number, side)
        self._start = 0
        #: Packets that come after the next of their kind.
        self._held: dict[str, bytes] = {}
        self._together = b""
        self._together_left = 0

    def run(self) -> None:
        buffer = b""
        while data := self._read():
            if self._link.deaf.is_set():
                continue
            if self._link.proxy.opaque:
                self._packet(data)
                continue
            buffer += data
            while (length := frame_length(buffer)) is not None and len(buffer) >= length:
                packet, buffer = buffer[:length], buffer[length:]
                self._packet(packet)
        self._flush()
        link = self._link
        if not link.half_open and (self._side == UP or not link.resetting):
            with contextlib.suppress(OSError):
                self._target.shutdown(socket.SHUT_WR)
        link.lane_ended()

    def _read(self) -> bytes:
        try:
            if self._held or self._together:
                poll = select.poll()
                poll.register(self._source, select.POLLIN)
                if not poll.poll(MOMENT * 1000):
                    self._flush()
            return self._source.recv(65536)
        except OSError:
            return b""

    def _packet(self, raw: bytes) -> None:
        link = self._link
        passing = self._look(raw)
        self._start += len(raw)
        if link.deaf.is_set():
            link.proxy.see(Seen(passing, None, arrived=False))
            return
        fault = self._choose(passing)
        arrived = fault is None or fault.act not in STAYS
        # Before it is passed on, so that an answer comes after it.
        link.proxy.see(Seen(passing, fault.act if fault else None, arrived=arrived))
        if fault is None:
            self._pass_on(passing.kind, raw)
        else:
            self._do(fault, passing, raw)

    def _look(self, raw: bytes) -> Passing:
        link = self._link
        if link.proxy.opaque:
            return Passing(
                link.number, self._side, OPAQUE, 0, 0, dup=False, topic="", payload=b"",
                start=self._start, length=len(raw),
            )  # fmt: skip
        if raw[0] >> 4 == 1:
            link.level = raw[raw.index(b"MQTT") + 4]
        return peek(raw, link.number, self._side, self._start, link.level)

    def _do(self, fault: Fault, passing: Passing, raw: bytes) -> None:
        if fault.act in ENDS:
            self._end(fault, passing, raw)
        elif fault.act in (Act.STALL, Act.DELAY):
            self._link.wait(fault.seconds)
            if not self._link.deaf.is_set():
                self._pass_on(passing.kind, raw)
        elif fault.act is Act.DUPLICATE:
            self._pass_on(passing.kind, raw + raw)
        elif fault.act is not Act.SWALLOW:
            self._flush()
            self._shape(fault, passing.kind, raw)

    def _end(self, fault: Fault, passing: Passing, raw: bytes) -> None:
        link = self._link
        if fault.act is Act.RESET:
            link.reset()
            return
        # First of all, so that no answer is passed on.
        link.deaf.set()
        if fault.act is Act.HALF_OPEN:
            link.half_open = True
            return
        parts = {Act.CUT_BEFORE: 0, Act.CUT_AT: fault.byte - passing.start}
        self._flush()
        self._send(raw[: parts.get(fault.act, len(raw))])
        link.cut()

    def _shape(self, fault: Fault, kind: str, raw: bytes) -> None:
        if fault.act is Act.REORDER:
            self._held[kind] = raw
        elif fault.act is Act.COALESCE:
            self._together, self._together_left = raw, fault.count - 1
        else:
            for byte in raw:
                self._send(bytes([byte]))

    def _pass_on(self, kind: str, raw: bytes) -> None:
        raw += self._held.pop(kind, b"")
        if not self._together:
            self._send(raw)
            return
        self._together += raw
        self._together_left -= 1
        if self._together_left <= 0:
            self._flush()

    def _flush(self) -> None:
        waiting = self._together + b"".join(self._held.values())
        self._together, self._held = b"", {}
        self._send(waiting)

    def _send(self, data: bytes) -> None:
        try:
            self._target.sendall(data)
        except OSError:
            # That end is gone, and the other lane learns it.
            self._link.deaf.set()
