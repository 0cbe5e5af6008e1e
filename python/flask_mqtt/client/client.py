"""The client behind :class:`flask_mqtt.Mqtt`, in the shape of paho's."""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

from .._core import Delivery
from ..config import SET_ONCE, Config
from ..discretion import discreet
from ..handlers.scope import is_handler
from ..paho.constants import (
    MQTT_ERR_ERRNO,
    MQTT_ERR_NOT_FOUND,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    MQTTv5,
    MQTTv311,
)
from ..paho.enums import CallbackAPIVersion, MQTTErrorCode
from ..paho.subscribeoptions import uses_options, wanted
from ..publishing.info import MQTTMessageInfo
from ..records import fields, write
from ..stats import Stats, collect
from ..waiting import wait_for, wait_until_settled
from .decorators import Decorators
from .kept_names import KeptNames
from .unsupported import Unsupported

logger = logging.getLogger("flask_mqtt")

_LAST_MID = 65_535

#: How long at least a message may take to get into the file, in seconds: one that may not take any
#: time can never be kept.
_STORING_TIMEOUT = 1.0

#: How long a thread that has waited for room lets this grow. With 8 threads that publish with QoS 1
#: it takes the switches of threads from 0.37 to 0.10 and the CPU from 5.1 to 3.1 µs a message.
_MORE_ROOM_SECONDS = 0.001


