"""Messages from the broker (MQTT 3.1.1 and 5, sections 3.3 to 3.7 and 4.3)."""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT31, MQTT311, Version
from wire.registry import case
from wire.steps import CUT, Broker, Client, Tell, Wait

from .sequences import disconnects, login, starting

if TYPE_CHECKING:
    from wire.run import Run
    from wire.steps import Step


def answers(version: Version, qos: int, mid: int) -> tuple[Step, ...]:
    """What follows a PUBLISH of the broker's."""
    if qos == 0:
        return ()
    if qos == 1:
        return (Client(version.puback(mid)),)
    return (
        Client(version.pubrec(mid)),
        Broker(version.pubrel(mid)),
        Client(version.pubcomp(mid)),
    )


def received(name: str, packet: bytes, qos: int, seen: str, version: Version = MQTT311) -> None:
    """Add a script with one message, whose identifier is 7."""
    steps = (*login(version), Broker(packet), *answers(version, qos, 7), *disconnects(version))
    case(f"receive {name}", starting(), steps, (seen,), version=version)


for version, qos, retain in itertools.product((MQTT31, MQTT311, MQTT5), (0, 1, 2), (False, True)):
    packet = version.publish(qos=qos, mid=7, retain=retain)
    seen = f"t b'x' qos {qos}{' retain' * retain}"
    received(f"QoS {qos}{', retained' * retain}", packet, qos, seen, version)
for qos in (1, 2):
    packet = MQTT311.publish(qos=qos, mid=7, dup=True)
    received(f"QoS {qos}, a duplicate", packet, qos, f"t b'x' qos {qos} dup")
for qos in (0, 1, 2):
    packet = MQTT311.publish(payload=b"", qos=qos, mid=7)
    received(f"an empty payload, QoS {qos}", packet, qos, f"t b'' qos {qos}")
for remaining in (127, 128, 16383, 16384, 2_097_151, 2_097_152):
    payload = bytes(remaining - 5)
    seen = f"t {hashlib.sha256(payload).hexdigest()!r} qos 1"
    packet = MQTT311.publish(payload=payload, qos=1, mid=7)
    received(f"a remaining length of {remaining}", packet, 1, seen)
received("a unicode topic", MQTT311.publish("gerät/☃"), 0, "gerät/☃ b'x' qos 0")

case(
    "receive with the highest identifier",
    starting(),
    (
        *login(MQTT311),
        Broker(MQTT311.publish(qos=1, mid=65535)),
        Client(MQTT311.puback(65535)),
        *disconnects(MQTT311),
    ),
    ("t b'x' qos 1",),
)

# --- QoS 2 is delivered once, whatever is repeated (4.3.3) ----------------------------------------

for version in (MQTT311, MQTT5):
    case(
        "receive a PUBLISH twice before its PUBREL",
        starting(),
        (
            *login(version),
            Broker(version.publish(qos=2, mid=7)),
            Client(version.pubrec(7)),
            Broker(version.publish(qos=2, mid=7, dup=True)),
            Client(version.pubrec(7)),
            Broker(version.pubrel(7)),
            Client(version.pubcomp(7)),
            *disconnects(version),
        ),
        ("t b'x' qos 2",),
        version=version,
        paho_sees=("t b'x' qos 2 dup",),
        why="what was received first is stored (4.3.3); paho replaces it",
    )
    case(
        "receive a PUBREL twice",
        starting(),
        (
            *login(version),
            Broker(version.publish(qos=2, mid=7)),
            Client(version.pubrec(7)),
            Broker(version.pubrel(7)),
            Client(version.pubcomp(7)),
            Broker(version.pubrel(7)),
            Client(version.pubcomp(7)),
            *disconnects(version),
        ),
        ("t b'x' qos 2",),
        version=version,
    )
    case(
        "receive a PUBREL for nothing",
        starting(),
        (
            *login(version),
            Broker(version.pubrel(9)),
            Client(version.pubcomp(9)),
            *disconnects(version),
        ),
        version=version,
    )
case(
    "receive an identifier again after its PUBCOMP",
    starting(),
    (
        *login(MQTT311),
        *(
            step
            for payload in (b"1", b"2")
            for step in (
                Broker(MQTT311.publish(payload=payload, qos=2, mid=7)),
                Client(MQTT311.pubrec(7)),
                Broker(MQTT311.pubrel(7)),
                Client(MQTT311.pubcomp(7)),
            )
        ),
        *disconnects(MQTT311),
    ),
    ("t b'1' qos 2", "t b'2' qos 2"),
)
case(
    "receive many at once",
    starting(),
    (
        *login(MQTT311),
        Broker(
            MQTT311.publish(payload=b"1", qos=1, mid=1)
            + MQTT311.publish(payload=b"2", qos=0)
            + MQTT311.publish(payload=b"3", qos=1, mid=3)
            + MQTT311.publish(payload=b"4", qos=1, mid=2)
        ),
        Client(MQTT311.puback(1)),
        Client(MQTT311.puback(3)),
        Client(MQTT311.puback(2)),
        *disconnects(MQTT311),
    ),
    ("t b'1' qos 1", "t b'2' qos 0", "t b'3' qos 1", "t b'4' qos 1"),
)


