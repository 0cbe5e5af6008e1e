"""What a websocket's server can make a client's process keep, measured from outside.

A flood goes on until the client leaves, or so much is sent that it would fill more than the bound.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from support import codec
from support.hostile import (
    MEGABYTE,
    Hostile,
    accepted,
    again,
    asked,
    frame,
    upgraded,
    watched,
)
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.hostile import Flood

#: Most MB beyond what is there before.
MOST = 20

#: Seconds for an attempt to connect.
TIMES = {"connection_timeout": 3, "handshake_timeout": 3}

#: Of these floods less is sent, in MB: it takes the client some time, and more memory than it is.
LESS = {
    "empty pings": 30,
    "empty messages": 30,
    "packets in frames of one byte": 5,
    "packets in frames of one message": 30,
    "PUBREL, and pings": 20,
    "QoS 1": 10,
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
    "packets in one long frame": again(codec.PINGRESP, first=ANNOUNCED),
    "packets in frames of one message": again(
        frame(codec.PINGRESP * 20_000, 0), first=frame(b"", 2)
    ),
    "packets in frames of one byte": again(
        frame(codec.PINGRESP[:1], 0) + frame(codec.PINGRESP[1:], 0), first=frame(b"", 2)
    ),
    "PUBREL": again(frame(codec.ack("PUBREL", 9) * 10_000)),
    "PUBREC": again(frame(codec.ack("PUBREC", 9) * 10_000)),
    "QoS 2": again(frame(codec.publish("t", b"x", qos=2, mid=9) * 5_000)),
    "QoS 1": again(frame(codec.publish("t", b"x", qos=1, mid=9) * 5_000)),
    "PUBREL, and pings": again(frame(codec.ack("PUBREL", 9)) + frame(b"", 0x89)),
}


def attack(
    prepare: Callable[[Any], Any], kind: str, floods: dict[str, Flood], **config: Any
) -> None:
    config = {"transport": "websockets", **TIMES, **config}
    most = LESS.get(kind, 60) * MEGABYTE
    with (
        Hostile(prepare, floods[kind], most=most) as server,
        watched(server.port, **config) as client,
    ):
        assert server.attack(client) < MOST
        # It has left, or left nothing of the flood unread.
        wait_until(lambda: server.sent >= most or client.look().failures, 15)


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("prepare", [upgraded, accepted], ids=["before", "after"])
def test_frames_fill_no_memory_before_and_after_the_connack(
    kind: str, prepare: Callable[[Any], Any]
) -> None:
    attack(prepare, kind, FLOODS, max_packet_size=MEGABYTE)


def test_a_message_before_the_connack_is_not_kept_because_packets_may_be_large() -> None:
    attack(upgraded, "a message of MQTT's that is too long", FLOODS)


@pytest.mark.parametrize("kind", CONNECTED)
def test_packets_fill_no_memory_however_frames_cut_them(kind: str) -> None:
    attack(accepted, kind, CONNECTED, max_packet_size=MEGABYTE)


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


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_to_the_request_fills_no_memory(kind: str) -> None:
    attack(asked, kind, ANSWERS)


def test_pings_that_are_not_read_end_the_connection() -> None:
    flood = again(frame(b"x" * 125, 0x89))
    config = {"transport": "websockets"}
    with (
        Hostile(accepted, flood, most=2_000 * MEGABYTE) as server,
        watched(server.port, **config) as client,
    ):
        assert server.attack(client) < MOST
        [failure, *_] = wait_until(lambda: client.look().failures)
    assert "PINGREQ" in failure or "accepted no data" in failure, failure


def test_nothing_is_kept_of_what_comes_while_reading_is_paused() -> None:
    message = frame(codec.publish("t", b"x" * 1000))
    flood = again(message + frame(b"x" * 125, 0x89) * 10)
    config = {
        "transport": "websockets",
        "max_incoming_bytes": MEGABYTE,
        "HANDLER_BLOCKS": True,
        "keepalive": 60,
    }
    with (
        Hostile(accepted, flood, patience=1) as server,
        watched(server.port, **config) as client,
    ):
        assert server.attack(client) < MOST
        assert server.sent < 60 * MEGABYTE
        assert client.look().connected
