"""What a client counts, in the types of `Client.stats`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from ._core import Client as CoreClient


class MessageCounts(TypedDict):
    """Messages by QoS."""

    qos0: int
    qos1: int
    qos2: int


class Received(TypedDict):
    """What came from brokers."""

    bytes: int
    messages: MessageCounts


class Published(TypedDict):
    """What went to brokers."""

    bytes: int
    messages: MessageCounts
    repeated: int


class WaitingIncoming(TypedDict):
    """What waits for the handlers."""

    messages: int
    bytes: int


class Reading(TypedDict):
    """The pauses in reading, while as much waits for the handlers as may."""

    paused: bool
    pauses: int
    seconds: float


class CoreDropped(TypedDict):
    """What the core dropped."""

    incoming_overflow: int
    log_lines: int
    unsent: int
    offline: int
    queue_full: int
    not_stored: int
    refused: int


class Dropped(CoreDropped):
    """What was not delivered, by the reason."""

    no_handler: int


class HandlerTimes(TypedDict):
    """The calls of handlers."""

    calls: int
    seconds: float
    longest: float
    failures: int


class RouteCounts(TypedDict):
    """The routes of an extension, and what became of their messages."""

    routes: int
    not_converted: int
    invalid: int
    dead_letters: int
    dead_letters_lost: int
    responses: int
    responses_lost: int
    batches: int
    retries: int
    given_up: int
    overdue: int


class LastError(TypedDict):
    """Why the last connection, or attempt to have one, failed."""

    text: str
    time: float


class _Common(TypedDict):
    connected: bool
    connected_since: float | None
    broker: str | None
    client_id: str
    connections: int
    reconnects: int
    failed_attempts: int
    received: Received
    published: Published
    in_flight: int
    queued: int
    set_aside: int
    unwritten: int
    outgoing_bytes: int
    waiting_incoming: WaitingIncoming
    reading: Reading
    last_error: LastError | None


class CoreStats(_Common):
    """What the core counts."""

    dropped: CoreDropped


class CoreHealth(TypedDict):
    """The connection and its subscriptions; a few of the filters are named."""

    connected: bool
    silence: float | None
    paused: bool
    unanswered: tuple[int, list[str]]
    refused: tuple[int, list[str]]


class Stats(_Common):
    """What `Mqtt.stats` and `Client.stats` return. What each entry is: see Monitoring."""

    dropped: Dropped
    handlers: HandlerTimes
    routes: RouteCounts


def no_routes() -> RouteCounts:
    """Return the counters as they are without any route."""
    return {
        "routes": 0,
        "not_converted": 0,
        "invalid": 0,
        "dead_letters": 0,
        "dead_letters_lost": 0,
        "responses": 0,
        "responses_lost": 0,
        "batches": 0,
        "retries": 0,
        "given_up": 0,
        "overdue": 0,
    }


def collect(core: CoreClient, no_handler: int, handlers: HandlerTimes) -> Stats:
    """Add what Python counts to what the core counts.

    Args:
        core: The connection's side.
        no_handler: How many messages were dropped because there was no handler.
        handlers: The calls of handlers.
    """
    counted = core.stats()
    dropped: Dropped = {**counted["dropped"], "no_handler": no_handler}
    return {**counted, "dropped": dropped, "handlers": handlers, "routes": no_routes()}
