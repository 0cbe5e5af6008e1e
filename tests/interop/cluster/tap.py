"""A port before a node that notes the MQTT packets that pass."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, NamedTuple

from support.codec import KINDS, Reader, frame_length
from support.relay import Forwarder

if TYPE_CHECKING:
    import socket

_numbers = itertools.count(1)


class Packet(NamedTuple):
    """A packet that passed.

    client: the client id of its connection.
    connection: a number that no other connection of any tap has.
    of_client: whether the client sent it.
    payload: of a PUBLISH; the other fields are of an acknowledgement, too.
    """

    at: float
    node: str
    client: str
    connection: int
    of_client: bool
    kind: str
    mid: int
    payload: bytes


class _Conversation:
    """What both ends of a connection say."""

    def __init__(self, node: str, client: socket.socket) -> None:
        self._node = node
        self._client = client
        self._number = next(_numbers)
        self._client_id = ""
        self._rest = {True: b"", False: b""}

    def packets(self, source: socket.socket, data: bytes) -> list[Packet]:
        """Return the packets that end with these bytes."""
        of_client = source is self._client
        data, found = self._rest[of_client] + data, []
        while (length := frame_length(data)) is not None and length <= len(data):
            found.append(self._packet(data[:length], of_client=of_client))
            data = data[length:]
        self._rest[of_client] = data
        return found

    def _packet(self, raw: bytes, *, of_client: bool) -> Packet:
        kind, qos = KINDS[raw[0] >> 4], raw[0] >> 1 & 3
        header = next(index for index in range(1, 5) if not raw[index] & 0x80) + 1
        reader = Reader(raw[header:])
        mid, payload = 0, b""
        if kind == "CONNECT":
            reader.text()
            reader.take(4)  # level, flags, keep alive
            self._client_id = reader.text()
        elif kind == "PUBLISH":
            reader.text()
            mid, payload = reader.short() if qos else 0, reader.rest
        elif kind == "PUBACK":
            mid = reader.short()
        about = (self._node, self._client_id, self._number, of_client)
        return Packet(time.monotonic(), *about, kind, mid, payload)


class Tap(Forwarder):
    """Passes connections on to a node. `packets`, which taps may share, is what passed."""

    def __init__(self, node: str, target: int, packets: list[Packet]) -> None:
        super().__init__(target)
        self._node = node
        self._packets = packets
        self._conversations: dict[socket.socket, _Conversation] = {}

    def serve(self, connection: socket.socket) -> None:
        target = self.connect(self.target)
        conversation = _Conversation(self._node, connection)
        self._conversations |= {connection: conversation, target: conversation}
        self.start(self.copy, target, connection)
        self.copy(connection, target)

    def pass_on(self, source: socket.socket, target: socket.socket, data: bytes) -> None:
        # Noted first: whoever gets a packet may ask at once what passed.
        self._packets += self._conversations[source].packets(source, data)
        target.sendall(data)
