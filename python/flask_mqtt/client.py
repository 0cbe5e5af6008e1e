"""The client behind :class:`flask_mqtt.Mqtt`, in the shape of paho's."""

from __future__ import annotations

import atexit
import logging
import os
import socket
import time
import weakref
from typing import Any, Literal

from .attempts import Attempts
from .config import Config
from .constants import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_AGAIN,
    MQTT_ERR_INVAL,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    MQTT_LOG_DEBUG,
    MQTTErrorCode,
    MQTTv311,
)
from .reasoncodes import ReasonCode
from .subscribeoptions import uses_options, wanted

logger = logging.getLogger("flask_mqtt")

#: How long a full queue makes `publish` wait, in seconds.
PUBLISH_TIMEOUT = 10.0

#: How long a handler that is running may hold up `loop_stop`, in seconds.
STOP_TIMEOUT = 5.0

#: How long the good-bye to a broker may take, in seconds.
GOODBYE_TIMEOUT = 0.7


class Client(Attempts):
    """An MQTT client. A Rust thread has the connection, a Python thread calls the handlers.

    :class:`flask_mqtt.Mqtt` has one as ``mqtt.client``; handlers get it as their first argument.
    """

    def __init__(
        self,
        client_id: str = "",
        clean_session: bool = True,
        userdata: Any = None,
        protocol: int = MQTTv311,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
    ) -> None:
        """Make a client without a connection.

        Args:
            client_id: Client identifier; empty lets the broker choose one (MQTT 3.1.1, 3.1.3.1).
            clean_session: Whether the broker forgets the session with the connection (3.1.2.4).
            userdata: Given to every handler.
            protocol: ``MQTTv31``, ``MQTTv311`` or ``MQTTv5``.
            transport: How brokers are reached.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        super().__init__(userdata)
        self.settings = Config()
        self.configure(
            client_id=client_id,
            clean_session=clean_session,
            protocol_version=protocol,
            transport=transport,
        )
        self._connect_with_loop = False
        self._connected_before = False
        self._pid = os.getpid()
        _clients.add(self)

    # -- the connection ---------------------------------------------------------------------------

    def connect(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Any = None,
    ) -> MQTTErrorCode:
        """Open a connection and return when the broker has been reached.

        That is when TCP, and TLS and the websocket where there are some, are there. A connection
        that there is ends first. Lost later, it is made again until `disconnect`.

        Args:
            host: Host name or address, a URL, or the path of a unix socket with that transport.
            port: TCP port.
            keepalive: Seconds between packets before a PINGREQ; 0 switches that off.
            bind_address: Local address to connect from.
            bind_port: 0; the system chooses the local port.
            clean_start: For MQTT 5: True or False replaces ``clean_session``. By default that holds
                until the broker has accepted a connection, and the session goes on with the next
                (MQTT 5.0, 3.1.2.4).
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``. What the broker answers is `on_connect`'s.

        Raises:
            OSError: ``ConnectionRefusedError``, ``socket.gaierror``, ``ssl.SSLError``,
                ``TimeoutError`` and so on.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._aim(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        return self.open()

    def connect_async(
        self,
        host: str,
        port: int = 1883,
        keepalive: int = 60,
        bind_address: str = "",
        bind_port: int = 0,
        clean_start: bool | int = MQTT_CLEAN_START_FIRST_ONLY,
        properties: Any = None,
    ) -> None:
        """Connect when `loop_start` is called, and go on trying until it works.

        The arguments are those of `connect`.
        """
        self._aim(host, port, keepalive, bind_address, bind_port, clean_start, properties)
        self.open_async()

    def reconnect(self) -> MQTTErrorCode:
        """Do as `connect` did the last time.

        Raises:
            ValueError: There was no last time.
            OSError: As `connect`.
        """
        if not self._connected_before:
            raise ValueError("there is no host to connect to again: call connect() first")
        return self.open()

    def open(self) -> MQTTErrorCode:
        """Connect as `connect` does, with the present settings."""
        self._connect_with_loop = False
        self._connected_before = True
        _wait_for(self._start(report_first=True))
        self._core.outcome()
        return MQTT_ERR_SUCCESS

    def open_async(self) -> None:
        """Connect as `connect_async` does, with the present settings."""
        self._connected_before = True
        self._connect_with_loop = True
        if self._dispatcher.running:
            self._connect_now()

    def _connect_now(self) -> None:
        os.close(self._start(report_first=False))
        self._connect_with_loop = False

    def disconnect(self, reasoncode: int | None = None, properties: Any = None) -> MQTTErrorCode:
        """Send DISCONNECT, so that no will is published, and stop reconnecting.

        `on_disconnect` follows with rc 0: from the dispatcher's thread, or from here where that
        does not run.

        Args:
            reasoncode: For MQTT 5: why, as a number or a `ReasonCode`; 4 has the will published.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``, or ``MQTT_ERR_NO_CONN`` where there was no connection.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed, or there is one before MQTT 5.
        """
        self._check_properties(properties)
        reason = 0
        if reasoncode is not None:
            self._need_5("reasoncode")
            # Another class with this attribute is paho's.
            number = getattr(reasoncode, "value", reasoncode)
            if not isinstance(number, int):
                raise TypeError(f"reasoncode {number!r}: it must be a number or a ReasonCode")
            reason = int(ReasonCode(number))
        self._connect_with_loop = False
        was_open = self._core.is_open()
        if self._dispatcher.running:
            self._close_unused(
                self._core.disconnect(report=True, reason=reason, properties=properties)
            )
        else:
            if was_open:
                self._log(MQTT_LOG_DEBUG, "Sending DISCONNECT")
            self._wait_for_end(
                self._core.disconnect(report=False, reason=reason, properties=properties)
            )
            if was_open:
                self._disconnected(MQTT_ERR_SUCCESS)
        return MQTT_ERR_SUCCESS if was_open else MQTT_ERR_NO_CONN

    def loop_start(self) -> MQTTErrorCode:
        """Start calling handlers. Returns ``MQTT_ERR_INVAL`` where that is done already."""
        if self._dispatcher.running:
            return MQTT_ERR_INVAL
        # A bad file is an exception here, which leaves no thread behind.
        if self._connect_with_loop:
            self._connect_now()
        self._dispatcher.start()
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
            self._wait_for_end(self._core.disconnect(report=False, reason=0, properties=None))

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
        properties: Any = None,
    ) -> tuple[int, int]:
        """Publish a message.

        Args:
            topic: Topic name, without wildcards.
            payload: Text is sent as UTF-8, a number as its text, None as nothing.
            qos: 0, 1 or 2.
            retain: Whether the broker keeps it for later subscribers.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``(rc, mid)``. ``MQTT_ERR_SUCCESS``: accepted for sending. ``MQTT_ERR_NO_CONN``: not
            connected; QoS 0 is dropped, QoS 1 and 2 are sent after the next connect.
            ``MQTT_ERR_QUEUE_SIZE``: so much waits for the broker that there was no room within
            ten seconds, or as many messages as ``max_queued`` allows. ``MQTT_ERR_PAYLOAD_SIZE``,
            ``MQTT_ERR_NOT_SUPPORTED``: the broker has said that it takes no packet so large, or no
            such QoS or retained message (MQTT 5).

        Raises:
            TypeError: The payload or a property has another type.
            ValueError: The topic, QoS, size or a property is not allowed (MQTT 3.1.1, section 3.3),
                or there are properties before MQTT 5.
        """
        if properties is not None:
            self._need_5("properties")
        result = self._core.publish(topic, payload, qos, retain, properties)
        if result[0] == MQTT_ERR_AGAIN:
            return self._publish_when_there_is_room(topic, payload, qos, retain, properties)
        return result

    def _publish_when_there_is_room(self, *message: Any) -> tuple[int, int]:
        deadline = time.monotonic() + PUBLISH_TIMEOUT
        while True:
            # The waiter comes first, so that no room is missed between a refusal and the wait.
            waiter = self._core.room()
            result = self._core.publish(*message)
            left = deadline - time.monotonic()
            if result[0] != MQTT_ERR_AGAIN:
                os.close(waiter)
                return result
            if left <= 0 or not self._core.is_open():
                os.close(waiter)
                return MQTT_ERR_QUEUE_SIZE, 0
            _wait_for(waiter, left)

    def subscribe(
        self, topic: Any, qos: int = 0, options: Any = None, properties: Any = None
    ) -> tuple[int, int | None]:
        """Subscribe.

        Args:
            topic: A filter, a tuple ``(filter, qos)``, or a list of either. With MQTT 5
                `SubscribeOptions` may stand in place of a QoS.
            qos: The highest QoS wanted, for a single filter.
            options: For MQTT 5, in place of the QoS: `SubscribeOptions`.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``(rc, mid)``, or ``(MQTT_ERR_NO_CONN, None)`` without a connection; the subscription is
            made with the next one then, as with every later one.

        Raises:
            TypeError: A QoS or property has the wrong type.
            ValueError: A filter, QoS or property is not allowed, the argument has another form, or
                there are options or properties before MQTT 5.
        """
        self._check_properties(properties)
        if uses_options(topic, options):
            self._need_5("options")
        filters = wanted(topic, qos, options)
        return self._core.subscribe(filters, properties, self._in_on_connect)

    def unsubscribe(self, topic: str | list[str], properties: Any = None) -> tuple[int, int | None]:
        """Unsubscribe from a filter or a list of filters. Returns as `subscribe` does.

        Args:
            topic: The filter, or a list.
            properties: For MQTT 5: a `Properties` object or a dict.

        Raises:
            ValueError: A filter is not allowed, the argument has another form, or there are
                properties before MQTT 5.
        """
        self._check_properties(properties)
        filters = topic if isinstance(topic, list) else [topic]
        if not filters or not all(isinstance(item, str) for item in filters):
            raise ValueError(f"invalid topic {topic!r}: it must be a filter or a list of filters")
        return self._core.unsubscribe(filters, properties)


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
