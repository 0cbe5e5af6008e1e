"""CONNECT in all its forms (MQTT 3.1, 3.1.1 and 5, section 3.1)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT31, MQTT311, Will
from support.server import HOST
from wire.registry import case
from wire.steps import CLOSED, Broker, Client

from .sequences import starting

if TYPE_CHECKING:
    from support.packets import Version
    from wire.run import Run
    from wire.steps import Step


def accepted(
    version: Version, connect: bytes, hidden: tuple[int, int] = (0, 0)
) -> tuple[Step, ...]:
    """Accept a CONNECT; the client sends DISCONNECT."""
    return (
        Client(connect, hidden),
        Broker(version.connack()),
        Client(version.disconnect()),
        CLOSED,
    )


def plainly(run: Run) -> None:
    client = run.client()
    client.connect(HOST, run.port)
    client.loop_start()
    run.wait("connect")


for version in (MQTT31, MQTT311, MQTT5):
    case("connect", plainly, accepted(version, version.connect()), version=version)


def everything(run: Run) -> None:
    client = run.client("id")
    client.will_set("w", b"go", 2, retain=True)
    client.username_pw_set("u", "p")
    run.connect(client, keepalive=10)


# By hand, so that not all rests on one encoder.
case(
    "connect with everything",
    everything,
    (
        Client(
            bytes.fromhex(
                "10 1b  00 04 4d 51 54 54  04  f6  00 0a"
                "00 02 69 64  00 01 77  00 02 67 6f  00 01 75  00 01 70"
            )
        ),
        Broker(bytes.fromhex("20 02 00 00")),
        Client(bytes.fromhex("e0 00")),
        CLOSED,
    ),
)

# --- who ------------------------------------------------------------------------------------------


def known_as(username: str | None, password: str | None) -> Any:
    def drive(run: Run) -> None:
        client = run.client()
        client.username_pw_set(username, password)
        run.connect(client)

    return drive


WHO = {
    "a user": ("me", None),
    "an empty user": ("", None),
    "a unicode user": ("Bjørn ☃ 𝄞", None),
    "user and password": ("me", "s3cret"),
    "a unicode password": ("me", "пароль"),
    "an empty password": ("me", ""),
    "an empty user and password": ("", ""),
    "a long user and password": ("u" * 65535, "p" * 65535),
}
for version, (name, (user, password)) in itertools.product((MQTT311, MQTT5), WHO.items()):
    packet = version.connect(username=user, password=password)
    case(
        f"connect with {name}", known_as(user, password), accepted(version, packet), version=version
    )

# MQTT 3.1.1 forbids a password alone (3.1.2.9); MQTT 5 allows it, and both leave it out there too.
for version in (MQTT311, MQTT5):
    case(
        "connect with a password and no user",
        known_as(None, "s3cret"),
        accepted(version, version.connect()),
        version=version,
    )


# --- the will -------------------------------------------------------------------------------------


def leaving(payload: str | bytes | None, qos: int, retain: bool) -> Any:
    def drive(run: Run) -> None:
        client = run.client()
        client.will_set("last/wörds", payload, qos, retain)
        run.connect(client)

    return drive


PAYLOADS: dict[str, tuple[str | bytes | None, bytes]] = {
    "an empty": ("", b""),
    "a binary": (b"\x00\xff\xfe", b"\x00\xff\xfe"),
    "a unicode": ("gå ☃", "gå ☃".encode()),
}
for version, (name, (given, sent)), qos, retain in itertools.product(
    (MQTT311, MQTT5), PAYLOADS.items(), (0, 1, 2), (False, True)
):
    packet = version.connect(will=Will("last/wörds", sent, qos, retain))
    how = "retained " if retain else ""
    case(
        f"connect with {name} {how}will of QoS {qos}",
        leaving(given, qos, retain),
        accepted(version, packet),
        version=version,
    )
case(
    "connect with a will without payload",
    leaving(None, 0, False),
    accepted(MQTT311, MQTT311.connect(will=Will("last/wörds", b""))),
)
case(
    "connect with a will of MQTT 3.1",
    leaving("gone", 1, True),
    accepted(MQTT31, MQTT31.connect(will=Will("last/wörds", b"gone", 1, retain=True))),
    version=MQTT31,
)


def cleared(run: Run) -> None:
    client = run.client()
    client.will_set("w", b"go", 1)
    client.will_clear()
    run.connect(client)


case("connect with a will that was cleared", cleared, accepted(MQTT311, MQTT311.connect()))

# --- client identifiers and flags -----------------------------------------------------------------

IDS = {"a unicode": "gerät ☃ 𝄞", "a long": "x" * 65535, "no": ""}
for version, (name, client_id) in itertools.product((MQTT311, MQTT5), IDS.items()):
    case(
        f"connect with {name} client id",
        starting(client_id),
        accepted(version, version.connect(client_id)),
        version=version,
    )

case(
    "connect with no client id",
    starting(""),
    accepted(MQTT31, MQTT31.connect("?" * 22), (16, 38)),
    version=MQTT31,
)

for keepalive in (0, 1, 65535):
    case(
        f"connect with keep alive {keepalive}",
        starting(keepalive=keepalive),
        accepted(MQTT311, MQTT311.connect(keepalive=keepalive)),
    )
for version in (MQTT31, MQTT311):
    case(
        "connect to a session that stays",
        starting(clean=False),
        accepted(version, version.connect(clean=False)),
        version=version,
    )
case(
    "connect with clean start",
    starting(clean_start=True),
    accepted(MQTT5, MQTT5.connect()),
    version=MQTT5,
)
case(
    "connect without clean start",
    starting(clean_start=False),
    accepted(MQTT5, MQTT5.connect(clean=False, properties={"SessionExpiryInterval": 0xFFFFFFFF})),
    version=MQTT5,
    paho=accepted(MQTT5, MQTT5.connect(clean=False)),
    why="without an expiry interval the session would end with the connection (3.1.2.11.2)",
)

# --- properties of MQTT 5 -------------------------------------------------------------------------

CONNECT_PROPERTIES: dict[str, Any] = {
    "SessionExpiryInterval": 3600,
    "ReceiveMaximum": 7,
    "TopicAliasMaximum": 3,
    "RequestResponseInformation": 1,
    "RequestProblemInformation": 0,
    "UserProperty": ("a", "ø"),
    "MaximumPacketSize": 100_000,
}


def with_properties(given: dict[str, Any]) -> Any:
    return lambda run: run.start(properties=run.properties("CONNECT", **given))


for name, value in CONNECT_PROPERTIES.items():
    case(
        f"connect with {name}",
        with_properties({name: value}),
        accepted(MQTT5, MQTT5.connect(properties={name: value})),
        version=MQTT5,
    )


def in_order(*names: str) -> bytes:
    return MQTT5.connect(properties={name: CONNECT_PROPERTIES[name] for name in names})


case(
    "connect with all properties",
    with_properties(CONNECT_PROPERTIES),
    accepted(
        MQTT5,
        in_order(
            "SessionExpiryInterval",
            "RequestProblemInformation",
            "RequestResponseInformation",
            "ReceiveMaximum",
            "TopicAliasMaximum",
            "UserProperty",
            "MaximumPacketSize",
        ),
    ),
    version=MQTT5,
)

WILL_PROPERTIES: dict[str, Any] = {
    "PayloadFormatIndicator": 1,
    "MessageExpiryInterval": 10,
    "ContentType": "text/plain",
    "ResponseTopic": "answer",
    "CorrelationData": b"\x00\xff",
    "WillDelayInterval": 5,
    "UserProperty": ("a", "b"),
}


def leaving_properties(given: dict[str, Any]) -> Any:
    def drive(run: Run) -> None:
        client = run.client()
        client.will_set("w", b"go", 1, properties=run.properties("WILLMESSAGE", **given))
        run.connect(client)

    return drive


for name, value in WILL_PROPERTIES.items():
    will = Will("w", b"go", 1, properties={name: value})
    case(
        f"connect with {name} of the will",
        leaving_properties({name: value}),
        accepted(MQTT5, MQTT5.connect(will=will)),
        version=MQTT5,
    )
