"""The floor: a socket that reads and writes what MQTT wants, and looks at nothing it need not.

It knows how long each packet is, so it counts bytes, and takes identifiers from where they must be.
"""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

from peers.base import END, PATIENCE, Peer, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

READ = 256 * 1024
#: Messages of QoS 1 that are encoded, written and acknowledged together.
BLOCK = 1_000
#: Blocks whose acknowledgements are not read yet.
BLOCKS = 4


def packet(first: int, body: bytes) -> bytes:
    """Encode a packet."""
    length, digits = len(body), bytearray()
    while True:
        length, digit = divmod(length, 128)
        digits.append(digit | (128 if length else 0))
        if not length:
            return bytes([first]) + bytes(digits) + body


def publish_packet(topic: str, payload: bytes, qos: int, mid: int) -> bytes:
    """Encode a PUBLISH."""
    identifier = mid.to_bytes(2, "big") if qos else b""
    return packet(
        0x30 | qos << 1, len(topic).to_bytes(2, "big") + topic.encode() + identifier + payload
    )


class RawSocket(Peer):
    """A blocking socket, and a thread that reads where messages come."""

    def __init__(self, target: Target) -> None:
        """Keep where the broker is."""
        super().__init__(target)
        if target.transport == "websockets":
            raise NotImplementedError
        self._socket: socket.socket
        self._call: Callable[[bytes], object] | None = None
        self._received = 0
        self._qos = 0
        self._is_reading = False

    def handled(self) -> int:
        """Return how many messages have come, of one size."""
        return self._received

    def count(self, filters: Sequence[str]) -> None:
        """Count bytes."""
        if filters:
            raise NotImplementedError

    def listen(self, call: Callable[[bytes], object]) -> None:
        """Pass on what is where the payload must be."""
        self._call = call

    def connect(self) -> None:
        """Write a CONNECT, read a CONNACK."""
        plain = socket.create_connection(("127.0.0.1", self.target.port), PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain
        if self.target.transport == "tls":
            context = ssl.create_default_context(cafile=self.target.certificate)
            self._socket = context.wrap_socket(plain, server_hostname="localhost")
        self._socket.sendall(packet(0x10, b"\x00\x04MQTT\x04\x02\x00\x3c\x00\x09bench-raw"))
        assert self._exactly(4) == b"\x20\x02\x00\x00"

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the broker closed the connection"
            data += more
        return data

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Write a SUBSCRIBE, read a SUBACK, and start to read messages.

        After `unsubscribe` there is a thread that reads, which takes the SUBACK for a message.
        """
        self._qos = qos
        name = topic_filter.encode()
        body = b"\x00\x01" + len(name).to_bytes(2, "big") + name + bytes([qos])
        self._socket.sendall(packet(0x82, body))
        if not self._is_reading:
            self._is_reading = True
            assert self._exactly(5)[0] == 0x90
            self._socket.settimeout(None)
            threading.Thread(target=self._read, daemon=True).start()

    def unsubscribe(self, topic_filter: str) -> None:
        """Write an UNSUBSCRIBE."""
        name = topic_filter.encode()
        self._socket.sendall(packet(0xA2, b"\x00\x02" + len(name).to_bytes(2, "big") + name))

    def _read(self) -> None:
        size = len(publish_packet(self.target.topic, b"x" * self.target.size, self._qos, 1))
        start = size - self.target.size
        waiting = bytearray()
        while data := self._socket.recv(READ):
            waiting += data
            count = len(waiting) // size
            if self._qos and count:
                self._acknowledge(waiting, size, start - 2, count)
            if self._call is not None:
                for at in range(start, count * size, size):
                    self._call(bytes(waiting[at : at + self.target.size]))
            del waiting[: count * size]
            self._received += count

    def _acknowledge(self, packets: bytearray, size: int, at: int, count: int) -> None:
        answers = bytearray(b"\x40\x02\x00\x00" * count)
        answers[2::4] = packets[at : count * size : size]
        answers[3::4] = packets[at + 1 : count * size : size]
        self._socket.sendall(answers)

    def publish(self, topic: str, payload: bytes) -> None:
        """Write a PUBLISH."""
        self._socket.sendall(publish_packet(topic, payload, 0, 0))

    def send(self, topic: str, payload: bytes, qos: int, messages: int) -> None:
        """Write blocks of messages, read as many acknowledgements."""
        if qos == 2:
            raise NotImplementedError
        some = min(messages, BLOCK, max(1, READ // (len(payload) + 16)))
        block = b"".join(publish_packet(topic, payload, qos, mid + 1) for mid in range(some))
        whole, rest = divmod(messages, some)
        sizes = [some] * whole + [rest] * bool(rest)
        for number, size in enumerate(sizes):
            self._socket.sendall(block[: len(block) // some * size])
            if qos and number >= BLOCKS:
                self._exactly(4 * sizes[number - BLOCKS])
        if qos:
            self._exactly(4 * sum(sizes[-BLOCKS:]))

    def drain(self, qos: int) -> None:
        """Write a message of QoS 1, read its acknowledgement."""
        self._socket.sendall(publish_packet(END, b"", 1, 65_000))
        assert self._exactly(4) == b"\x40\x02" + (65_000).to_bytes(2, "big")


PEER = RawSocket
