"""A broker that records what clients send and answers as the test says.

By default it behaves: CONNACK, SUBACK, UNSUBACK, PUBACK, PUBREC, PUBREL, PUBCOMP and PINGRESP go
out by themselves; messages are not routed, unless `echo` is set.

    with ScriptedBroker(connack=[5, 0], withhold={"PUBACK"}) as broker:
        ...                                  # a client connects to 127.0.0.1:broker.port
        broker.wait_for("SUBSCRIBE", count=2)
        broker.publish("a/b", b"hello", qos=1)
        broker.wait_for(lambda packet: packet.kind == "PUBACK" and packet.mid == 1)
        broker.drop()
        assert [packet.kind for packet in broker.packets] == [...]

The record has everything that had come when it is looked at: what a client has written, or a
program that has ended, is there without further waiting.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import select
import socket
import struct
import termios
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from .codec import frame_length
from .packets import MQTT311, PINGRESP
from .server import Server
from .wait import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .packets import Packet, Version

    Hook = Callable[["ScriptedBroker", Packet], bool]


#: How long a test that looks at the record waits at most for what has come and is not in it.
_CATCH_UP_SECONDS = PATIENCE


class Closed(NamedTuple):
    """The end of a connection, whichever side ended it."""

    connection: int
    at: float


class _Arrivals:
    """How much of what has come on a connection is in the record."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.read = 0
        self.recorded = 0
        #: Whether nothing more is recorded: at the end, and while a hook runs.
        self.rests = False

    def come(self) -> int:
        """Return how many bytes have come so far."""
        waiting = array.array("i", [0])
        # Closed, it has no descriptor.
        with contextlib.suppress(OSError, ValueError):
            fcntl.ioctl(self.connection, termios.FIONREAD, waiting)
        return self.read + waiting[0]


