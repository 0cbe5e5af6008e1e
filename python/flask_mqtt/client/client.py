"""The client behind :class:`flask_mqtt.Mqtt`, in the shape of paho's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from .._core import Client as CoreClient
from ..discretion import discreet
from ..dispatch.tap import message_out
from ..paho.constants import (
    MQTT_ERR_NOT_FOUND,
    MQTT_ERR_SUCCESS,
    MQTTv5,
    MQTTv311,
)
from ..paho.enums import CallbackAPIVersion, MQTTErrorCode
from ..paho.subscribeoptions import uses_options, wanted
from ..process.members import leave
from ..publishing.info import MQTTMessageInfo
from ..stats import Stats, collect
from .attributes import Attributes
from .base import make_parts
from .connecting import Connecting
from .decorators import Decorators
from .handlers import ATTRIBUTES, Handlers
from .kept_names import KeptNames
from .loops import Loops
from .settings import Settings
from .unsupported import Unsupported

_LAST_MID = 65_535


class Client(Connecting, Settings, Attributes, Handlers, Decorators, Loops, KeptNames, Unsupported):
    """An MQTT client. A Rust thread has the connection; `loop_start` and its like call handlers.

    :class:`flask_mqtt.Mqtt` has one as ``mqtt.client``; handlers get it as their first argument.

    What is said of arguments at the ``on_*`` attributes is `CallbackAPIVersion.VERSION1`. With
    `VERSION2`, and every version of MQTT, a handler always gets five:

    - `on_connect`: ``(client, userdata, ConnectFlags, ReasonCode, Properties)``
    - `on_disconnect`: ``(client, userdata, DisconnectFlags, ReasonCode, Properties)``
    - `on_publish`: ``(client, userdata, mid, ReasonCode, Properties)``
    - `on_subscribe`, `on_unsubscribe`: ``(client, userdata, mid, list[ReasonCode], Properties)``
    """

    @discreet
    def __init__(
        self,
        callback_api_version: CallbackAPIVersion = CallbackAPIVersion.VERSION1,
        client_id: str | bytes | None = "",
        clean_session: bool | None = None,
        userdata: Any = None,
        protocol: int = MQTTv311,
        transport: Literal["tcp", "websockets", "unix"] = "tcp",
        reconnect_on_failure: bool = True,
        manual_ack: bool = False,
    ) -> None:
        """Make a client without a connection.

        Args:
            callback_api_version: Which arguments handlers get.
            client_id: Client identifier; empty or None lets the broker choose one (MQTT 3.1.1,
                3.1.3.1).
            clean_session: Whether the broker forgets the session with the connection (3.1.2.4); it
                does by default. With MQTT 5 that is `connect`'s ``clean_start``.
            userdata: Given to every handler.
            protocol: ``MQTTv31``, ``MQTTv311`` or ``MQTTv5``.
            transport: How brokers are reached.
            reconnect_on_failure: Whether a connection that was lost is made again.
            manual_ack: Whether the application acknowledges messages itself, with `ack`.

        Raises:
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        version = _checked_version(callback_api_version)
        _check_session(clean_session, client_id, protocol)
        # A property of a subclass may look at them.
        self._parts = make_parts(self, CoreClient(), version, userdata, ATTRIBUTES)
        self._parts.settings.change(
            client_id=client_id,
            clean_session=clean_session is None or clean_session,
            protocol_version=protocol,
            transport=transport,
            reconnect_on_failure=reconnect_on_failure,
        )
        self._parts.connection.handlers_changed()
        self.manual_ack_set(manual_ack)

    @discreet
    def reinitialise(
        self, client_id: str = "", clean_session: bool = True, userdata: Any = None
    ) -> None:
        """End the connection, and be as a new client with these arguments.

        Handlers, settings, subscriptions and messages are forgotten, also those that `publish` has
        accepted. The version of the callback API stays, and the application of `Mqtt`, whose next
        `init_app` subscribes again and registers its routes again. Where an argument is refused,
        everything is as before.

        Args:
            client_id: As that of the constructor.
            clean_session: As that of the constructor.
            userdata: As that of the constructor.

        Raises:
            RuntimeError: A handler of this client called it.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        if self._parts.dispatcher.is_current_thread:
            raise RuntimeError(
                "reinitialise() ends what calls the handlers: no handler can call it"
            )
        _check_session(clean_session, client_id, MQTTv311)
        before = self._parts
        before.holder.notice_fork()
        # Refuse arguments first, so that a refusal leaves the client as it is.
        version, hooks = before.registry.version, before.registry.hooks
        parts = make_parts(self, CoreClient(), version, userdata, ATTRIBUTES)
        parts.settings.change(client_id=client_id, clean_session=clean_session)
        was_open = before.holder.core.is_open()
        self.loop_stop()
        before.connection.end()
        before.registry.forget()
        if was_open:
            # The handlers are forgotten, so only the extension is told.
            before.events.disconnected(MQTT_ERR_SUCCESS)
        if hooks is not None:
            parts.registry.hooks = replace(hooks, shown={})
        if before.dispatcher.app is not None:
            parts.dispatcher.bind(before.dispatcher.app)
        parts.connection.sharing.use(before.connection.sharing.group)
        self._parts = parts
        parts.connection.handlers_changed()
        leave(before.connection)

    def publish(
        self,
        topic: str,
        payload: str | bytes | bytearray | float | None = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
    ) -> MQTTMessageInfo:
        """Publish a message.

        Args:
            topic: Topic name, without wildcards.
            payload: Text is sent as UTF-8, a number as its text, None as nothing.
            qos: 0, 1 or 2.
            retain: Whether the broker keeps it for later subscribers.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``(rc, mid)``, which also tells what becomes of the message: see `MQTTMessageInfo`.
            ``MQTT_ERR_SUCCESS``: accepted for sending. ``MQTT_ERR_NO_CONN``: not
            connected; QoS 0 is dropped, QoS 1 and 2 are sent after the next connect.
            ``MQTT_ERR_QUEUE_SIZE``: so much waits for the broker that there was no room within
            ``MQTT_PUBLISH_TIMEOUT``, or as many messages as ``max_queued`` allows. A handler does
            not wait where it would be in vain: when nothing more is read, and so no
            acknowledgement, before it has returned.
            ``MQTT_ERR_PAYLOAD_SIZE``, ``MQTT_ERR_NOT_SUPPORTED``: the broker has said that it takes
            no packet so large, or no such QoS or retained message (MQTT 5). ``MQTT_ERR_ERRNO``: it
            could not be stored in ``MQTT_PERSISTENCE``, or the process ends, and it is not sent.

        Raises:
            TypeError: The payload or a property has another type.
            ValueError: The topic, QoS, size or a property is not allowed (MQTT 3.1.1, section 3.3),
                or there are properties before MQTT 5.
        """
        parts = self._parts
        if properties is not None:
            parts.settings.need_5("properties")
        info = parts.holder.core.publish(topic, payload, qos, retain, properties)
        if info is None:
            info = parts.publisher.publish_when_there_is_room(
                parts.settings.config.publish_timeout, topic, payload, qos, retain, properties
            )
        storing = info._storing if qos else None  # noqa: SLF001 - the core has put it there
        if storing is not None:
            info = parts.publisher.when_stored(info, storing, parts.settings.config.publish_timeout)
        if parts.observers:
            told = message_out(topic, payload, qos, retain, info.rc, info.mid)
            parts.dispatcher.tap.tell(told)
        return info

    def stats(self) -> Stats:
        """Return the counters since the client was made, and what is queued now.

        It can be asked in every thread, in handlers, and with or without a connection. The numbers
        are of one moment, and go on when a connection is made again.

        Returns:
            A new dict, of dicts, numbers, texts, booleans and None: `Stats`.
        """
        self._parts.holder.notice_fork()
        dispatcher = self._parts.dispatcher
        return collect(self._parts.holder.core, dispatcher.dropped, dispatcher.handler_times())

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledge a message that a handler got, with ``manual_ack``.

        Args:
            mid: The message's ``mid``.
            qos: The message's ``qos``.

        Returns:
            ``MQTT_ERR_SUCCESS``, also without ``manual_ack`` and for QoS 0, where there is nothing
            to do. ``MQTT_ERR_NOT_FOUND``: no such message waits for it, perhaps because the
            connection it came with has ended, and the broker sends it again. ``MQTT_ERR_NO_CONN``:
            there is no connection.

        Raises:
            TypeError: A value is no number.
            ValueError: There is no such QoS.
        """
        if not self._parts.dispatcher.manual_ack or qos == 0:
            return MQTT_ERR_SUCCESS
        for name, value in (("mid", mid), ("qos", qos)):
            if not isinstance(value, int):
                raise TypeError(f"{name} {value!r}: it must be a number, the message's {name}")
        if not 0 < mid <= _LAST_MID:
            return MQTT_ERR_NOT_FOUND
        self._parts.holder.notice_fork()
        return self._parts.holder.core.acknowledge(mid, qos)

    def manual_ack_set(self, on: bool) -> None:
        """Choose who acknowledges messages with QoS 1 and 2.

        Args:
            on: Whether the application does, with `ack`. Otherwise a message is acknowledged when
                its handlers have returned.
        """
        self._parts.dispatcher.manual_ack = bool(on)

    def subscribe(
        self, topic: Any, qos: int = 0, options: Any = None, properties: Any = None
    ) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe.

        Args:
            topic: A filter, a tuple ``(filter, qos)``, or a list of either. With MQTT 5
                `SubscribeOptions` may stand in place of a QoS.
            qos: The highest QoS wanted, for a single filter.
            options: For MQTT 5, in place of the QoS: `SubscribeOptions`.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``(rc, mid)``, or ``(MQTT_ERR_NO_CONN, None)`` without a connection; the subscription is
            made with the next one then, as with every later one. ``(MQTT_ERR_SUCCESS, None)`` where
            all 65,535 packet identifiers are in use: it is made as soon as one is free.

        Raises:
            TypeError: A QoS or property has the wrong type.
            ValueError: A filter, QoS or property is not allowed, the argument has another form, or
                there are options or properties before MQTT 5.
        """
        self._parts.settings.check_properties(properties)
        if uses_options(topic, options):
            self._parts.settings.need_5("options")
        filters = self._parts.connection.sharing.subscriptions(wanted(topic, qos, options))
        self._parts.holder.notice_fork()
        return self._parts.holder.core.subscribe(
            filters, properties, self._parts.events.is_in_on_connect
        )

    def unsubscribe(
        self, topic: str | list[str], properties: Any = None
    ) -> tuple[MQTTErrorCode, int | None]:
        """Unsubscribe from a filter or a list of filters.

        Args:
            topic: The filter, or a list.
            properties: For MQTT 5: a `Properties` object or a dict.

        Returns:
            ``(rc, mid)``, or ``(MQTT_ERR_NO_CONN, None)`` without a connection: the next one does
            not subscribe to the filter, and sends UNSUBSCRIBE where the broker has kept the session
            (MQTT 3.1.1, 3.1.2.4). ``(MQTT_ERR_SUCCESS, None)`` as from `subscribe`.

        Raises:
            ValueError: A filter is not allowed, the argument has another form, or there are
                properties before MQTT 5.
        """
        self._parts.settings.check_properties(properties)
        filters = topic if isinstance(topic, list) else [topic]
        if not filters or not all(isinstance(item, str) for item in filters):
            raise ValueError(f"invalid topic {topic!r}: it must be a filter or a list of filters")
        filters = [self._parts.connection.sharing.filter(item) for item in filters]
        self._parts.holder.notice_fork()
        return self._parts.holder.core.unsubscribe(filters, properties)


def _checked_version(version: Any) -> CallbackAPIVersion:
    if isinstance(version, str):
        raise TypeError(
            f"callback_api_version {version!r}: the client identifier comes second, or as "
            f"client_id={version!r}; the first argument is a CallbackAPIVersion"
        )
    try:
        # Another class with this attribute is paho's.
        return CallbackAPIVersion(getattr(version, "value", version))
    except ValueError:
        reason = "it must be CallbackAPIVersion.VERSION1 or CallbackAPIVersion.VERSION2"
        raise ValueError(f"callback_api_version {version!r}: {reason}") from None


def _check_session(
    clean_session: bool | None, client_id: str | bytes | None, protocol: int
) -> None:
    if protocol == MQTTv5 and clean_session is not None:
        raise ValueError(
            f"clean_session {clean_session!r}: MQTT 5 has clean_start in its place, an argument of "
            "connect()"
        )
    if clean_session is not None and not clean_session and not client_id:
        raise ValueError(
            f"clean_session {clean_session!r}: it needs a client_id, by which the broker "
            "recognises the session"
        )
