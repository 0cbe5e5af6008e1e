"""Payloads of all sizes."""

from __future__ import annotations

from suites.case import CPU, RATE, Broker, Case, Suite, sending
from suites.throughput import THREE

SIZES = {16: "16 B", 1_024: "1 KiB", 65_536: "64 KiB", 1_048_576: "1 MiB"}

SUITE = Suite(
    name="sizes",
    title="Sizes of messages",
    text="With the costless broker and QoS 0.",
    cases=(
        *[
            Case(
                key=f"receive-{size}",
                title=f"receive, {title}",
                task="receive",
                peers=THREE,
                broker=Broker(options=sending(0, 0, size)),
                values={"qos": 0},
                target={"size": size},
                runs=1,
            )
            for size, title in SIZES.items()
        ],
        *[
            Case(
                key=f"publish-{size}",
                title=f"publish, {title}",
                task="publish",
                peers=THREE,
                values={"qos": 0, "size": size},
                runs=1,
            )
            for size, title in SIZES.items()
        ],
    ),
    metrics=(RATE, CPU),
)
