"""Connections that end in the middle of a message (MQTT 3.1.1 and 5, section 4.4)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT311, Version
from support.server import HOST
from wire.registry import case
from wire.steps import CUT, Broker, Client, Tell, Wait

from .sequences import STAYS, disconnects, login

if TYPE_CHECKING:
    from wire.run import Run
    from wire.steps import Step


def session(run: Run, client: Any = None) -> Any:
    """Connect to a session that stays."""
    client = client or run.client(clean=False)
    if run.version.level == 5:
        properties = run.properties("CONNECT", **dict(STAYS))
        return run.connect(client, clean_start=False, properties=properties)
    return run.connect(client)


def back(version: Version, present: bool) -> tuple[Step, ...]:
    """The client connects again."""
    return login(version, clean=False, present=present)


def kept(present: bool) -> str:
    return "kept" if present else "forgotten"


# --- messages to the broker -----------------------------------------------------------------------


def publishing(*qos: int) -> Any:
    def drive(run: Run) -> None:
        client = session(run)
        for number, each in enumerate(qos, 1):
            client.publish("t", str(number), each)

    return drive


for version, present in itertools.product((MQTT311, MQTT5), (True, False)):
    first = version.publish(payload=b"1", qos=1, mid=1)
    again = version.publish(payload=b"1", qos=1, mid=1, dup=True)
    begin, then = login(version, clean=False), back(version, present)
    case(
        f"cut after PUBLISH of QoS 1, session {kept(present)}",
        publishing(1),
        (
            *begin,
            Client(first),
            CUT,
            *then,
            Client(again),
            Broker(version.puback(1)),
            *disconnects(version),
        ),
        version=version,
    )
    first = version.publish(payload=b"1", qos=2, mid=1)
    again = version.publish(payload=b"1", qos=2, mid=1, dup=True)
    rest = (
        Broker(version.pubrec(1)),
        Client(version.pubrel(1)),
        Broker(version.pubcomp(1)),
        *disconnects(version),
    )
    case(
        f"cut after PUBLISH of QoS 2, session {kept(present)}",
        publishing(2),
        (*begin, Client(first), CUT, *then, Client(again), *rest),
        version=version,
    )
    anew = (Client(again), *rest)
    release = (Client(version.pubrel(1)), Broker(version.pubcomp(1)), *disconnects(version))
    released = (*begin, Client(first), Broker(version.pubrec(1)), Client(version.pubrel(1)), CUT)
    for name, before in {
        "cut after PUBREL": released,
        "cut twice after PUBREL": (*released, *back(version, True), Client(version.pubrel(1)), CUT),
    }.items():
        case(
            f"{name}, session {kept(present)}",
            publishing(2),
            (*before, *then, *(release if present else anew)),
            version=version,
            paho=(*before, *then, *release),
            why=""
            if present
            else "a broker without the session cannot release what it has not; it is sent again",
        )

for version in (MQTT311, MQTT5):
    case(
        "cut with PUBREC",
        publishing(2),
        (
            *login(version, clean=False),
            Client(version.publish(payload=b"1", qos=2, mid=1)),
            Broker(version.pubrec(1)),
            CUT,
            *back(version, True),
            Client(version.pubrel(1)),
            Broker(version.pubcomp(1)),
            *disconnects(version),
        ),
        version=version,
    )

case(
    "cut, and the broker had completed the message",
    publishing(2),
    (
        *login(MQTT5, clean=False),
        Client(MQTT5.publish(payload=b"1", qos=2, mid=1)),
        Broker(MQTT5.pubrec(1)),
        Client(MQTT5.pubrel(1)),
        CUT,
        *back(MQTT5, True),
        Client(MQTT5.pubrel(1)),
        Broker(MQTT5.pubcomp(1, 0x92)),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
)


def numbered(mid: int, qos: int, *, dup: bool = False) -> Client:
    return Client(MQTT311.publish(payload=b"%d" % mid, qos=qos, mid=mid, dup=dup))


case(
    "cut with several on the way: the order stays",
    publishing(1, 2, 1, 2, 1),
    (
        *login(MQTT311, clean=False),
        *(numbered(mid, qos) for mid, qos in enumerate((1, 2, 1, 2, 1), 1)),
        Broker(MQTT311.puback(3)),
        Broker(MQTT311.pubrec(2)),
        Client(MQTT311.pubrel(2)),
        CUT,
        *back(MQTT311, True),
        numbered(1, 1, dup=True),
        Client(MQTT311.pubrel(2)),
        numbered(4, 2, dup=True),
        numbered(5, 1, dup=True),
        Broker(MQTT311.puback(1)),
        Broker(MQTT311.pubcomp(2)),
        Broker(MQTT311.pubrec(4)),
        Client(MQTT311.pubrel(4)),
        Broker(MQTT311.pubcomp(4)),
        Broker(MQTT311.puback(5)),
        *disconnects(MQTT311),
    ),
)


def clean(run: Run) -> None:
    run.start().publish("t", "1", 1)


case(
    "cut after PUBLISH of QoS 1, clean session",
    clean,
    (
        *login(MQTT311),
        numbered(1, 1),
        CUT,
        *login(MQTT311),
        numbered(1, 1, dup=True),
        Broker(MQTT311.puback(1)),
        *disconnects(MQTT311),
    ),
)


def clean_first(run: Run) -> None:
    run.start(clean_start=run.names.MQTT_CLEAN_START_FIRST_ONLY)
    run.wait("connect", 2)


case(
    "cut, and the clean start was for the first connection",
    clean_first,
    (
        *login(MQTT5),
        CUT,
        Client(MQTT5.connect(clean=False)),
        Broker(MQTT5.connack()),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
)


def before_connecting(run: Run) -> None:
    client = run.client()
    for qos in (0, 1, 2):
        client.publish("t", str(qos + 1), qos)
    run.connect(client)


#: QoS 1 and 2, the messages 2 and 3.
confirmed = (
    numbered(2, 1),
    numbered(3, 2),
    Broker(MQTT311.puback(2)),
    Broker(MQTT311.pubrec(3)),
    Client(MQTT311.pubrel(3)),
    Broker(MQTT311.pubcomp(3)),
    *disconnects(MQTT311),
)
case(
    "published before there is a connection",
    before_connecting,
    (*login(MQTT311), *confirmed),
)


def before_the_connack(run: Run) -> None:
    client = run.client()
    run.begin(client)
    run.told("asked")
    for qos in (0, 1, 2):
        client.publish("t", str(qos + 1), qos)
    run.tell("published")
    run.wait("connect")


case(
    "published before the CONNACK",
    before_the_connack,
    (
        Client(MQTT311.connect()),
        Tell("asked"),
        Wait("published"),
        Broker(MQTT311.connack()),
        numbered(1, 0),
        *confirmed,
    ),
)


# --- messages from the broker ---------------------------------------------------------------------


def holding(run: Run) -> None:
    """The handler of the first message returns after the connection has ended."""
    client = run.client(clean=False)
    received = client.on_message

    def handle(*arguments: Any) -> None:
        run.told("cut")
        received(*arguments)

    client.on_message = handle
    session(run, client)
    run.wait("connect", 2)


def simply(run: Run) -> None:
    session(run)
    run.wait("connect", 2)


for version in (MQTT311, MQTT5):
    begin = login(version, clean=False)
    again = version.publish(qos=1, mid=7, dup=True)
    case(
        "cut after the broker's PUBLISH of QoS 1",
        holding,
        (
            *begin,
            Broker(version.publish(qos=1, mid=7)),
            CUT,
            Tell("cut"),
            *back(version, True),
            Broker(again),
            Client(version.puback(7)),
            *disconnects(version),
        ),
        ("t b'x' qos 1", "t b'x' qos 1 dup"),
        version=version,
    )
    received = (*begin, Broker(version.publish(qos=2, mid=7)), Client(version.pubrec(7)))
    released = (Broker(version.pubrel(7)), Client(version.pubcomp(7)), *disconnects(version))
    case(
        "cut after PUBREC, and PUBREL comes",
        simply,
        (*received, CUT, *back(version, True), *released),
        ("t b'x' qos 2",),
        version=version,
    )
    case(
        "cut after PUBREC, and PUBLISH comes again",
        simply,
        (
            *received,
            CUT,
            *back(version, True),
            Broker(version.publish(qos=2, mid=7, dup=True)),
            Client(version.pubrec(7)),
            *released,
        ),
        ("t b'x' qos 2",),
        version=version,
        paho_sees=("t b'x' qos 2 dup",),
        why="what was received first is stored (4.3.3); paho replaces it",
    )
    case(
        "cut after the broker's PUBREL",
        holding,
        (*received, Broker(version.pubrel(7)), CUT, Tell("cut"), *back(version, True), *released),
        ("t b'x' qos 2",),
        version=version,
    )
    case(
        "cut after PUBREC, and the session is forgotten",
        simply,
        (
            *received,
            CUT,
            *back(version, False),
            Broker(version.publish(payload=b"new", qos=2, mid=7)),
            Client(version.pubrec(7)),
            *released,
        ),
        ("t b'x' qos 2", "t b'new' qos 2"),
        version=version,
        paho_sees=("t b'new' qos 2",),
        why="the broker does not repeat what it had handed over; paho loses it",
    )


def later(run: Run) -> None:
    client = run.client()
    client.connect_async(HOST, run.port)
    # Before the thread: paho may send it before its CONNECT otherwise.
    client.publish("t", "1", 1)
    client.loop_start()
    run.wait("connect")


case(
    "connect in the background",
    later,
    (*login(MQTT311), numbered(1, 1), Broker(MQTT311.puback(1)), *disconnects(MQTT311)),
)


def named_by_the_broker(run: Run) -> None:
    run.start("")
    run.wait("connect", 2)


named = (
    Client(MQTT5.connect("")),
    Broker(MQTT5.connack(properties={"AssignedClientIdentifier": "yours"})),
    CUT,
)
case(
    "cut, and the broker had chosen the client id",
    named_by_the_broker,
    (*named, Client(MQTT5.connect("yours")), Broker(MQTT5.connack()), *disconnects(MQTT5)),
    version=MQTT5,
    paho=(*named, Client(MQTT5.connect("")), Broker(MQTT5.connack()), *disconnects(MQTT5)),
    why="the session is found by the identifier that was assigned (3.2.2.3.7)",
)