class Client(KeptNames, Decorators, Unsupported):
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
        super().__init__(_checked_version(callback_api_version), userdata)
        self._connection_settings = self._adopted = Config()
        _check_session(clean_session, client_id, protocol)
        self._change_settings(
            client_id=client_id,
            clean_session=clean_session is None or clean_session,
            protocol_version=protocol,
            transport=transport,
            reconnect_on_failure=reconnect_on_failure,
        )
        self.manual_ack_set(manual_ack)

    @discreet
    def reinitialise(
        self, client_id: str = "", clean_session: bool = True, userdata: Any = None
    ) -> None:
        """End the connection, and be as a new client with these arguments.

        Handlers, settings, subscriptions and messages are forgotten, also those that `publish` has
        accepted. The version of the callback API stays, and the application of `Mqtt`.

        Args:
            client_id: As that of the constructor.
            clean_session: As that of the constructor.
            userdata: As that of the constructor.

        Raises:
            RuntimeError: A handler of this client called it.
            TypeError: A value has the wrong type.
            ValueError: A value is not allowed.
        """
        if self._dispatcher.is_current_thread:
            raise RuntimeError(
                "reinitialise() ends what calls the handlers: no handler can call it"
            )
        _check_session(clean_session, client_id, MQTTv311)
        self._notice_fork()
        was_open = self._core.is_open()
        self.loop_stop()
        self._end_connection()
        hooks, app = (self._connect_hook, self._disconnect_hook), self._dispatcher.app
        self._forget_handlers()
        if was_open:
            # Nobody but the extension hears of it.
            self._disconnected_event(MQTT_ERR_SUCCESS)
        self._has_host = False
        Client.__init__(self, self.callback_api_version, client_id, clean_session, userdata)
        self._connect_hook, self._disconnect_hook = hooks
        if app is not None:
            self._bind_app(app)

    def _adopt(self, values: Config, *, again: bool = False) -> Config:
        """Take over the values of the extension, which win over what was set on the client.

        Args:
            values: The values.
            again: Whether they were taken over before, so that what was set here since holds, if
                Flask-MQTT sets it once only.

        Returns:
            All settings: where the extension says nothing, what was set here is among them.
        """
        kept = SET_ONCE if again else ()
        settings = values.joined(self._connection_settings, self._adopted, kept)
        self._connection_settings, self._adopted = settings, values
        return settings

    def _runs_with(self, values: Config) -> bool:
        """Whether there is a connection, or one is tried, that these values would not change."""
        self._notice_fork()
        settings = values.joined(self._connection_settings, self._adopted)
        return self._core.is_wanted() and settings == self._used_settings

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
        if properties is not None:
            self._need_5("properties")
        info = self._core.publish(topic, payload, qos, retain, properties)
        if info is None:
            info = self._publish_when_there_is_room(topic, payload, qos, retain, properties)
        if qos and info._storing is not None:  # noqa: SLF001 - the core has put it there
            return self._when_stored(info, info._storing)  # noqa: SLF001 - as above
        return info

    def _when_stored(self, info: MQTTMessageInfo, storing: Delivery) -> MQTTMessageInfo:
        timeout = max(self._connection_settings.publish_timeout, _STORING_TIMEOUT)
        deadline = time.monotonic() + timeout
        while storing.is_pending():
            left = deadline - time.monotonic()
            if left <= 0 and self._core.withdraw(info.mid, storing):
                extra = fields(self._core, "not_stored", mid=info.mid, seconds=timeout)
                text = "Message %s was not stored within %s s"
                write(logger.error, text, info.mid, timeout, extra=extra)
                return MQTTMessageInfo((MQTT_ERR_ERRNO, 0))
            try:
                wait_until_settled(storing, max(left, 0.0))
            except BaseException:
                # As Ctrl-C. Who hears of no acceptance shall find none.
                self._core.withdraw(info.mid, storing)
                raise
        return info if storing.is_published() else MQTTMessageInfo((MQTT_ERR_ERRNO, 0))

    def _publish_when_there_is_room(self, *message: Any) -> MQTTMessageInfo:
        self._notice_fork()
        deadline = time.monotonic() + self._connection_settings.publish_timeout
        while True:
            # The waiter comes first, so that no room is missed between a refusal and the wait.
            waiter = self._core.room()
            info = self._core.publish(*message)
            left = deadline - time.monotonic()
            if info is not None:
                return info
            in_vain = self._core.is_stuck() and is_handler(self._core)
            if left <= 0 or in_vain or not self._core.is_open():
                self._core.turn_away()
                return MQTTMessageInfo((MQTT_ERR_QUEUE_SIZE, 0))
            if wait_for(waiter, left):
                # More messages than one get room by then: a wake-up for each would take most of
                # the time where several threads publish.
                time.sleep(min(left, _MORE_ROOM_SECONDS))

    def stats(self) -> Stats:
        """Return what was counted since the client was made, and what waits now.

        It can be asked in every thread, in handlers, and with or without a connection. The numbers
        are of one moment, and go on when a connection is made again.

        Returns:
            A new dict, of dicts, numbers, texts, booleans and None: `Stats`.
        """
        self._notice_fork()
        return collect(self._core, self._dispatcher)

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
        if not self._dispatcher.manual_ack or qos == 0:
            return MQTT_ERR_SUCCESS
        for name, value in (("mid", mid), ("qos", qos)):
            if not isinstance(value, int):
                raise TypeError(f"{name} {value!r}: it must be a number, the message's {name}")
        if not 0 < mid <= _LAST_MID:
            return MQTT_ERR_NOT_FOUND
        self._notice_fork()
        return self._core.acknowledge(mid, qos)

    def manual_ack_set(self, on: bool) -> None:
        """Choose who acknowledges messages with QoS 1 and 2.

        Args:
            on: Whether the application does, with `ack`. Otherwise a message is acknowledged when
                its handlers have returned.
        """
        self._dispatcher.manual_ack = bool(on)

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
        self._check_properties(properties)
        if uses_options(topic, options):
            self._need_5("options")
        filters = wanted(topic, qos, options)
        self._notice_fork()
        return self._core.subscribe(filters, properties, self._in_on_connect)

    def _forget(self, topics: list[str]) -> None:
        """Not subscribe to these filters any more from the next connection on."""
        self._notice_fork()
        self._core.forget(topics)

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
        self._check_properties(properties)
        filters = topic if isinstance(topic, list) else [topic]
        if not filters or not all(isinstance(item, str) for item in filters):
            raise ValueError(f"invalid topic {topic!r}: it must be a filter or a list of filters")
        self._notice_fork()
        return self._core.unsubscribe(filters, properties)


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
            f"clean_session {clean_session!r}: it needs a client_id, by which the broker knows the "
            "session again"
        )
