"""What becomes of a message whose connection is cut in the middle of its flow.

Four messages go through a `FaultProxy`: 1 with its whole flow; 2, whose flow is cut; 3 while there
is no connection; 4 after the next one was made. Publishers are watched by a `Peer` that shares no
code with the package; subscribers by their handler.
"""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from flask_mqtt import Mqtt, MQTTv311

from .apps import make_app
from .fault_proxy import FaultProxy
from .faults import DOWN, UP, Act, Fault, Script
from .peer import Peer
from .wait import wait_until

if TYPE_CHECKING:
    from flask import Flask

    from .fault_proxy import Seen

#: The packets of a message, in order; every second one goes the other way.
FLOWS = (("PUBLISH",), ("PUBLISH", "PUBACK"), ("PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"))
PUBLISHER, SUBSCRIBER = "publisher", "subscriber"

_numbers = itertools.count()


class Cell(NamedTuple):
    """One cut: of whose connection, with which QoS and session, where."""

    role: str
    qos: int
    clean: bool
    act: Act
    packet: int
    """The number of the packet in the flow."""

    @property
    def kind(self) -> str:
        """The packet before or after which the connection is cut."""
        return FLOWS[self.qos][self.packet]

    @property
    def side(self) -> str:
        """Which way that packet goes."""
        return UP if (self.role == PUBLISHER) == (self.packet % 2 == 0) else DOWN


class Outcome(NamedTuple):
    """What became of message 2."""

    delivered: int
    order: str
    """All messages as they were delivered."""
    again: str
    """Its packets on the second connection."""
    acknowledged: str
    """The packet that completed it, the connection, and whether the handler had returned."""


#: Werkzeug compiles rules to syntax trees, which CPython 3.11 may fail to in two threads at once.
_making = threading.Lock()


def cells() -> list[Cell]:
    """Return every cut there is."""
    return [
        Cell(role, qos, clean, act, packet)
        for role in (PUBLISHER, SUBSCRIBER)
        for qos, flow in enumerate(FLOWS)
        for packet in range(len(flow))
        for act in (Act.CUT_BEFORE, Act.CUT_AFTER)
        for clean in (True, False)
    ]


def measure(port: int, cell: Cell, protocol: int = MQTTv311) -> Outcome:
    """Cut a connection to the broker on that port, and say what became of the messages."""
    name = f"survival/{next(_numbers)}"
    script = Script()
    with FaultProxy(port, script) as proxy:
        with _making:
            app = make_app(
                proxy.port,
                client_id=name.replace("/", "-"),
                clean_session=cell.clean,
                reconnect_delay_min=0.05,
                reconnect_delay_max=0.05,
                protocol_version=protocol,
            )
        run = _Run(cell, port, name, script, proxy, app)
        return run.publisher() if cell.role == PUBLISHER else run.subscriber()


