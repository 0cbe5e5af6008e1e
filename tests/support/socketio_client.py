"""What a SocketIO client of a test needs."""

from __future__ import annotations

from typing import Any


def handle_in_order(client: Any) -> None:
    """Have a SocketIO client handle messages one by one, not each in a thread of its own."""
    trigger = client.eio._trigger_event

    def in_order(event: str, *arguments: Any, run_async: bool = False, **options: Any) -> Any:
        del run_async
        return trigger(event, *arguments, **options)

    client.eio._trigger_event = in_order
