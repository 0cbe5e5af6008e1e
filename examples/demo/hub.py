"""Hands what happens to the browsers: each has a bounded queue, so a slow one delays nobody."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

QUEUE_LENGTH = 200
SHOWN_BYTES = 4096
HEARTBEAT = 1.0  # seconds
PAUSE = 0.05  # seconds between two batches: a browser draws no faster anyway


@dataclass(frozen=True)
class Message:
    """A message as it arrived."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    time: float = field(default_factory=time.time)

    def as_json(self) -> dict[str, object]:
        """Return what the page shows: text if the payload is UTF-8, else hexadecimal digits."""
        shown = self.payload[:SHOWN_BYTES]
        cut = len(shown) < len(self.payload)
        try:
            # A cut may go through a character: up to three bytes of it are then left over.
            body, encoding = decode(shown, may_end_early=cut), "text"
        except UnicodeDecodeError:
            body, encoding = shown.hex(" "), "hex"
        return {
            "topic": self.topic,
            "body": body,
            "encoding": encoding,
            "size": len(self.payload),
            "cut": cut,
            "qos": self.qos,
            "retain": bool(self.retain),
            "time": self.time,
        }


def decode(data: bytes, *, may_end_early: bool) -> str:
    """Decode UTF-8, forgiving an unfinished last character if `may_end_early`."""
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        if may_end_early and error.reason == "unexpected end of data":
            return data[: error.start].decode()
        raise


class Browser:
    """What waits for one browser. Guarded by the hub's lock."""

    def __init__(self) -> None:
        """Start with nothing waiting."""
        self.messages: deque[Message] = deque()
        self.confirmed: deque[int] = deque(maxlen=QUEUE_LENGTH)
        self.state: dict[str, object] | None = None
        self.dropped = 0


class Hub:
    """Connects the one MQTT client to any number of browsers."""

    def __init__(self) -> None:
        """Start without browsers."""
        self._changed = threading.Condition()
        self._browsers: set[Browser] = set()
        self._received = 0
        self._closed = False

    def add(self, message: Message) -> None:
        """Queue a message for every browser. The oldest one goes where a queue is full."""
        with self._changed:
            self._received += 1
            for browser in self._browsers:
                if len(browser.messages) == QUEUE_LENGTH:
                    browser.messages.popleft()
                    browser.dropped += 1
                browser.messages.append(message)
            self._changed.notify_all()

    def confirm(self, mid: int) -> None:
        """Tell every browser that a message which was published is done with."""
        with self._changed:
            for browser in self._browsers:
                browser.confirmed.append(mid)
            self._changed.notify_all()

    def announce(self, state: dict[str, object]) -> None:
        """Give every browser a new state; only the latest one matters."""
        with self._changed:
            for browser in self._browsers:
                browser.state = state
            self._changed.notify_all()

    def close(self) -> None:
        """End all streams."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stream(self, state: dict[str, object]) -> Iterator[str]:
        """Yield a browser's events: `state`, `messages`, `confirmed` and, every second, `beat`."""
        browser = Browser()
        browser.state = state
        with self._changed:
            self._browsers.add(browser)
        try:
            beat_due = time.monotonic()
            while True:
                with self._changed:
                    self._changed.wait_for(
                        lambda: (
                            self._closed or browser.messages or browser.confirmed or browser.state
                        ),
                        max(0.0, beat_due - time.monotonic()),
                    )
                    if self._closed:
                        return
                    new_state, browser.state = browser.state, None
                    messages = list(browser.messages)
                    browser.messages.clear()
                    confirmed = list(browser.confirmed)
                    browser.confirmed.clear()
                    beat = {"received": self._received, "dropped": browser.dropped}
                if new_state:
                    yield event("state", new_state)
                if messages:
                    yield event("messages", [message.as_json() for message in messages])
                if confirmed:
                    yield event("confirmed", confirmed)
                if time.monotonic() >= beat_due:
                    # Also how a browser that has gone is noticed: writing to it fails.
                    beat_due = time.monotonic() + HEARTBEAT
                    yield event("beat", beat | {"clock": time.monotonic()})
                time.sleep(PAUSE)
        finally:
            with self._changed:
                self._browsers.discard(browser)


def event(name: str, data: object) -> str:
    """Return one server-sent event. JSON has no line breaks, so one data line holds it."""
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
