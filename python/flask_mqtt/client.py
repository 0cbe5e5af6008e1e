"""The client behind :class:`flask_mqtt.Mqtt`, in the shape of paho's."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import time
import weakref
from typing import Any, NoReturn

from .callbacks import Callbacks
from .config import MAX_PACKET_SIZE, payload_bytes
from .constants import (
    MQTT_ERR_INVAL,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    MQTT_LOG_DEBUG,
    MQTTErrorCode,
)

logger = logging.getLogger("flask_mqtt")

#: How long a full queue makes `publish` wait, in seconds.
PUBLISH_TIMEOUT = 10.0

#: How long a handler that is running may hold up `loop_stop`, in seconds.
STOP_TIMEOUT = 5.0

#: How long the good-bye to a broker may take, in seconds.
GOODBYE_TIMEOUT = 0.7

_LATER = "is not available in this version"


class Client(Callbacks):
    """An MQTT client. A Rust thread has the connection, a Python thread calls the handlers.

    :class:`flask_mqtt.Mqtt` has one as ``mqtt.client``; handlers get it as their first argument.
    """

    def __init__(
        self, client_id: str = "", clean_session: bool = True, userdata: Any = None
    ) -> None:
        """Make a client without a connection.

        Args:
            client_id: Client identifier; empty lets the broker choose one (MQTT 3.1.1, 3.1.3.1).
            clean_session: Whether the broker forgets the session with the connection (3.1.2.4).
            userdata: Given to every handler.
        """
        super().__init__(userdata)
        self.client_id = client_id
        self.clean_session = clean_session
        self.connect_timeout: float = 5
        self.max_packet_size = MAX_PACKET_SIZE
        self._username: str | None = None
        self._password: str | None = None
        self._will: tuple[str, bytes, int, bool] | None = None
        self._address: tuple[str, int, int] | None = None
        self._connect_with_loop = False
        self._pid = os.getpid()
        _clients.add(self)

    # -- settings for the next connection ---------------------------------------------------------

    def username_pw_set(self, username: str | None, password: str | None = None) -> None:
        """Set the user name and password of the next CONNECT; None for no authentication."""
        self._username = username
        self._password = password

    def will_set(
        self,
        topic: str,
        payload: str | bytes | bytearray | float | None = None,
        qos: int = 0,
        retain: bool = False,
    ) -> None:
        """Set the message that the broker publishes if the connection breaks (3.1.1, 3.1.2.5)."""
        self._will = (topic, payload_bytes(payload), qos, retain)

    def will_clear(self) -> None:
        """Undo `will_set`."""
        self._will = None

    def tls_set(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise: TLS is not available in this version."""
        raise NotImplementedError(f"tls_set: TLS {_LATER}")

    # -- the connection ---------------------------------------------------------------------------

    def connect(self, host: str, port: int = 1883, keepalive: int = 60) -> MQTTErrorCode:
        """Open a connection and return when the broker's TCP port has accepted it.

        A connection that there is ends first. Lost later, it is made again until `disconnect`.

        Args:
            host: Host name or address.
            port: TCP port.
            keepalive: Seconds between packets before a PINGREQ; 0 switches that off.

        Returns:
            ``MQTT_ERR_SUCCESS``. What the broker answers is `on_connect`'s.

        Raises:
            OSError: ``ConnectionRefusedError``, ``socket.gaierror``, ``TimeoutError`` and so on.
            ValueError: An option cannot be sent.
        """
        self._connect_with_loop = False
        self._address = (host, port, keepalive)
        _wait_for(self._start(report_first=True))
        self._core.outcome()
        return MQTT_ERR_SUCCESS

    def connect_async(self, host: str, port: int = 1883, keepalive: int = 60) -> None:
        """Connect when `loop_start` is called, and go on trying until it works."""
        self._address = (host, port, keepalive)
        self._connect_with_loop = True
        if self._dispatcher.running:
            self._connect_now()

    def reconnect(self) -> MQTTErrorCode:
        """Do as `connect` did the last time.

        Raises:
            ValueError: There was no last time.
            OSError: As `connect`.
        """
        if self._address is None:
            raise ValueError("there is no host to connect to again: call connect() first")
        return self.connect(*self._address)

    def _connect_now(self) -> None:
        self._connect_with_loop = False
        os.close(self._start(report_first=False))

    def _start(self, *, report_first: bool) -> int:
        host, port, keepalive = self._address or ("localhost", 1883, 60)
        return self._core.connect(
            host=host,
            port=port,
            client_id=self.client_id,
            clean_session=self.clean_session,
            username=self._username,
            password=self._password,
            keep_alive=keepalive,
            connect_timeout=self.connect_timeout,
            will=self._will,
            max_packet_size=self.max_packet_size,
            report_first=report_first,
        )

    def disconnect(self) -> MQTTErrorCode:
        """Send DISCONNECT, so that no will is published, and stop reconnecting.

        `on_disconnect` follows with rc 0: from the dispatcher's thread, or from here where that
        does not run.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` where there was no connection.
        """
        self._connect_with_loop = False
        was_open = self._core.is_open()
        if self._dispatcher.running:
            self._close_unused(self._core.disconnect(report=True))
        else:
            if was_open:
                self._log(MQTT_LOG_DEBUG, "Sending DISCONNECT")
            self._wait_for_end(self._core.disconnect(report=False))
            if was_open:
                self._disconnected(MQTT_ERR_SUCCESS)
        return MQTT_ERR_SUCCESS if was_open else MQTT_ERR_NO_CONN

    def loop_start(self) -> MQTTErrorCode:
        """Start calling handlers. Returns ``MQTT_ERR_INVAL`` where that is done already."""
        if self._dispatcher.running:
            return MQTT_ERR_INVAL
        self._dispatcher.start()
        if self._connect_with_loop:
            self._connect_now()
        return MQTT_ERR_SUCCESS

    def loop_stop(self) -> MQTTErrorCode:
        """Stop calling handlers, after the one that is running.

        The connection stays, and events wait. Returns ``MQTT_ERR_INVAL`` where nothing was started.
        """
        if not self._dispatcher.running:
            return MQTT_ERR_INVAL
        if not self._dispatcher.stop(STOP_TIMEOUT) and not self._dispatcher.is_current_thread:
            logger.warning("An MQTT handler is still running after %s s", STOP_TIMEOUT)
        return MQTT_ERR_SUCCESS

    def is_connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        return self._core.is_connected()

    def close(self) -> None:
        """End the connection with a DISCONNECT and wait, for a bounded time, for its thread."""
        # In a forked child the thread, and so the connection, is the parent's.
        if os.getpid() == self._pid:
            self._connect_with_loop = False
            self._wait_for_end(self._core.disconnect(report=False))

    def _wait_for_end(self, descriptor: int | None) -> None:
        if descriptor is not None and not _wait_for(descriptor, GOODBYE_TIMEOUT):
            logger.warning("The MQTT connection did not end within %s s", GOODBYE_TIMEOUT)

    def _close_unused(self, descriptor: int | None) -> None:
        if descriptor is not None:
            os.close(descriptor)

    # -- messages and subscriptions ---------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: str | bytes | bytearray | float | None = None,
        qos: int = 0,
        retain: bool = False,
    ) -> tuple[int, int]:
        """Publish a message.

        Args:
            topic: Topic name, without wildcards.
            payload: Text is sent as UTF-8, a number as its text, None as nothing.
            qos: 0, 1 or 2.
            retain: Whether the broker keeps it for later subscribers.

        Returns:
            ``(rc, mid)``. ``MQTT_ERR_SUCCESS``: accepted for sending. ``MQTT_ERR_NO_CONN``: not
            connected; QoS 0 is dropped, QoS 1 and 2 are sent after the next connect.
            ``MQTT_ERR_QUEUE_SIZE``: so much waits for the broker that there was no room within
            ten seconds.

        Raises:
            TypeError: The payload has another type.
            ValueError: The topic, QoS or size is not allowed (MQTT 3.1.1, section 3.3).
        """
        result = self._core.publish(topic, payload, qos, retain)
        if result[0] == MQTT_ERR_QUEUE_SIZE and self._core.is_open():
            return self._publish_when_there_is_room(topic, payload, qos, retain)
        return result

    def _publish_when_there_is_room(self, *message: Any) -> tuple[int, int]:
        deadline = time.monotonic() + PUBLISH_TIMEOUT
        while True:
            # The waiter comes first, so that no room is missed between a refusal and the wait.
            waiter = self._core.room()
            result = self._core.publish(*message)
            left = deadline - time.monotonic()
            if result[0] != MQTT_ERR_QUEUE_SIZE or left <= 0:
                os.close(waiter)
                return result
            _wait_for(waiter, left)

    def subscribe(
        self, topic: str | tuple[str, int] | list[Any], qos: int = 0
    ) -> tuple[int, int | None]:
        """Subscribe to a filter, a tuple ``(filter, qos)``, or a list of either.

        Returns:
            ``(rc, mid)``, or ``(MQTT_ERR_NO_CONN, None)`` without a connection; the subscription is
            made with the next one then, as with every later one.

        Raises:
            ValueError: A filter or QoS is not allowed, or the argument has another form.
        """
        return self._core.subscribe(subscription_list(topic, qos), self._in_on_connect)

    def unsubscribe(self, topic: str | list[str]) -> tuple[int, int | None]:
        """Unsubscribe from a filter or a list of filters. Returns as `subscribe` does.

        Raises:
            ValueError: A filter is not allowed, or the argument has another form.
        """
        filters = topic if isinstance(topic, list) else [topic]
        if not filters or not all(isinstance(item, str) for item in filters):
            raise ValueError(f"invalid topic {topic!r}: it must be a filter or a list of filters")
        return self._core.unsubscribe(filters)


