"""What a route costs each message, with one route and with many, beside a plain handler.

    ./scripts/bench routes

There is no broker: messages are handed to what calls their handlers, as the dispatcher does it. The
kinds are measured in turn, and the best of the runs counts: other work on the machine only adds.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from flask import Flask

from flask_mqtt import Mqtt, MQTTMessage
from flask_mqtt.client.base import parts_of
from flask_mqtt.extension.routes import begin_routes

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGES = 20_000


def nothing(client: object, message: object, id: int) -> None:  # noqa: A002
    """Handle a message of a route."""


def nothing_plain(client: object, userdata: object, message: object) -> None:
    """Handle a message of a filter."""


def prepared(count: int, *, routed: bool) -> tuple[Callable[[], None], float]:
    """Register so many handlers; return what handles messages of all of them, and the seconds."""
    app, mqtt = Flask(__name__), Mqtt()
    begin_routes(mqtt, app)
    started = time.perf_counter()
    for number in range(count):
        if routed:
            mqtt.topic(f"plant/{number}/<int:id>/temperature")(nothing)
        else:
            mqtt.on_topic(f"plant/{number}/+/temperature")(nothing_plain)
    took = time.perf_counter() - started
    dispatcher = parts_of(mqtt.client).dispatcher
    dispatcher.bind(app)
    messages = [message(f"plant/{each % count}/{each}/temperature") for each in range(MESSAGES)]

    def handle() -> None:
        handle_one, caller = dispatcher.message_handlers.handle, dispatcher.caller
        caller.begin()
        for each in messages:
            handle_one(each, caller, acknowledge)
        caller.rest()

    return handle, took


def message(topic: str) -> MQTTMessage:
    """Make a message of QoS 0."""
    made = MQTTMessage(topic=topic.encode())
    made.payload = b"21.5"
    return made


def acknowledge(message: Any) -> None:
    """Do nothing, as for a message of QoS 0."""


def main() -> None:
    """Print what each kind takes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=15, help="how often each is measured")
    parser.add_argument("--routes", type=int, default=10_000, help="how many there are")
    arguments = parser.parse_args()
    kinds = {
        "1 handler": prepared(1, routed=False),
        "1 route": prepared(1, routed=True),
        f"{arguments.routes:,} handlers": prepared(arguments.routes, routed=False),
        f"{arguments.routes:,} routes": prepared(arguments.routes, routed=True),
    }
    best = dict.fromkeys(kinds, float("inf"))
    for _ in range(arguments.runs):
        for name, (handle, _) in kinds.items():
            started = time.process_time()
            handle()
            best[name] = min(best[name], time.process_time() - started)
    print(f"{'':>18}  {'µs a message':>12}  {'ms to register one':>18}")
    for name, (_, took) in kinds.items():
        each = took / int(name.split()[0].replace(",", "")) * 1e3
        print(f"{name:>18}  {best[name] / MESSAGES * 1e6:12.2f}  {each:18.3f}")
    more = best[f"{arguments.routes:,} routes"] - best["1 route"]
    print(f"{arguments.routes:,} routes: {more / MESSAGES * 1e6:.2f} µs more than 1")


if __name__ == "__main__":
    main()