class ScriptedBroker(Server):
    """A TCP server on a free port, see the module's text. Every option can be changed later.

    connack: the answer to CONNECT: a return code, raw bytes, None for no answer at all; or a list
        of these, one per connection, of which the last one stays.
    session_present: the flag in the CONNACK.
    withhold: kinds of packets that are not sent by themselves, for example {"PUBACK"}.
    echo: sends every PUBLISH back to its sender, with the same QoS.
    reads_on: after a DISCONNECT it waits until the client closes, and records what follows.
    close_after: ends a connection after so many packets were received on it, before answering.
    version: of MQTT: its packets.
    hook: called with (broker, packet) before the answer; True means there is no other answer.
    """

    def __init__(
        self,
        *,
        connack: int | bytes | list[int | bytes | None] | None = 0,
        session_present: bool = False,
        withhold: Iterable[str] = (),
        echo: bool = False,
        reads_on: bool = False,
        close_after: int | None = None,
        hook: Hook | None = None,
        port: int = 0,
        version: Version = MQTT311,
    ) -> None:
        super().__init__(port)
        self.version = version
        self.connack = connack
        self.session_present = session_present
        self.withhold = set(withhold)
        self.echo = echo
        self.reads_on = reads_on
        self.close_after = close_after
        self.hook = hook
        self.closed: list[Closed] = []
        #: Bytes that were sent on all connections.
        self.sent_bytes = 0
        self._packets: list[Packet] = []
        self._errors: list[str] = []
        self._changed = threading.Condition()
        self._reading = threading.Event()
        self._reading.set()
        self._connections: list[socket.socket] = []
        self._arrivals: list[_Arrivals] = []
        self._next_mid = 0

    # --- the record ---------------------------------------------------------------------------

    @property
    def packets(self) -> list[Packet]:
        """Everything that has come so far, in the order of arrival."""
        self._catch_up()
        with self._changed:
            return list(self._packets)

    @property
    def errors(self) -> list[str]:
        """What was wrong with packets that could not be decoded."""
        self._catch_up()
        with self._changed:
            return list(self._errors)

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        with self._changed:
            return len(self._connections)

    def of(self, *kinds: str) -> list[Packet]:
        """Return the received packets of these kinds."""
        return [packet for packet in self.packets if packet.kind in kinds]

    def wait_for(
        self, what: str | Callable[[Packet], bool], count: int = 1, timeout: float = PATIENCE
    ) -> Packet:
        """Wait until `count` packets of a kind, or that fulfil a condition, have been received.

        Returns the last of them. Raises AssertionError with the record after `timeout` seconds.
        """

        def wanted(packet: Packet) -> bool:
            return packet.kind == what if isinstance(what, str) else what(packet)

        def found() -> list[Packet]:
            return [packet for packet in self._packets if wanted(packet)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count, timeout)
            matching = found()
        if len(matching) < count:
            name = what if isinstance(what, str) else getattr(what, "__name__", "condition")
            msg = f"{len(matching)} of {count} x {name} within {timeout:g} s.{self._report()}"
            raise AssertionError(msg)
        return matching[count - 1]

    def wait_closed(self, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until `count` connections have ended."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.closed) >= count, timeout):
                msg = f"{len(self.closed)} of {count} connections ended.{self._report()}"
                raise AssertionError(msg)

    def wait_connected(self, count: int = 1, timeout: float = PATIENCE) -> None:
        """Wait until `count` connections have been accepted."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._connections) >= count, timeout):
                msg = f"{len(self._connections)} of {count} connections.{self._report()}"
                raise AssertionError(msg)

    # --- what the broker does -----------------------------------------------------------------

    def send(self, data: bytes, connection: int = -1) -> None:
        """Send raw bytes on a connection, the newest one unless told otherwise."""
        self._send(self._connections[connection], data)

    def _send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        with self._changed:
            self.sent_bytes += len(data)

    def publish(
        self,
        topic: str,
        payload: bytes = b"",
        *,
        qos: int = 0,
        mid: int | None = None,
        retain: bool = False,
        dup: bool = False,
    ) -> int:
        """Send a PUBLISH on the newest connection and return its mid (0 for QoS 0)."""
        if qos == 0:
            mid = 0
        elif mid is None:
            self._next_mid += 1
            mid = self._next_mid
        self.send(self.version.publish(topic, payload, qos=qos, mid=mid, retain=retain, dup=dup))
        return mid

    def ack(self, kind: str, mid: int) -> None:
        """Send a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK on the newest connection."""
        self.send(self.version.ack(kind, mid))

    def drop(self, *, reset: bool = False) -> None:
        """End all connections; with `reset` by a RST, so that the client's socket fails."""
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                if reset:
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                # Wakes the thread that reads, which then closes: with the linger above by a RST.
                connection.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)

    def pause(self) -> None:
        """Stop reading, as a broker does that hangs; the connections stay open."""
        self._reading.clear()
        with self._changed:
            self._changed.notify_all()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    # --- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        self.resume()
        super().close()

    # --- threads ------------------------------------------------------------------------------

    def take(self, connection: socket.socket) -> None:
        with self._changed:
            arrivals = _Arrivals(connection)
            self._connections.append(connection)
            self._arrivals.append(arrivals)
            number = len(self._connections)
            self._changed.notify_all()
        self.start(self._converse, arrivals, number)

    def _converse(self, arrivals: _Arrivals, number: int) -> None:
        connection = arrivals.connection
        try:
            for count, (packet, answer) in enumerate(self._receive(arrivals, number), 1):
                if self.close_after is not None and count >= self.close_after:
                    break
                if answer is not None:
                    self._send(connection, answer)
                elif not self._is_hooked(arrivals, packet):
                    self._send(connection, self._answer(packet, number))
                if packet.kind == "DISCONNECT" and not self.reads_on:
                    break
        except OSError:
            pass
        except ValueError as error:
            with self._changed:
                self._errors.append(str(error))
        connection.close()
        with self._changed:
            arrivals.rests = True
            self.closed.append(Closed(number, time.monotonic()))
            self._changed.notify_all()

    def _is_hooked(self, arrivals: _Arrivals, packet: Packet) -> bool:
        """Call the hook, which may wait for the test. Returns whether it has answered."""
        if self.hook is None:
            return False
        self._set_resting(arrivals, rests=True)
        try:
            return self.hook(self, packet)
        finally:
            self._set_resting(arrivals, rests=False)

    def _set_resting(self, arrivals: _Arrivals, *, rests: bool) -> None:
        with self._changed:
            arrivals.rests = rests
            self._changed.notify_all()

    def _receive(self, arrivals: _Arrivals, number: int) -> Iterator[tuple[Packet, bytes | None]]:
        """Record packets. Give them with their answers, unless a hook has its say before."""
        connection = arrivals.connection
        ready = select.poll()
        ready.register(connection, select.POLLIN)
        buffer = b""
        while True:
            self._reading.wait()
            ready.poll()
            with self._changed:
                # Nothing comes to be neither waiting nor read.
                data = connection.recv(65536)
                at = time.monotonic()
                arrivals.read += len(data)
            self._reading.wait()
            if not data:
                return
            buffer += data
            while (length := frame_length(buffer)) is not None and len(buffer) >= length:
                packet = self.version.decode(buffer[:length]).recorded(number, at)
                buffer = buffer[length:]
                # Before a test can know of it, and change what is answered to those that follow.
                answer = self._answer(packet, number) if self.hook is None else None
                with self._changed:
                    self._packets.append(packet)
                    arrivals.recorded = arrivals.read - len(buffer)
                    self._changed.notify_all()
                yield packet, answer
            with self._changed:
                # A packet that has come in part cannot be in the record.
                arrivals.recorded = arrivals.read
                self._changed.notify_all()

    def _catch_up(self) -> None:
        """Wait until what has come by now is in the record, except where nothing is recorded."""
        if threading.current_thread() in self._threads:
            return
        with self._changed:
            wanted = [(arrivals, arrivals.come()) for arrivals in self._arrivals]
            self._changed.wait_for(
                lambda: (
                    not self._reading.is_set()
                    or all(one.rests or one.recorded >= come for one, come in wanted)
                ),
                _CATCH_UP_SECONDS,
            )

    def _answer(self, packet: Packet, number: int) -> bytes:
        """Return what a sane broker sends, without what is withheld."""
        if packet.kind == "CONNECT":
            return b"" if "CONNACK" in self.withhold else self._connack(number)
        granted = [options & 3 for _, options in packet.filters]
        codes = bytes(len(packet.filters))
        answers = {
            "SUBSCRIBE": ("SUBACK", self.version.suback(packet.mid, *granted)),
            "UNSUBSCRIBE": (
                "UNSUBACK",
                self.version.unsuback(packet.mid, *codes),
            ),
            "PUBREC": ("PUBREL", self.version.ack("PUBREL", packet.mid)),
            "PUBREL": ("PUBCOMP", self.version.ack("PUBCOMP", packet.mid)),
            "PINGREQ": ("PINGRESP", PINGRESP),
        }
        if packet.kind == "PUBLISH" and packet.qos:
            kind = "PUBACK" if packet.qos == 1 else "PUBREC"
            answers["PUBLISH"] = (kind, self.version.ack(kind, packet.mid))
        kind, data = answers.get(packet.kind, ("", b""))
        if kind in self.withhold:
            data = b""
        if packet.kind == "PUBLISH" and self.echo:
            data += self._copy(packet)
        return data

    def _copy(self, packet: Packet) -> bytes:
        if packet.qos:
            self._next_mid += 1
        return self.version.publish(
            packet.topic, packet.payload, qos=packet.qos, mid=self._next_mid
        )

    def _connack(self, number: int) -> bytes:
        script = self.connack
        if isinstance(script, list):
            script = script[min(number, len(script)) - 1]
        if script is None:
            return b""
        if isinstance(script, bytes):
            return script
        return self.version.connack(script, present=self.session_present and script == 0)

    def _report(self) -> str:
        lines = [f"  {packet}" for packet in self._packets] or ["  nothing"]
        errors = [f"  malformed: {error}" for error in self._errors]
        return "\nReceived:\n" + "\n".join(lines + errors)
