"""At full speed, with a broker that costs nothing."""

from __future__ import annotations

from peers import FLOOR, ORIGINAL, OURS
from suites.case import CPU, RATE, Broker, Case, Suite, sending

THREE = (OURS, ORIGINAL, FLOOR)


def at_full_speed(qos: int) -> tuple[str, ...]:
    """Return the options of a sender that sends as much as is taken."""
    return sending(qos, 0, 64, "--window", "10000" if qos < 2 else "1000")


def receive(qos: int) -> Case:
    """Messages that come."""
    return Case(
        key=f"receive-{qos}",
        title=f"receive, QoS {qos}",
        task="receive",
        peers=THREE if qos < 2 else THREE[:2],
        broker=Broker(options=at_full_speed(qos)),
        values={"qos": qos},
        runs=5 if qos < 2 else 2,
        quick=qos < 2,
    )


def publish(qos: int, *, report: bool = False, threads: int = 1) -> Case:
    """Messages that are published."""
    plain = not report and threads == 1
    key, title = f"publish-{qos}", f"publish, QoS {qos}"
    if report:
        key, title = f"{key}-reported", f"{title}, with `on_publish`"
    if threads > 1:
        key, title = f"{key}-threads", f"{title}, from {threads} threads"
    return Case(
        key=key,
        title=title,
        task="publish",
        peers=THREE if plain and qos < 2 else THREE[:2],
        values={"qos": qos, "size": 64, "report": report, "threads": threads},
        runs=2 if threads > 1 or qos == 2 else 5,
        quick=qos < 2 and (plain or report),
    )


SUITE = Suite(
    name="throughput",
    title="Full speed, without a broker's cost",
    text="""
The broker is a program that sends packets that were encoded beforehand, and acknowledges what it
receives (below, the *costless broker*). The payload has 64 bytes, the handler is empty. The broker
has at most 10,000 QoS 1 or 1,000 QoS 2 messages in flight; the client has as many as it does by
default. With `on_publish`, the measured time ends when the handler has been called for the last
message.
""",
    cases=(
        *[receive(qos) for qos in (0, 1, 2)],
        *[publish(qos) for qos in (0, 1, 2)],
        *[publish(qos, report=True) for qos in (0, 1)],
        *[publish(qos, threads=8) for qos in (0, 1)],
    ),
    metrics=(RATE, CPU),
    plot=RATE,
    axis="peers",
)
