"""Names of paho's client with one underscore, which published programs use all the same.

They are kept for compatibility. What is assigned holds from the next connection on.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from ..config.checks import payload_bytes
from ..discretion import discreet
from ..paho.enums import CallbackAPIVersion, MQTTProtocolVersion
from .base import Base, parts_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class _Setting:
    """A setting, by its name here."""

    def __init__(self, name: str) -> None:
        self._setting = name

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self
        return getattr(parts_of(instance).settings.config, self._setting)

    @discreet
    def __set__(self, instance: Any, value: Any) -> None:
        parts_of(instance).settings.change(**{self._setting: value})


class _Binary(_Setting):
    """A text that paho keeps as bytes. It may be assigned as either."""

    def __get__(self, instance: Any, owner: type) -> Any:
        value = super().__get__(instance, owner)
        return value.encode() if isinstance(value, str) else value


class _HandlerName:
    """A handler, as ``on_connect`` and so on have it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._public = name[1:]

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else getattr(instance, self._public)

    def __set__(self, instance: Any, value: Callable[..., Any] | None) -> None:
        setattr(instance, self._public, value)


class KeptNames(Base):
    """The names. Each is read as paho's would be: texts of MQTT as bytes, no value as None."""

    _client_id = _Binary("client_id")
    _clean_session = _Setting("clean_session")
    _connect_timeout = _Setting("connection_timeout")
    _connect_properties = _Setting("connect_properties")
    _reconnect_on_failure = _Setting("reconnect_on_failure")
    _reconnect_min_delay = _Setting("reconnect_delay_min")
    _reconnect_max_delay = _Setting("reconnect_delay_max")
    _max_inflight_messages = _Setting("max_inflight")
    _max_queued_messages = _Setting("max_queued")
    _tls_insecure = _Setting("tls_insecure")
    _websocket_path = _Setting("ws_path")
    _websocket_extra_headers = _Setting("ws_headers")
    _will_qos = _Setting("last_will_qos")
    _will_retain = _Setting("last_will_retain")
    _will_properties = _Setting("last_will_properties")

    _on_connect = _HandlerName()
    _on_connect_fail = _HandlerName()
    _on_disconnect = _HandlerName()
    _on_log = _HandlerName()
    _on_message = _HandlerName()
    _on_pre_connect = _HandlerName()
    _on_publish = _HandlerName()
    _on_subscribe = _HandlerName()
    _on_unsubscribe = _HandlerName()

    @property
    def _host(self) -> str:
        return self._parts.connection.host

    @_host.setter
    @discreet
    def _host(self, value: str) -> None:
        self._parts.settings.change(broker_url=value)
        self._parts.connection.host_given()

    @property
    def _port(self) -> int:
        return self._parts.settings.first_broker.port

    @_port.setter
    def _port(self, value: int) -> None:
        self._parts.settings.change(broker_port=value)

    @property
    def _keepalive(self) -> int:
        return self._parts.connection.keepalive

    @_keepalive.setter
    def _keepalive(self, value: int) -> None:
        self._parts.settings.change(keepalive=value)
        self._parts.events.reports.forget_keepalive()

    @property
    def _bind_address(self) -> str:
        return self._parts.settings.config.bind_address or ""

    @_bind_address.setter
    @discreet
    def _bind_address(self, value: str) -> None:
        self._parts.settings.change(bind_address=value or None)

    @property
    def _transport(self) -> str:
        return self._parts.settings.first_broker.transport

    @_transport.setter
    @discreet
    def _transport(self, value: str) -> None:
        self._parts.settings.change(transport=value)

    @property
    def _protocol(self) -> MQTTProtocolVersion:
        return MQTTProtocolVersion(self._parts.settings.config.protocol_version)

    @_protocol.setter
    def _protocol(self, value: int) -> None:
        self._parts.settings.change(protocol_version=value)

    @property
    def _username(self) -> bytes | None:
        return _binary(self._parts.settings.first_broker.username)

    @_username.setter
    @discreet
    def _username(self, value: str | bytes | None) -> None:
        self._parts.settings.change(username=value)

    @property
    def _password(self) -> bytes | None:
        return _binary(self._parts.settings.first_broker.password)

    @_password.setter
    @discreet
    def _password(self, value: str | bytes | None) -> None:
        self._parts.settings.change(password=value)

    @property
    def _userdata(self) -> Any:
        return self._parts.dispatcher.userdata

    @_userdata.setter
    def _userdata(self, value: Any) -> None:
        self._parts.dispatcher.userdata = value

    @property
    def _callback_api_version(self) -> CallbackAPIVersion:
        return self._parts.registry.version

    @property
    def _thread(self) -> threading.Thread | None:
        """The thread of `loop_start`, or None."""
        self._parts.holder.notice_fork()
        return self._parts.dispatcher.thread

    @property
    def _ssl(self) -> bool:
        return self._parts.settings.first_broker.tls

    @property
    def _ssl_context(self) -> ssl.SSLContext | None:
        """None without TLS; else the context that was set, or one that has no effect."""
        if not self._ssl:
            return None
        return self._parts.settings.config.tls_context or ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    @property
    def _will(self) -> bool:
        return self._parts.settings.config.last_will_topic is not None

    @property
    def _will_topic(self) -> bytes:
        return _binary(self._parts.settings.config.last_will_topic) or b""

    @property
    def _will_payload(self) -> bytes:
        return payload_bytes(self._parts.settings.config.last_will_message)


def _binary(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
