"""Connecting and disconnecting, in paho's shape."""

from __future__ import annotations

from typing import Any

from ..discretion import discreet
from ..paho.constants import MQTT_CLEAN_START_FIRST_ONLY
from ..paho.enums import MQTTErrorCode
from ..paho.reasoncodes import PacketTypes, ReasonCode
from .base import Base


class Connecting(Base):
    """The methods that connect, disconnect, and tell whether the client is connected."""

    @discreet
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

        Where this raises, automatic attempts follow, with the new arguments, if there was a
        connection, one was tried, or a loop runs. Otherwise they begin with `loop_start` or
        `loop_forever`.

        Args:
            host: Host name or address, a URL, or the path of a unix socket with that transport.
                Several URLs, with commas between them, are tried in turn.
            port: TCP port.
            keepalive: Seconds between packets before a PINGREQ; 0 switches that off.
            bind_address: Local address to connect from.
            bind_port: 0; the system chooses the local port.
            clean_start: For MQTT 5: True or False replaces ``clean_session``. By default that holds
                until the broker has accepted a connection, and the session goes on with the next
                (MQTT 5.0, 3.1.2.4).
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``MQTT_ERR_SUCCESS``. What the broker answers is `on_connect`'s. ``MQTT_ERR_NO_CONN``
            where another thread has called `disconnect`, `connect` or `reconnect` before there was
            a connection: what there is now is that call's.

        Raises:
            OSError: ``ConnectionRefusedError``, ``socket.gaierror``, ``ssl.SSLError``,
                ``TimeoutError`` and so on.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        self._parts.settings.aim(
            host, port, keepalive, bind_address, bind_port, clean_start, properties
        )
        return self._parts.connection.open()

    @discreet
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

        `loop_forever` connects too, and goes on trying where it is told to.

        The arguments are those of `connect`.
        """
        self._parts.settings.aim(
            host, port, keepalive, bind_address, bind_port, clean_start, properties
        )
        self._parts.connection.open_async()

    @discreet
    def reconnect(self) -> MQTTErrorCode:
        """Do as `connect` did the last time.

        Raises:
            ValueError: There was no last time.
            OSError: As `connect`.
        """
        if not self._parts.connection.has_host:
            raise ValueError("there is no host to connect to again: call connect() first")
        return self._parts.connection.open()

    @discreet
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
        self._parts.holder.notice_fork()
        self._parts.settings.check_properties(properties)
        reason = 0
        if reasoncode is not None:
            self._parts.settings.need_5("reasoncode")
            # Another class with this attribute is paho's.
            number = getattr(reasoncode, "value", reasoncode)
            if not isinstance(number, int):
                raise TypeError(f"reasoncode {number!r}: it must be a number or a ReasonCode")
            # With -1 a ReasonCode looks for a name.
            if number < 0:
                raise ValueError(f"reasoncode {number}: it must be from 0 to 255")
            reason = int(ReasonCode(PacketTypes.DISCONNECT, identifier=number))
        return self._parts.connection.disconnect(reason, properties)

    def is_connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        self._parts.holder.notice_fork()
        return self._parts.holder.core.is_connected()

    def close(self) -> None:
        """End the connection with a DISCONNECT and wait, for a bounded time, for its thread.

        The file of ``MQTT_PERSISTENCE`` is free for another process then.
        """
        self._parts.connection.close()
