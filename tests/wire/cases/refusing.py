"""CONNACKs that refuse or are wrong (MQTT 3.1.1 and 5, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.packets import MQTT5, MQTT31, MQTT311
from wire.registry import case
from wire.steps import CLOSED, CUT, Broker, Client

from .sequences import disconnects, login, starting

if TYPE_CHECKING:
    from support.packets import Version
    from wire.steps import Step


def ended_by(version: Version, answer: bytes) -> tuple[Step, ...]:
    """The client ends the connection over an answer and tries again."""
    return (
        Client(version.connect()),
        Broker(answer),
        CLOSED,
        *login(version),
        *disconnects(version),
    )


def taken(version: Version, answer: bytes) -> tuple[Step, ...]:
    """The client goes on as if nothing was wrong."""
    return (
        Client(version.connect()),
        Broker(answer),
        Broker(version.connack()),
        *disconnects(version),
    )


for code in (2, 3, 4, 5):
    case(
        f"refused with {code}",
        starting(),
        ended_by(MQTT311, MQTT311.connack(code)),
        (f"refused with {code}",),
    )
case(
    "refused with 1",
    starting(),
    ended_by(MQTT311, MQTT311.connack(1)),
    ("refused with 1",),
    paho=(
        Client(MQTT311.connect()),
        Broker(MQTT311.connack(1)),
        CLOSED,
        *login(MQTT31),
        *disconnects(MQTT31),
    ),
    paho_sees=(),
    why="the refusal is reported, and the version is the application's choice; paho tries MQTT 3.1",
)
case(
    "refused with 5",
    starting(),
    ended_by(MQTT31, MQTT31.connack(5)),
    ("refused with 5",),
    version=MQTT31,
)
for code in (0x80, 0x81, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x95, 0x97, 0x9C, 0x9F):
    case(
        f"refused with {code:#04x}",
        starting(),
        ended_by(MQTT5, MQTT5.connack(code)),
        (f"refused with {code}",),
        version=MQTT5,
    )
case(
    "refused with 0x99",
    lambda run: run.begin(run.client()),
    ended_by(MQTT5, MQTT5.connack(0x99)),
    ("refused with 153",),
    version=MQTT5,
    paho=(Client(MQTT5.connect()), Broker(MQTT5.connack(0x99)), CUT),
    paho_sees=(),
    why="the payload of the will is not what it says (3.2.2.2); paho's thread dies of the code",
)

SHORT = {
    "a CONNACK that is too short": b"\x20\x01\x00",
    "a CONNACK that is too long": b"\x20\x03\x00\x00\x00",
    "a CONNACK without a body": b"\x20\x00",
}
for name, answer in SHORT.items():
    case(name, starting(), ended_by(MQTT311, answer))
case(
    "a CONNACK with a session and a refusal",
    starting(),
    ended_by(MQTT311, b"\x20\x02\x01\x05"),
    ("refused with 5",),
)
case(
    "a CONNACK with a reserved code",
    starting(),
    ended_by(MQTT311, b"\x20\x02\x00\x06"),
    paho_sees=("refused with 6",),
    why="the code is malformed (3.2.2.3); paho reports it as a refusal",
)
TAKEN_BY_PAHO = {
    "a CONNACK with flags in its header": (b"\x21\x02\x00\x00", "2.2.2"),
    "a CONNACK with reserved flags": (b"\x20\x02\x02\x00", "3.2.2.1"),
    "a PINGRESP before the CONNACK": (b"\xd0\x00", "3.2"),
    "a SUBACK before the CONNACK": (MQTT311.suback(1, 0), "3.2"),
    "two CONNACKs": (MQTT311.connack() * 2, "3.2"),
}
for name, (answer, section) in TAKEN_BY_PAHO.items():
    case(
        name,
        starting(),
        ended_by(MQTT311, answer),
        paho=taken(MQTT311, answer),
        why=f"that is a protocol error ({section}, 4.8)",
    )
for version in (MQTT311, MQTT5):
    answer = version.publish()
    case(
        "a PUBLISH before the CONNACK",
        starting(),
        ended_by(version, answer),
        version=version,
        paho=taken(version, answer),
        paho_sees=("t b'x' qos 0",),
        why="the CONNACK comes first (3.2)",
    )

WRONG_5 = {
    "a CONNACK without properties": b"\x20\x02\x00\x00",
    "a CONNACK with a property that is PUBLISH's": b"\x20\x06\x00\x00\x03\x03\x00\x00",
    "a CONNACK with a property twice": b"\x20\x09\x00\x00\x06\x21\x00\x05\x21\x00\x05",
    "a CONNACK with a Receive Maximum of 0": b"\x20\x06\x00\x00\x03\x21\x00\x00",
}
for name, answer in WRONG_5.items():
    case(name, starting(), ended_by(MQTT5, answer), version=MQTT5)
case(
    "two CONNACKs",
    starting(),
    (
        Client(MQTT5.connect()),
        Broker(MQTT5.connack() * 2),
        Client(MQTT5.disconnect(0x82)),
        CLOSED,
        *login(MQTT5),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
    paho=taken(MQTT5, MQTT5.connack()),
    why="that is a protocol error (3.2), and the broker is told so (4.13)",
)