def subscription_list(topic: Any, qos: int) -> list[tuple[str, int]]:
    """Return the filters that an argument of `subscribe` stands for, each with its QoS.

    Raises:
        TypeError: A QoS is no integer.
        ValueError: The argument has another form.
    """
    items = topic if isinstance(topic, list) else [topic]
    if not items:
        raise ValueError("the list of topics is empty")
    filters = []
    for item in items:
        pair = (item, 0 if isinstance(topic, list) else qos) if isinstance(item, str) else item
        if (
            not isinstance(pair, tuple)
            or len(pair) != 2  # noqa: PLR2004 - filter and QoS
            or not isinstance(pair[0], str)
        ):
            raise ValueError(
                f"invalid topic {item!r}: it must be a filter, a tuple (filter, qos) or a list"
            )
        if not isinstance(pair[1], int):
            raise TypeError(f"invalid QoS {pair[1]!r} for {pair[0]!r}: it must be 0, 1 or 2")
        filters.append(pair)
    return filters


def _wait_for(descriptor: int, timeout: float | None = None) -> bool:
    """Wait until a descriptor of the core's reads as closed. A green thread waits as one."""
    waiter = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=descriptor)
    with waiter:
        waiter.settimeout(timeout)
        try:
            waiter.recv(1)
        except TimeoutError:
            return False
    return True


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


@atexit.register
def _close_clients() -> None:
    """Say good-bye to the brokers when the process ends, so that they publish no will."""
    for client in list(_clients):
        client.close()
