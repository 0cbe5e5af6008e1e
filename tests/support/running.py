"""A connected client, for as long as a test needs it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from flask_mqtt import Mqtt

from .wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask import Flask


@contextlib.contextmanager
def connected(app: Flask, **options: Any) -> Iterator[Mqtt]:
    """Give a client that the broker has accepted; it is closed at the end."""
    with Mqtt(app, **options) as mqtt:
        wait_until(lambda: mqtt.connected, what="the client is connected")
        yield mqtt
