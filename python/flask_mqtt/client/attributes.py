"""The attributes of a client, in paho's shape: the same values as those that methods set."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from ..config.checks import payload_bytes
from ..discretion import discreet
from ..paho.enums import MQTTProtocolVersion
from .base import Base, Parts

AttributesT = TypeVar("AttributesT", bound="Attributes")


class Attributes(Base):
    """Attributes that can be read at any time, and assigned only without a connection.

    Assigning raises ``RuntimeError`` while the client is connected or connecting, and ``TypeError``
    or ``ValueError`` for a value that is not allowed.
    """

    @property
    def host(self) -> str:
        """Host name or address of the broker, or the path of its socket; empty before `connect`."""
        return self._parts.connection.host

    @host.setter
    @discreet
    def host(self, value: str) -> None:
        if not value:
            raise ValueError(f"host {value!r}: it must be a host name, an address or a URL")
        _assign(self._parts, "host", broker_url=value)
        self._parts.connection.host_given()

    @property
    def port(self) -> int:
        """TCP port of the broker; 0 for a unix socket."""
        return self._parts.settings.first_broker.port

    @port.setter
    @discreet
    def port(self, value: int) -> None:
        _assign(self._parts, "port", broker_port=value)

    @property
    def keepalive(self) -> int:
        """Seconds between packets before a PINGREQ; 0 switches that off (3.1.1, 3.1.2.10).

        With MQTT 5 the broker may choose another number for its connection, which is read then
        (MQTT 5.0, 3.2.2.3.14).
        """
        return self._parts.connection.keepalive

    @keepalive.setter
    @discreet
    def keepalive(self, value: int) -> None:
        _assign(self._parts, "keepalive", keepalive=value)
        self._parts.events.reports.forget_keepalive()

    @property
    def transport(self) -> Literal["tcp", "websockets", "unix"]:
        """How the broker is reached."""
        return self._parts.settings.first_broker.transport

    @transport.setter
    @discreet
    def transport(self, value: Literal["tcp", "websockets", "unix"]) -> None:
        _assign(self._parts, "transport", transport=value)

    @property
    def protocol(self) -> MQTTProtocolVersion:
        """Version of MQTT."""
        return MQTTProtocolVersion(self._parts.settings.config.protocol_version)

    @property
    def connect_timeout(self) -> float:
        """Seconds that connecting may take, from TCP to the CONNACK."""
        return self._parts.settings.config.connection_timeout

    @connect_timeout.setter
    @discreet
    def connect_timeout(self, value: float) -> None:
        _assign(self._parts, "connect_timeout", connection_timeout=value)

    @property
    def username(self) -> str | None:
        """User name, or None for no authentication."""
        return self._parts.settings.first_broker.username

    @username.setter
    @discreet
    def username(self, value: str | None) -> None:
        _assign(self._parts, "username", username=value)

    @property
    def password(self) -> str | bytes | None:
        """Password, or None. It is bytes if it is not text."""
        return self._parts.settings.first_broker.password

    @password.setter
    @discreet
    def password(self, value: str | bytes | None) -> None:
        _assign(self._parts, "password", password=value)

    @property
    def max_inflight_messages(self) -> int:
        """How many messages with QoS 1 and 2 are on the way at once; 0 for no limit but MQTT's."""
        return self._parts.settings.config.max_inflight

    @max_inflight_messages.setter
    @discreet
    def max_inflight_messages(self, value: int) -> None:
        _assign(self._parts, "max_inflight_messages", max_inflight=value)

    @property
    def max_queued_messages(self) -> int:
        """How many QoS 1 and 2 messages may be queued beyond those in flight; 0 for no limit."""
        return self._parts.settings.config.max_queued

    @max_queued_messages.setter
    @discreet
    def max_queued_messages(self, value: int) -> None:
        _assign(self._parts, "max_queued_messages", max_queued=value)

    def max_inflight_messages_set(self, inflight: int) -> None:
        """Do as assigning ``max_inflight_messages`` does."""
        self.max_inflight_messages = inflight

    def max_queued_messages_set(self: AttributesT, queue_size: int) -> AttributesT:
        """Do as assigning ``max_queued_messages`` does. Returns the client."""
        self.max_queued_messages = queue_size
        return self

    @property
    def will_topic(self) -> str:
        """Topic of the will; empty without one. `will_set` sets it."""
        return self._parts.settings.config.last_will_topic or ""

    @property
    def will_payload(self) -> bytes:
        """Payload of the will, as it is sent; empty without one. `will_set` sets it."""
        return payload_bytes(self._parts.settings.config.last_will_message)


def _assign(parts: Parts, attribute: str, **values: Any) -> None:
    parts.holder.notice_fork()
    if parts.connection.is_wanted:
        raise RuntimeError(
            f"{attribute} cannot be assigned while there is a connection, or one is made: "
            "call disconnect() first"
        )
    parts.settings.change(**values)
