"""This package as a client of a broker, with everything that its handlers see kept for a check."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Flask

from flask_mqtt import Mqtt
from support.wait import wait_until

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from flask_mqtt import MQTTMessage

TIMEOUT = 5.0
REFUSED = 128


class Failed(Exception):  # noqa: N818 - it reads as what happened
    """What kept a feature from working, in words for the table."""


class Connack(NamedTuple):
    """What `on_connect` got."""

    session_present: bool
    rc: int
    properties: Any


class Client:
    """A connection made with the given configuration, closed at the end of a `with`.

    Keys go without `MQTT_` and in lower case.
    """

    def __init__(self, **config: Any) -> None:
        self.mqtt = Mqtt()
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.disconnects: queue.Queue[int] = queue.Queue()
        self._connacks: queue.Queue[Connack] = queue.Queue()
        self._subacks: queue.Queue[tuple[int, ...]] = queue.Queue()
        self._confirmed: dict[int, int] = {}
        self._register()
        app = Flask("interop")
        app.config.update({f"MQTT_{key.upper()}": value for key, value in config.items()})
        app.config.setdefault("MQTT_CONNECTION_TIMEOUT", TIMEOUT)
        self.mqtt.init_app(app)
        self.connack = self._await_connack()

    def _register(self) -> None:
        def on_connect(
            _client: Any, _userdata: Any, flags: Any, rc: int, properties: Any = None
        ) -> None:
            self._connacks.put(Connack(bool(flags["session present"]), rc, properties))

        def on_disconnect(_client: Any, _userdata: Any, rc: int) -> None:
            self.disconnects.put(rc)

        def on_subscribe(_client: Any, _userdata: Any, _mid: int, granted: Any) -> None:
            self._subacks.put(tuple(granted))

        def on_publish(_client: Any, _userdata: Any, mid: int) -> None:
            self._confirmed[mid] = self._confirmed.get(mid, 0) + 1

        def on_message(_client: Any, _userdata: Any, message: MQTTMessage) -> None:
            self.messages.put(message)

        self.mqtt.on_connect()(on_connect)
        self.mqtt.on_disconnect()(on_disconnect)
        self.mqtt.on_subscribe()(on_subscribe)
        self.mqtt.on_publish()(on_publish)
        self.mqtt.on_message()(on_message)

    def _await_connack(self) -> Connack:
        try:
            connack = self._connacks.get(timeout=TIMEOUT)
        except queue.Empty:
            self.mqtt.close()
            raise Failed("the broker closes the connection without a CONNACK") from None
        if connack.rc:
            self.mqtt.close()
            raise Failed(f"the broker refuses the connection with code {int(connack.rc)}")
        return connack

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.mqtt.close()

    def subscribe(self, topic: str, qos: int = 0, **options: Any) -> int:
        """Subscribe, wait for the answer, and return the QoS that was granted."""
        self.mqtt.subscribe(topic, qos, **options)
        try:
            [granted] = self._subacks.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Failed(f"no answer to a subscription{self._end()}") from None
        if granted >= REFUSED:
            raise Failed(f"the broker refuses a subscription with code {int(granted)}")
        return int(granted)

    def publish(self, topic: str, payload: bytes, qos: int = 0, **options: Any) -> None:
        """Publish and wait until it is confirmed."""
        _, mid = self.mqtt.publish(topic, payload, qos, **options)
        self.confirmed(mid)

    def confirmed(self, mid: int) -> None:
        """Wait for the confirmation of a message."""
        try:
            wait_until(lambda: self._confirmed.pop(mid, 0), TIMEOUT)
        except AssertionError:
            raise Failed(f"a message was not confirmed{self._end()}") from None

    def receive(self) -> MQTTMessage:
        """Wait for the next message."""
        try:
            return self.messages.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Failed(f"a message did not arrive{self._end()}") from None

    def _end(self) -> str:
        if self.disconnects.empty():
            return ""
        return f": the connection ended (rc {int(self.disconnects.get())})"


def expect(value: Any, wanted: Any, what: str) -> None:
    """Say what was wrong where a value is not the one that was wanted."""
    if value != wanted:
        raise Failed(f"{what}: {_show(value)}, expected {_show(wanted)}")


def _show(value: Any) -> str:
    is_code = isinstance(value, int) and not isinstance(value, bool)
    return str(int(value)) if is_code else repr(value)
