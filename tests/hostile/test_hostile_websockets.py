"""What a websocket's server can make a client's process keep, measured from outside.

A flood goes on until the client leaves, or so much is sent that it would fill more than the bound.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from support.hostile import (
    MEGABYTE,
    MOST,
    Attack,
    Hostile,
    accepted,
    again,
    asked,
    fill_no_memory,
    frame,
    upgraded,
    watched,
)
from support.packets import MQTT311, PINGRESP
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.hostile import Flood

pytestmark = pytest.mark.slow

WEBSOCKETS = {"transport": "websockets", "max_packet_size": MEGABYTE}

#: Of these floods less is sent, in MB: it takes the client some time, and more memory than it is.
LESS = {
    "empty pings": 30,
    "empty messages": 30,
    "packets in frames of one byte": 2,
    "packets in frames of one message": 10,
    "PUBREL, and pings": 10,
    "QoS 1": 5,
}

ANNOUNCED = b"\x82\x7f" + struct.pack(">Q", 250 * MEGABYTE)

FLOODS: dict[str, Flood] = {
    "pings": again(frame(b"x" * 125, 0x89)),
    "empty pings": again(frame(b"", 0x89)),
    "pongs": again(frame(b"x" * 125, 0x8A)),
    "empty messages": again(frame(b"")),
    "empty frames of one message": again(frame(b"", 0), first=frame(b"", 2)),
    "pings in one message": again(frame(b"", 0) + frame(b"ping", 0x89), first=frame(b"", 2)),
    "closes": again(frame(b"\x03\xe8", 0x88)),
    "closes with reasons": again(frame(b"\x03\xf0" + b"x" * 123, 0x88)),
    "a control frame too long": again(b"x", first=b"\x89\x7f" + struct.pack(">Q", 2**40)),
    "a message of MQTT's that is too long": again(b"x", first=ANNOUNCED + b"\x30\xff\xff\xff\x7f"),
    "a message of text": again(b"x", first=b"\x81\x7f" + struct.pack(">Q", 250 * MEGABYTE)),
}

CONNECTED: dict[str, Flood] = {
    "packets in one long frame": again(PINGRESP, first=ANNOUNCED),
    "packets in frames of one message": again(frame(PINGRESP * 20_000, 0), first=frame(b"", 2)),
    "packets in frames of one byte": again(
        frame(PINGRESP[:1], 0) + frame(PINGRESP[1:], 0), first=frame(b"", 2)
    ),
    "PUBREL": again(frame(MQTT311.ack("PUBREL", 9) * 10_000)),
    "PUBREC": again(frame(MQTT311.ack("PUBREC", 9) * 10_000)),
    "QoS 2": again(frame(MQTT311.publish("t", b"x", qos=2, mid=9) * 5_000)),
    "QoS 1": again(frame(MQTT311.publish("t", b"x", qos=1, mid=9) * 5_000)),
    "PUBREL, and pings": again(frame(MQTT311.ack("PUBREL", 9)) + frame(b"", 0x89)),
}


def attacks(prepare: Callable[[Any], Any], floods: dict[str, Flood]) -> Iterator[Attack]:
    for kind, flood in floods.items():
        yield Attack(kind, prepare, flood, LESS.get(kind, 60) * MEGABYTE)


@pytest.mark.parametrize("prepare", [upgraded, accepted], ids=["before", "after"])
def test_frames_fill_no_memory_before_and_after_the_connack(prepare: Callable[[Any], Any]) -> None:
    fill_no_memory(attacks(prepare, FLOODS), **WEBSOCKETS)


def test_a_message_before_the_connack_is_not_kept_because_packets_may_be_large() -> None:
    kind = "a message of MQTT's that is too long"
    fill_no_memory(attacks(upgraded, {kind: FLOODS[kind]}), transport="websockets")


def test_packets_fill_no_memory_however_frames_cut_them() -> None:
    fill_no_memory(attacks(accepted, CONNECTED), **WEBSOCKETS)


OK = b"HTTP/1.1 101 Switching Protocols\r\n"
REFUSED = b"HTTP/1.1 404 Not Found\r\n"
ANSWERS: dict[str, Flood] = {
    "a header without end": again(b"x", first=OK + b"X: "),
    "headers without end": again(b"X: y\r\n", first=OK),
    "a status without end": again(b"x", first=b"HTTP/1.1 101 "),
    "empty lines": again(b"\r\n"),
    "line feeds": again(b"\n"),
    "a body without end": again(b"x", first=REFUSED + b"\r\n"),
    "a body in chunks": again(b"1\r\nx\r\n", first=REFUSED + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a body that is announced": again(b"x", first=REFUSED + b"Content-Length: 99999999999\r\n\r\n"),
    "answers before the answer": again(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "no HTTP": again(b"x"),
}


def test_an_answer_to_the_request_fills_no_memory() -> None:
    fill_no_memory(attacks(asked, ANSWERS), **WEBSOCKETS)


def test_pings_that_are_not_read_end_the_connection() -> None:
    pings = Attack("pings", accepted, again(frame(b"x" * 125, 0x89)), 2_000 * MEGABYTE)
    with Hostile() as server, watched(server.port, transport="websockets") as client:
        server.attack(client, pings)
        assert client.grown() < MOST
        # The flood may be over before the client has seen the end.
        [failure, *_] = wait_until(lambda: client.look().failures, what="a failure")
    assert "PINGREQ" in failure or "accepted no data" in failure, failure


def test_nothing_is_kept_of_what_comes_while_reading_is_paused() -> None:
    message = frame(MQTT311.publish("t", b"x" * 1000))
    flood = again(message + frame(b"x" * 125, 0x89) * 10)
    config = {**WEBSOCKETS, "max_incoming_bytes": MEGABYTE, "keepalive": 60, "HANDLER_BLOCKS": True}
    with Hostile(patience=1) as server, watched(server.port, **config) as client:
        server.begin(Attack("pings", accepted, flood))
        before = client.look()
        server.flood()
        assert server.is_over()
        assert server.sent < 60 * MEGABYTE
        after = client.look()
    assert after.peak - before.resident < MOST
    assert after.connected
