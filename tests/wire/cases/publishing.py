"""Messages to the broker (MQTT 3.1.1 and 5, sections 3.3 to 3.7 and 4.3)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT31, MQTT311, PINGRESP, Version
from wire.registry import case
from wire.steps import Broker, Client

from .sequences import disconnects, login, starting

if TYPE_CHECKING:
    from support.codec import Properties
    from wire.run import Run
    from wire.steps import Step


def flow(version: Version, packet: bytes, qos: int, mid: int = 1) -> tuple[Step, ...]:
    """A PUBLISH and what follows it."""
    steps: tuple[Step, ...] = (Client(packet),)
    if qos == 1:
        steps += (Broker(version.puback(mid)),)
    elif qos == 2:
        steps += (Broker(version.pubrec(mid)), Client(version.pubrel(mid)))
        steps += (Broker(version.pubcomp(mid)),)
    return steps


def publishing(*message: Any) -> Any:
    return lambda run: run.start().publish(*message)


def published(
    name: str,
    message: tuple[Any, ...],
    topic: str,
    payload: bytes,
    qos: int = 0,
    *,
    retain: bool = False,
    version: Version = MQTT311,
) -> None:
    """Add a script with one message; `message` are the arguments of `publish`."""
    packet = version.publish(topic, payload, qos=qos, mid=1, retain=retain)
    steps = login(version) + flow(version, packet, qos) + disconnects(version)
    case(f"publish {name}", publishing(*message), steps, version=version)


for version, qos, retain in itertools.product((MQTT31, MQTT311, MQTT5), (0, 1, 2), (False, True)):
    published(
        f"QoS {qos}{', retained' * retain}",
        ("t", "x", qos, retain),
        "t",
        b"x",
        qos,
        retain=retain,
        version=version,
    )
for qos in (0, 1, 2):
    published(f"an empty payload, QoS {qos}", ("t", b"", qos), "t", b"", qos)
    published(f"no payload, QoS {qos}", ("t", None, qos), "t", b"", qos)
for name, given, sent in (
    ("text", "gå ☃", "gå ☃".encode()),
    ("a bytearray", bytearray(b"\x00\xff"), b"\x00\xff"),
    ("an int", -42, b"-42"),
    ("a float", 1.5, b"1.5"),
):
    published(name, ("t", given), "t", sent)
published("to a unicode topic", ("gerät/☃/𝄞", "x", 1), "gerät/☃/𝄞", b"x", 1)
published("to a long topic", ("x" * 65535, b"x"), "x" * 65535, b"x")
# Where the remaining length takes one more byte (2.2.3): a topic of 1 byte takes 3, a mid 2.
for remaining in (127, 128, 16383, 16384, 2_097_151, 2_097_152):
    payload = bytes(remaining - 3)
    published(f"a remaining length of {remaining}", ("t", payload), "t", payload)
    payload = bytes(remaining - 5)
    published(f"a remaining length of {remaining}, QoS 1", ("t", payload, 1), "t", payload, 1)


def two(run: Run) -> None:
    client = run.start()
    for qos in (0, 1, 2):
        client.publish("t", str(qos), qos)


case(
    "publish one after the other",
    two,
    (
        *login(MQTT311),
        Client(MQTT311.publish(payload=b"0")),
        Client(MQTT311.publish(payload=b"1", qos=1, mid=2)),
        Client(MQTT311.publish(payload=b"2", qos=2, mid=3)),
        Broker(MQTT311.pubrec(3)),
        Client(MQTT311.pubrel(3)),
        Broker(MQTT311.puback(2)),
        Broker(MQTT311.pubcomp(3)),
        *disconnects(MQTT311),
    ),
)


def once(run: Run) -> None:
    run.start().publish("t", "x", 2)


for version in (MQTT311, MQTT5):
    case(
        "publish, and PUBREC comes twice",
        once,
        (
            *login(version),
            Client(version.publish(qos=2, mid=1)),
            Broker(version.pubrec(1)),
            Client(version.pubrel(1)),
            Broker(version.pubrec(1)),
            Client(version.pubrel(1)),
            Broker(version.pubcomp(1)),
            *disconnects(version),
        ),
        version=version,
    )

# --- MQTT 5 ---------------------------------------------------------------------------------------

PROPERTIES: dict[str, Any] = {
    "PayloadFormatIndicator": 1,
    "MessageExpiryInterval": 10,
    "ContentType": "text/plain",
    "ResponseTopic": "answer",
    "CorrelationData": b"\x00\xff",
    "UserProperty": ("a", "ø"),
}


def with_properties(given: Properties) -> Any:
    def drive(run: Run) -> None:
        properties = run.properties("PUBLISH", **dict(given))
        run.start().publish("t", "x", 1, properties=properties)

    return drive


for name, value in PROPERTIES.items():
    packet = MQTT5.publish(qos=1, mid=1, properties={name: value})
    case(
        f"publish with {name}",
        with_properties({name: value}),
        login(MQTT5) + flow(MQTT5, packet, 1) + disconnects(MQTT5),
        version=MQTT5,
    )
case(
    "publish, and nobody has subscribed",
    publishing("t", "x", 1),
    (
        *login(MQTT5),
        Client(MQTT5.publish(qos=1, mid=1)),
        Broker(MQTT5.puback(1, 0x10)),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
)
case(
    "publish, and the PUBREC refuses",
    publishing("t", "x", 2),
    (
        *login(MQTT5),
        Client(MQTT5.publish(qos=2, mid=1)),
        Broker(MQTT5.pubrec(1, 0x97)),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
    paho=(
        *login(MQTT5),
        Client(MQTT5.publish(qos=2, mid=1)),
        Broker(MQTT5.pubrec(1, 0x97)),
        Client(MQTT5.pubrel(1)),
        *disconnects(MQTT5),
    ),
    why="a refusal ends the exchange (4.3.3); paho goes on",
)


# --- answers that fit nothing ---------------------------------------------------------------------

for version in (MQTT311, MQTT5):
    case(
        "a PUBREC for nothing",
        starting(),
        (
            *login(version),
            Broker(version.pubrec(9)),
            Client(version.pubrel(9)),
            Broker(version.pubcomp(9)),
            *disconnects(version),
        ),
        version=version,
        paho=(*login(version), Broker(version.pubrec(9)), *disconnects(version)),
        why="a broker that has a message left can complete it (4.3.3); paho does not answer",
    )
case(
    "answers for nothing",
    publishing("t", "x", 2),
    (
        *login(MQTT311),
        Client(MQTT311.publish(qos=2, mid=1)),
        Broker(MQTT311.puback(9) + MQTT311.pubcomp(9)),
        Broker(MQTT311.suback(9, 0) + MQTT311.unsuback(9) + PINGRESP),
        Broker(MQTT311.pubrec(1)),
        Client(MQTT311.pubrel(1)),
        Broker(MQTT311.pubcomp(1)),
        *disconnects(MQTT311),
    ),
)
answered = (
    *login(MQTT311),
    Client(MQTT311.publish(qos=2, mid=1)),
    Broker(MQTT311.puback(1)),
    Broker(MQTT311.pubrec(1)),
)
case(
    "a PUBACK for QoS 2",
    publishing("t", "x", 2),
    (
        *answered,
        Client(MQTT311.pubrel(1)),
        Broker(MQTT311.pubcomp(1)),
        *disconnects(MQTT311),
    ),
    paho=(*answered, *disconnects(MQTT311)),
    why="a PUBACK completes QoS 1 only (3.4); paho forgets the message",
)

# --- what a broker of MQTT 5 allows (3.2.2.3) -----------------------------------------------------


def allowed(given: Properties) -> tuple[Step, ...]:
    return (Client(MQTT5.connect()), Broker(MQTT5.connack(properties=given)))


def two_messages(*first: Any) -> Any:
    def drive(run: Run) -> None:
        client = run.start()
        client.publish(*first)
        client.publish("t", "y")

    return drive


for name, value, first, packet in (
    ("a Maximum QoS of 1", {"MaximumQoS": 1}, ("t", "x", 2), MQTT5.publish(qos=2, mid=1)),
    (
        "no Retain Available",
        {"RetainAvailable": 0},
        ("t", "x", 0, True),
        MQTT5.publish(retain=True),
    ),
    (
        "a Maximum Packet Size",
        {"MaximumPacketSize": 20},
        ("t", "x" * 20),
        MQTT5.publish(payload=b"x" * 20),
    ),
):
    second = (Client(MQTT5.publish(payload=b"y")), *disconnects(MQTT5))
    case(
        f"publish to {name}",
        two_messages(*first),
        (*allowed(value), *second),
        version=MQTT5,
        paho=(*allowed(value), Client(packet), *second),
        why="a client must not send what the broker does not take (3.2.2.3); paho does",
    )


def the_same_topic(run: Run) -> None:
    client = run.start()
    for payload in ("1", "2"):
        client.publish("topic", payload)


case(
    "publish to a broker that takes topic aliases",
    the_same_topic,
    (
        *allowed({"TopicAliasMaximum": 5}),
        Client(MQTT5.publish("topic", b"1", properties={"TopicAlias": 1})),
        Client(MQTT5.publish("", b"2", properties={"TopicAlias": 1})),
        *disconnects(MQTT5),
    ),
    version=MQTT5,
    paho=(
        *allowed({"TopicAliasMaximum": 5}),
        Client(MQTT5.publish("topic", b"1")),
        Client(MQTT5.publish("topic", b"2")),
        *disconnects(MQTT5),
    ),
    why="an alias saves the topic (3.3.2.3.4); paho leaves it to the application",
)