class _Run(NamedTuple):
    cell: Cell
    port: int
    topic: str
    script: Script
    proxy: FaultProxy
    app: Flask

    def publisher(self) -> Outcome:
        qos, mqtt = self.cell.qos, Mqtt()
        published: list[int] = []
        mqtt.on_publish()(lambda _client, _userdata, mid: self._published(published, mid))
        with Peer(self.port, self.topic) as observer, mqtt:
            mqtt.init_app(self.app)
            wait_until(lambda: mqtt.connected)
            _, first = mqtt.publish(self.topic, b"1", qos)
            got = [observer.receive().payload]
            wait_until(lambda: first in published)
            self._prepare()
            _, second = mqtt.publish(self.topic, b"2", qos)
            self._wait_for_the_cut(mqtt)
            _, third = mqtt.publish(self.topic, b"3", qos)
            # An attempt that was under way would take a message of QoS 0 with it.
            turned_away = self.proxy.turned_away
            wait_until(lambda: self.proxy.turned_away >= turned_away + 2)
            self._go_on(mqtt)
            _, fourth = mqtt.publish(self.topic, b"4", qos)
            awaited = {second, third, fourth} if qos else {fourth}
            wait_until(lambda: awaited <= set(published))
            while b"4" not in got:
                got.append(observer.receive().payload)
            observer.publish(self.topic, b"end")
            while got[-1] != b"end":
                got.append(observer.receive().payload)
        return self._outcome(got[:-1], DOWN)

    def _published(self, published: list[int], mid: int) -> None:
        self.proxy.note(f"published {mid}")
        published.append(mid)

    def subscriber(self) -> Outcome:
        qos, mqtt = self.cell.qos, Mqtt()
        got: list[bytes] = []

        @mqtt.on_topic(self.topic)
        def handle(_client: object, _userdata: object, message: object) -> None:
            payload: bytes = message.payload  # type: ignore[attr-defined]
            # So that an acknowledgement that does not wait for the handler is seen before its end.
            time.sleep(0.02)
            self.proxy.note(f"handled {payload.decode()}")
            got.append(payload)

        with Peer(self.port) as publisher, mqtt:
            mqtt.init_app(self.app)
            wait_until(lambda: mqtt.connected)
            mqtt.subscribe(self.topic, qos)
            self._wait_for("SUBACK")
            publisher.publish(self.topic, b"1", qos=qos)
            self._wait_for(FLOWS[qos][-1])
            wait_until(lambda: got == [b"1"])
            self._prepare()
            publisher.publish(self.topic, b"2", qos=qos)
            self._wait_for_the_cut(mqtt)
            if self._was_handed_over():
                wait_until(lambda: b"2" in got)
            publisher.publish(self.topic, b"3", qos=qos)
            self._go_on(mqtt)
            self._wait_for("SUBACK", 2)
            publisher.publish(self.topic, b"4", qos=qos)
            publisher.publish(self.topic, b"end", qos=qos)
            wait_until(lambda: b"end" in got)
        return self._outcome(got[: got.index(b"end")], UP)

    def _prepare(self) -> None:
        self.proxy.hold()
        self.script.add(Fault(self.cell.act, self.cell.side, self.cell.kind))

    def _wait_for_the_cut(self, mqtt: Mqtt) -> None:
        wait_until(lambda: self.proxy.counts[self.cell.act] == 1, what=f"the cut of {self.cell}")
        self.proxy.wait_closed()
        wait_until(lambda: not mqtt.connected)

    def _go_on(self, mqtt: Mqtt) -> None:
        self.proxy.let_in()
        wait_until(lambda: mqtt.connected)

    def _wait_for(self, kind: str, count: int = 1) -> None:
        def found() -> bool:
            return sum(seen.kind == kind and seen.arrived for seen in self.proxy.trace) >= count

        wait_until(found, what=f"{count} x {kind}")

    def _was_handed_over(self) -> bool:
        """Whether what hands message 2 to the application arrived before the cut."""
        packet = 2 if self.cell.qos == 2 else 0
        return self.cell.packet > packet or (
            self.cell.packet == packet and self.cell.act is Act.CUT_AFTER
        )

    def _outcome(self, got: list[bytes], side: str) -> Outcome:
        flow = self._flow()
        again = [seen for _, seen in flow if seen.packet and seen.packet.connection == 2]
        acks = [item for item in flow if item[1].packet and item[1].packet.side == side]
        return Outcome(
            got.count(b"2"),
            " ".join(payload.decode() for payload in got),
            ", ".join(f"{seen.kind}{_dup(seen)}" for seen in again),
            self._acknowledged(*acks[-1]) if self.cell.qos and acks else "",
        )

    def _acknowledged(self, place: int, ack: Seen) -> str:
        if ack.kind not in ("PUBACK", "PUBCOMP") or ack.packet is None:
            return ""
        text = f"{ack.kind} on connection {ack.packet.connection}"
        if self.cell.role == PUBLISHER:
            return text
        before = [seen.note for seen in self.proxy.trace[:place]]
        return f"{text}, {'after' if 'handled 2' in before else 'before'} the handler"

    def _flow(self) -> list[tuple[int, Seen]]:
        """Return the packets of message 2 that arrived, with their place in the order."""
        found: list[tuple[int, Seen]] = []
        mid = -1
        connection = 0
        for place, seen in enumerate(self.proxy.trace):
            packet = seen.packet
            if packet is None:
                continue
            if packet.connection != connection:
                connection = packet.connection
                # A broker that forgot the session gives the identifier to another message.
                if self.cell.clean and self.cell.role == SUBSCRIBER:
                    mid = -1
            if packet.kind == "PUBLISH" and packet.payload == b"2":
                mid = packet.mid
            is_it = packet.payload == b"2" if packet.kind == "PUBLISH" else packet.mid == mid
            if is_it and seen.arrived and seen.kind in FLOWS[self.cell.qos]:
                found.append((place, seen))
        return found


def _dup(seen: Seen) -> str:
    return " (DUP)" if seen.packet and seen.packet.dup else ""