def acknowledged_after(run: Run) -> None:
    client = run.client()
    client.on_message = lambda client, _userdata, message: client.publish("first", message.payload)
    run.connect(client)


case(
    "receive, and the PUBACK follows the handler",
    acknowledged_after,
    (
        *login(MQTT311),
        Broker(MQTT311.publish(qos=1, mid=7)),
        Client(MQTT311.publish("first")),
        Client(MQTT311.puback(7)),
        *disconnects(MQTT311),
    ),
)


def by_hand(run: Run) -> None:
    client = run.client()
    client.manual_ack_set(True)
    messages: list[Any] = []
    client.on_message = lambda _client, _userdata, message: messages.append(message)
    run.connect(client)
    run.told("both are sent")
    run.wait_for(lambda: len(messages) == 2, "two messages")
    client.publish("first")
    for message in reversed(messages):
        client.ack(message.mid, message.qos)


case(
    "receive, and acknowledge by hand",
    by_hand,
    (
        *login(MQTT311),
        Broker(MQTT311.publish(qos=1, mid=7)),
        Broker(MQTT311.publish(qos=2, mid=8)),
        Client(MQTT311.pubrec(8)),
        Broker(MQTT311.pubrel(8)),
        Tell("both are sent"),
        Client(MQTT311.publish("first", b"")),
        Client(MQTT311.pubcomp(8)),
        Client(MQTT311.puback(7)),
        *disconnects(MQTT311),
    ),
)


def by_hand_too_late(run: Run) -> None:
    client = run.client(clean=False)
    client.manual_ack_set(True)
    messages: list[Any] = []
    client.on_message = lambda _client, _userdata, message: messages.append(message)
    run.connect(client)
    run.wait_for(lambda: messages, "the message")
    run.tell("received")
    run.wait("connect", 2)
    client.ack(7, 1)
    client.publish("too late", b"")
    run.wait_for(lambda: len(messages) == 2, "the message again")
    client.ack(7, 1)
    client.ack(7, 1)
    client.publish("once", b"")


def acknowledged(*, blindly: bool) -> tuple[Step, ...]:
    stray = (Client(MQTT311.puback(7)),) if blindly else ()
    return (
        *login(MQTT311, clean=False),
        Broker(MQTT311.publish(qos=1, mid=7)),
        Wait("received"),
        CUT,
        *login(MQTT311, clean=False, present=True),
        *stray,
        Client(MQTT311.publish("too late", b"")),
        Broker(MQTT311.publish(qos=1, mid=7, dup=True)),
        Client(MQTT311.puback(7)),
        *stray,
        Client(MQTT311.publish("once", b"")),
        *disconnects(MQTT311),
    )


case(
    "receive, and acknowledge by hand what is not waiting for it",
    by_hand_too_late,
    acknowledged(blindly=False),
    paho=acknowledged(blindly=True),
    why="a PUBACK answers a PUBLISH of the same connection (3.4, 4.4)",
)

# --- MQTT 5 ---------------------------------------------------------------------------------------

received(
    "properties",
    MQTT5.publish(
        qos=1,
        mid=7,
        properties=[
            ("ContentType", "text/plain"),
            ("SubscriptionIdentifier", 300),
            ("UserProperty", ("a", "b")),
            ("UserProperty", ("a", "c")),
        ],
    ),
    1,
    "t b'x' qos 1",
    MQTT5,
)


def with_aliases(run: Run) -> None:
    run.start(properties=run.properties("CONNECT", TopicAliasMaximum=3))


case(
    "receive with a topic alias",
    with_aliases,
    (
        Client(MQTT5.connect(properties={"TopicAliasMaximum": 3})),
        Broker(MQTT5.connack()),
        Broker(MQTT5.publish("topic", b"1", properties={"TopicAlias": 3})),
        Broker(MQTT5.publish("", b"2", properties={"TopicAlias": 3})),
        *disconnects(MQTT5),
    ),
    ("topic b'1' qos 0", "topic b'2' qos 0"),
    version=MQTT5,
    paho_sees=("topic b'1' qos 0", " b'2' qos 0"),
    why="an alias stands for its topic (3.3.2.3.4); paho leaves it to the application",
)
