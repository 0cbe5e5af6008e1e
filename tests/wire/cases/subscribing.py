"""SUBSCRIBE and UNSUBSCRIBE (MQTT 3.1.1 and 5, sections 3.8 to 3.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT31, MQTT311, Version
from wire.registry import case
from wire.steps import CUT, Broker, Client

from .sequences import disconnects, login

if TYPE_CHECKING:
    from support.codec import Properties
    from wire.run import Run


def subscribing(*what: Any) -> Any:
    return lambda run: run.start().subscribe(*what)


def subscribed(
    name: str,
    what: tuple[Any, ...],
    *filters: tuple[str, int],
    codes: tuple[int, ...] | None = None,
    version: Version = MQTT311,
) -> None:
    """Add a script with one SUBSCRIBE; `what` are the arguments of `subscribe`."""
    granted = tuple(qos for _, qos in filters) if codes is None else codes
    case(
        f"subscribe {name}",
        subscribing(*what),
        (
            *login(version),
            Client(version.subscribe(1, *filters)),
            Broker(version.suback(1, *granted)),
            *disconnects(version),
        ),
        version=version,
    )


for version in (MQTT31, MQTT311, MQTT5):
    for qos in (0, 1, 2):
        subscribed(f"with QoS {qos}", ("a/b", qos), ("a/b", qos), version=version)
for version in (MQTT311, MQTT5):
    pairs = [("a", 0), ("b/#", 1), ("+/c", 2)]
    subscribed("to a list", (pairs,), *pairs, version=version)
subscribed("to a tuple", (("a", 1),), ("a", 1))
subscribed("to a refused filter", ("a", 2), ("a", 2), codes=(0x80,))
subscribed(
    "to less than was asked for", ([("a", 2), ("b", 1)],), ("a", 2), ("b", 1), codes=(0, 0x80)
)
subscribed("to a unicode filter", ("gerät/☃/#", 1), ("gerät/☃/#", 1))
subscribed("to a shared filter", ("$share/g/a", 1), ("$share/g/a", 1), version=MQTT5)
subscribed("to a refused filter", ("a", 2), ("a", 2), codes=(0x87,), version=MQTT5)


def with_options(run: Run) -> None:
    options = run.names.SubscribeOptions(1, noLocal=True, retainAsPublished=True, retainHandling=2)
    run.start().subscribe("a", options=options)


def with_listed_options(run: Run) -> None:
    options = run.names.SubscribeOptions
    given = [("a", options(2, noLocal=True)), ("b", options(0, retainHandling=1))]
    run.start().subscribe(given)


def with_identifier(run: Run) -> None:
    properties = run.properties("SUBSCRIBE", SubscriptionIdentifier=300, UserProperty=("a", "b"))
    run.start().subscribe("a", 1, properties=properties)


LABELS: Properties = {"SubscriptionIdentifier": 300, "UserProperty": ("a", "b")}
WITH: dict[str, tuple[Any, list[tuple[str, int]], Properties]] = {
    "with options": (with_options, [("a", 0b10_1101)], {}),
    "with options in a list": (with_listed_options, [("a", 0b0110), ("b", 0b1_0000)], {}),
    "with properties": (with_identifier, [("a", 1)], LABELS),
}
for name, (drive, filters, properties) in WITH.items():
    case(
        f"subscribe {name}",
        drive,
        (
            *login(MQTT5),
            Client(MQTT5.subscribe(1, *filters, properties=properties)),
            Broker(MQTT5.suback(1, *(0 for _ in filters))),
            *disconnects(MQTT5),
        ),
        version=MQTT5,
    )

# --- UNSUBSCRIBE ----------------------------------------------------------------------------------


def unsubscribing(what: Any) -> Any:
    return lambda run: run.start().unsubscribe(what)


for version in (MQTT31, MQTT311, MQTT5):
    for name, what in {"from one": ["a/b"], "from a list": ["a", "b/#", "gerät/☃"]}.items():
        given: Any = what if len(what) > 1 else what[0]
        case(
            f"unsubscribe {name}",
            unsubscribing(given),
            (
                *login(version),
                Client(version.unsubscribe(1, *what)),
                Broker(version.unsuback(1, *((0,) * len(what) if version.level == 5 else ()))),
                *disconnects(version),
            ),
            version=version,
        )


def unsubscribing_with_properties(run: Run) -> None:
    properties = run.properties("UNSUBSCRIBE", UserProperty=("a", "b"))
    run.start().unsubscribe("a", properties=properties)


case(
    "unsubscribe with properties",
    unsubscribing_with_properties,
    (
        *login(MQTT5),
        Client(MQTT5.unsubscribe(1, "a", properties={"UserProperty": ("a", "b")})),
        Broker(MQTT5.unsuback(1, 0x11)),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
)

# --- lost connections -----------------------------------------------------------------------------


def twice(run: Run) -> None:
    run.start(clean=False).subscribe("a", 1)
    run.wait("connect", 2)


for name, answer in {"": (Broker(MQTT311.suback(1, 1)),), " without an answer": ()}.items():
    before = (*login(MQTT311, clean=False), Client(MQTT311.subscribe(1, ("a", 1))), *answer, CUT)
    after = login(MQTT311, clean=False, present=True)
    case(
        f"subscribe{name}, and the connection is lost",
        twice,
        (
            *before,
            *after,
            Client(MQTT311.subscribe(2, ("a", 1))),
            Broker(MQTT311.suback(2, 1)),
            *disconnects(MQTT311),
        ),
        paho=(*before, *after, *disconnects(MQTT311)),
        why="subscriptions are made again with every connection, as Flask-MQTT does",
    )


def no_longer(run: Run) -> None:
    run.start(clean=False).unsubscribe("a")
    run.wait("connect", 2)


before = (*login(MQTT311, clean=False), Client(MQTT311.unsubscribe(1, "a")), CUT)
after = login(MQTT311, clean=False, present=True)
case(
    "unsubscribe without an answer, and the connection is lost",
    no_longer,
    (
        *before,
        *after,
        Client(MQTT311.unsubscribe(1, "a")),
        Broker(MQTT311.unsuback(1)),
        *disconnects(MQTT311),
    ),
    paho=(*before, *after, *disconnects(MQTT311)),
    why="the broker may have kept the session and not got the UNSUBSCRIBE (4.1)",
)
