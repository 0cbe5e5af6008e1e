"""DISCONNECT (MQTT 3.1.1 and 5, section 3.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.packets import MQTT5, MQTT31, MQTT311
from wire.registry import case
from wire.steps import CLOSED, Broker, Client

from .sequences import disconnects, login

if TYPE_CHECKING:
    from wire.run import Run


def with_reason(number: int, **given: Any) -> Any:
    def drive(run: Run) -> None:
        client = run.start()
        properties = run.properties("DISCONNECT", **given) if given else None
        run.leave(client, run.reason("DISCONNECT", number), properties)

    return drive


for version in (MQTT31, MQTT311, MQTT5):
    case(
        "disconnect",
        lambda run: run.leave(run.start()),
        login(version) + disconnects(version),
        version=version,
    )
for reason in (0x04, 0x80, 0x98):
    case(
        f"disconnect with reason {reason:#04x}",
        with_reason(reason),
        (*login(MQTT5), Client(MQTT5.disconnect(reason)), CLOSED),
        version=MQTT5,
        paho=(*login(MQTT5), Client(bytes([0xE0, 1, reason])), CLOSED),
        why="the length of no properties may be there or not (3.14.2.2.1)",
    )
PROPERTIES: dict[str, Any] = {
    "SessionExpiryInterval": 9,
    "ReasonString": "bye",
    "UserProperty": ("a", "b"),
}
for name, value in PROPERTIES.items():
    case(
        f"disconnect with {name}",
        with_reason(0x04, **{name: value}),
        (*login(MQTT5), Client(MQTT5.disconnect(4, {name: value})), CLOSED),
        version=MQTT5,
    )
case(
    "disconnect with reason 0",
    with_reason(0),
    login(MQTT5) + disconnects(MQTT5),
    version=MQTT5,
    paho=(*login(MQTT5), Client(b"\xe0\x01\x00"), CLOSED),
    why="a reason of 0 goes without saying (3.14.2.1)",
)


def unconfirmed(run: Run) -> None:
    client = run.start()
    client.publish("t", "x", 1)
    run.leave(client)


case(
    "disconnect after a message without its PUBACK",
    unconfirmed,
    (*login(MQTT311), Client(MQTT311.publish(qos=1, mid=1)), *disconnects(MQTT311)),
)


def again(run: Run) -> None:
    client = run.start()
    client.disconnect()
    run.wait("disconnect")
    client.loop_stop()
    client.reconnect()
    client.loop_start()
    run.wait("connect", 2)


case(
    "disconnect and reconnect",
    again,
    login(MQTT311) + disconnects(MQTT311) + login(MQTT311) + disconnects(MQTT311),
)


def sent_away(run: Run) -> None:
    run.start()
    run.wait("connect", 2)


case(
    "the broker says DISCONNECT",
    sent_away,
    (*login(MQTT5), Broker(MQTT5.disconnect(0x8B)), CLOSED, *login(MQTT5), *disconnects(MQTT5)),
    version=MQTT5,
)
