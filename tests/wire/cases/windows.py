"""No more than so many messages are on the way at a time (MQTT 5, section 3.3.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT311, Version
from wire.registry import case
from wire.steps import CUT, Broker, Client

from .sequences import disconnects, login

if TYPE_CHECKING:
    from wire.run import Run
    from wire.steps import Step


def messages(
    version: Version, qos: int, mids: range | list[int], *, dup: bool = False
) -> list[Client]:
    return [Client(version.publish(payload=b"%d" % mid, qos=qos, mid=mid, dup=dup)) for mid in mids]


def marker(version: Version, mid: int) -> tuple[Step, ...]:
    """What the client sends after all that it had to send before, so nothing more comes then."""
    codes = (0,) if version.level == 5 else ()
    return (Client(version.unsubscribe(mid, "end")), Broker(version.unsuback(mid, *codes)))


def publishing(count: int, qos: int, prepare: Any = None, *, clean: bool = True) -> Any:
    def drive(run: Run) -> None:
        client = run.client(clean=clean)
        if prepare:
            prepare(client)
        run.connect(client)
        for mid in range(1, count + 1):
            client.publish("t", str(mid), qos)
        client.unsubscribe("end")

    return drive


def one_by_one(version: Version, window: int, count: int) -> tuple[Step, ...]:
    """Each PUBACK makes room for one message: the answer to another packet follows at once."""
    steps: list[Step] = []
    for mid in range(1, count - window + 1):
        question = version.publish("question", qos=1, mid=mid)
        steps.append(Broker(version.puback(mid) + question))
        steps += messages(version, 1, [mid + window])
        steps.append(Client(version.puback(mid)))
    steps += [Broker(version.puback(mid)) for mid in range(count - window + 1, count + 1)]
    return tuple(steps)


def asked(count: int) -> tuple[str, ...]:
    return ("question b'x' qos 1",) * count


for version in (MQTT311, MQTT5):
    case(
        "25 messages of QoS 1: 20 on the way",
        publishing(25, 1),
        (
            *login(version),
            *messages(version, 1, range(1, 21)),
            *marker(version, 26),
            *one_by_one(version, 20, 25),
            *disconnects(version),
        ),
        asked(5),
        version=version,
    )

case(
    "22 messages of QoS 2: 20 on the way, until PUBCOMP",
    publishing(22, 2),
    (
        *login(MQTT311),
        *messages(MQTT311, 2, range(1, 21)),
        *marker(MQTT311, 23),
        Broker(MQTT311.pubrec(2) + MQTT311.publish("question", qos=1, mid=1)),
        Client(MQTT311.pubrel(2)),
        Client(MQTT311.puback(1)),
        Broker(MQTT311.pubcomp(2)),
        *messages(MQTT311, 2, [21]),
        *(
            step
            for mid in (1, *range(3, 22))
            for step in (
                Broker(MQTT311.pubrec(mid)),
                Client(MQTT311.pubrel(mid)),
            )
        ),
        Broker(MQTT311.pubcomp(21)),
        *messages(MQTT311, 2, [22]),
        Broker(MQTT311.pubrec(22)),
        Client(MQTT311.pubrel(22)),
        *(Broker(MQTT311.pubcomp(mid)) for mid in (1, *range(3, 21), 22)),
        *disconnects(MQTT311),
    ),
    asked(1),
)
case(
    "a full window, and the connection is lost",
    publishing(22, 1, clean=False),
    (
        *login(MQTT311, clean=False),
        *messages(MQTT311, 1, range(1, 21)),
        *marker(MQTT311, 23),
        CUT,
        *login(MQTT311, clean=False, present=True),
        *messages(MQTT311, 1, range(1, 21), dup=True),
        *one_by_one(MQTT311, 20, 22),
        *disconnects(MQTT311),
    ),
    asked(2),
    paho=(
        *login(MQTT311, clean=False),
        *messages(MQTT311, 1, range(1, 21)),
        *marker(MQTT311, 23),
        CUT,
        *login(MQTT311, clean=False, present=True),
        *messages(MQTT311, 1, range(1, 21), dup=True),
        Broker(MQTT311.puback(1) + MQTT311.publish("question", qos=1, mid=1)),
        *messages(MQTT311, 1, [21, 22]),
        Client(MQTT311.puback(1)),
        Broker(MQTT311.puback(2) + MQTT311.publish("question", qos=1, mid=2)),
        Client(MQTT311.puback(2)),
        *(Broker(MQTT311.puback(mid)) for mid in range(3, 23)),
        *disconnects(MQTT311),
    ),
    why="20 is the limit of paho's too, but it counts wrongly after a lost connection",
)


def at_most(count: int) -> Any:
    return lambda client: client.max_inflight_messages_set(count)


for window in (1, 3):
    case(
        f"6 messages of QoS 1: {window} on the way",
        publishing(6, 1, at_most(window)),
        (
            *login(MQTT311),
            *messages(MQTT311, 1, range(1, window + 1)),
            *marker(MQTT311, 7),
            *one_by_one(MQTT311, window, 6),
            *disconnects(MQTT311),
        ),
        asked(6 - window),
    )
case(
    "40 messages of QoS 1: no limit",
    publishing(40, 1, at_most(0)),
    (
        *login(MQTT311),
        *messages(MQTT311, 1, range(1, 41)),
        *marker(MQTT311, 41),
        *(Broker(MQTT311.puback(mid)) for mid in range(1, 41)),
        *disconnects(MQTT311),
    ),
)
case(
    "6 messages of QoS 1: a Receive Maximum of 2",
    publishing(6, 1),
    (
        Client(MQTT5.connect()),
        Broker(MQTT5.connack(properties={"ReceiveMaximum": 2})),
        *messages(MQTT5, 1, range(1, 3)),
        *marker(MQTT5, 7),
        *one_by_one(MQTT5, 2, 6),
        *disconnects(MQTT5),
    ),
    asked(4),
    version=MQTT5,
    paho=(
        Client(MQTT5.connect()),
        Broker(MQTT5.connack(properties={"ReceiveMaximum": 2})),
        *messages(MQTT5, 1, range(1, 7)),
        *marker(MQTT5, 7),
        *(
            step
            for mid in range(1, 5)
            for step in (
                Broker(MQTT5.puback(mid) + MQTT5.publish("question", qos=1, mid=mid)),
                Client(MQTT5.puback(mid)),
            )
        ),
        Broker(MQTT5.puback(5)),
        Broker(MQTT5.puback(6)),
        *disconnects(MQTT5),
    ),
    why="a client must not exceed the Receive Maximum (3.3.4); paho does not know it",
)


def queueing(run: Run) -> None:
    client = run.client()
    client.max_inflight_messages_set(1)
    client.max_queued_messages_set(2)
    run.connect(client)
    codes = [int(client.publish("t", str(mid), 1)[0]) for mid in range(1, 6)]
    run.note(f"publish returns {codes}")
    client.unsubscribe("end")


def queued(last: int, following: int) -> tuple[Step, ...]:
    """The messages go out one after the other; another packet has the identifier that follows."""
    steps = [*login(MQTT311), *messages(MQTT311, 1, [1]), *marker(MQTT311, following)]
    for mid in range(2, last + 1):
        steps += [Broker(MQTT311.puback(mid - 1)), *messages(MQTT311, 1, [mid])]
    return (*steps, Broker(MQTT311.puback(last)), *disconnects(MQTT311))


case(
    "5 messages of QoS 1: 1 on the way, and 2 wait",
    queueing,
    queued(3, 4),
    ("publish returns [0, 0, 0, 15, 15]",),
    paho=queued(2, 6),
    paho_sees=("publish returns [0, 0, 15, 15, 15]",),
    why="what is on the way does not wait, and what is refused takes no identifier",
)
