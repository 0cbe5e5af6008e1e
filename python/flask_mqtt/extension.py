"""The Flask extension."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from . import config
from .client import Client
from .constants import MQTT_ERR_NO_CONN, MQTT_ERR_SUCCESS
from .enums import MQTTErrorCode
from .handlers import check_decorated, with_parentheses
from .message import TopicQos
from .messageinfo import MQTTMessageInfo
from .records import fields
from .subscribeoptions import wanted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from flask import Flask
    from typing_extensions import Self

    from .stats import Stats

logger = logging.getLogger("flask_mqtt")

#: Looked up once: `publish` asks it about every message.
_is_enabled_for = logger.isEnabledFor

HandlerT = TypeVar("HandlerT", bound="Callable[..., Any]")


class Mqtt:
    """MQTT for a Flask application.

    Give it the application here, or later to :meth:`init_app`. Several brokers are several objects,
    each with a ``config_prefix`` of its own.
    """

    def __init__(
        self,
        app: Flask | None = None,
        connect_async: bool = False,
        mqtt_logging: bool = False,
        config_prefix: str = "MQTT",
    ) -> None:
        """Make the extension, and connect if there is an application.

        Args:
            app: The Flask application.
            connect_async: Return at once and go on trying, instead of raising when the broker
                cannot be reached.
            mqtt_logging: Log every packet to the logger ``flask_mqtt``.
            config_prefix: What the configuration keys begin with.

        Raises:
            OSError: See :meth:`init_app`.
            TypeError: See :meth:`init_app`.
            ValueError: See :meth:`init_app`.
        """
        self._connect_async = connect_async
        self.app = app
        self.client = Client()
        self.client._connect_hook = self._handle_connect
        self.client._disconnect_hook = self._handle_disconnect
        self.client._fork_hook = self._handle_fork
        self.connected = False
        self.topics: dict[str, TopicQos] = {}
        self.config_prefix = config_prefix
        self._given = self.client._connection_settings
        self._apply(config.Config())
        if mqtt_logging:
            self.client.enable_logger(logger)
        if app is not None:
            self.init_app(app, self.config_prefix)

    def init_app(self, app: Flask, config_prefix: str | None = None) -> None:
        """Read the configuration, connect, and register as ``app.extensions["mqtt"][prefix]``.

        Doing so again for the same application changes nothing.

        Args:
            app: The Flask application.
            config_prefix: What the configuration keys begin with; by default what was given to
                the constructor.

        Raises:
            ConnectionRefusedError: Nothing listens on the broker's port.
            socket.gaierror: The broker's host name cannot be resolved.
            TimeoutError: The broker did not answer within ``MQTT_CONNECTION_TIMEOUT``.
            ssl.SSLError: TLS failed; ``ssl.SSLCertVerificationError`` where the certificate of the
                broker is not trusted.
            OSError: The network says otherwise why the broker cannot be reached.
            TypeError: The application is none, or a key has a value of a wrong type. The message
                names both.
            ValueError: A key has a value that is not allowed. The message names both.
        """
        _check_app(app)
        if config_prefix is not None:
            self.config_prefix = config_prefix
        extensions = app.extensions.setdefault("mqtt", {})
        if extensions.get(self.config_prefix) is self and self._started:
            logger.debug("init_app again for the same application: the connection stays")
            return
        values = config.read(app.config, self.config_prefix)
        self.app = app
        self._apply(values)
        self.client._bind_app(app)
        extensions[self.config_prefix] = self
        self._connect()

    def _apply(self, values: config.Config) -> None:
        self._started = False
        self._values = values
        self.client_id = values.client_id
        self.clean_session = values.clean_session
        self.username = values.username
        self.password = values.password
        self.broker_url = values.broker_url
        self.broker_port = values.broker_port
        self.transport = values.transport
        self.ws_path = values.ws_path
        self.ws_headers = values.ws_headers
        self.proxy = values.proxy
        self.bind_address = values.bind_address
        self.tcp_nodelay = values.tcp_nodelay
        self.protocol_version = values.protocol_version
        self.connect_properties = values.connect_properties
        self.keepalive = values.keepalive
        self.connection_timeout = values.connection_timeout
        self.reconnect_delay_min = values.reconnect_delay_min
        self.reconnect_delay_max = values.reconnect_delay_max
        self.reconnect_on_failure = values.reconnect_on_failure
        self.last_will_topic = values.last_will_topic
        self.last_will_message = values.last_will_message
        self.last_will_qos = values.last_will_qos
        self.last_will_retain = values.last_will_retain
        self.last_will_properties = values.last_will_properties
        self.max_packet_size = values.max_packet_size
        self.max_inflight = values.max_inflight
        self.max_queued = values.max_queued
        self.max_outgoing_bytes = values.max_outgoing_bytes
        self.publish_timeout = values.publish_timeout
        self.max_incoming_messages = values.max_incoming_messages
        self.max_incoming_bytes = values.max_incoming_bytes
        self.incoming_overflow = values.incoming_overflow
        self.handler_threads = values.handler_threads
        self.persistence = values.persistence
        self.persistence_fsync = values.persistence_fsync
        self.tls_enabled = values.tls_enabled
        self.tls_ca_certs = values.tls_ca_certs
        self.tls_certfile = values.tls_certfile
        self.tls_keyfile = values.tls_keyfile
        self.tls_keyfile_password = values.tls_keyfile_password
        self.tls_cert_reqs = values.tls_cert_reqs
        self.tls_version = values.tls_version
        self.tls_ciphers = values.tls_ciphers
        self.tls_insecure = values.tls_insecure
        self.tls_alpn = values.tls_alpn
        self.tls_context = values.tls_context

    # -- the connection ---------------------------------------------------------------------------

    def _connect(self) -> None:
        # An application may have assigned other values since they were read.
        values = self._values.updated(vars(self))
        # It may also have set some on the client, as with tls_set.
        self.client._connection_settings = values.joined(
            self.client._connection_settings, self._given
        )
        self._given = values
        try:
            if self._connect_async:
                self.client._open_connection_async()
            else:
                self.client._open_connection()
                logger.debug("Client %r has reached a broker", self.client_id)
            self.client.loop_start()
        except OSError as error:
            extra = fields(self.client._core, "connect_failed", error=str(error))
            logger.error("MQTT: %s", error, extra=extra)  # noqa: TRY400 - the caller's traceback
            raise
        self._started = True

    def _disconnect(self) -> None:
        self._started = False
        self.client.loop_stop()
        self.client.disconnect()

    def close(self) -> None:
        """End the connection with a DISCONNECT, call `on_disconnect`, and join the threads."""
        self._disconnect()
        self.client.close()

    def __enter__(self) -> Self:
        """Return itself: ``with Mqtt(app) as mqtt`` ends with :meth:`close`."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def _handle_connect(
        self, client: Client, userdata: Any, flags: dict[str, int], rc: int
    ) -> None:
        if rc == MQTT_ERR_SUCCESS:
            self.connected = True
        client._call_on_connect(client, userdata, flags, rc)

    def _handle_disconnect(self, client: Client, userdata: Any, rc: int) -> None:
        self.connected = False
        client._call_on_disconnect(client, userdata, rc)

    def _handle_fork(self) -> None:
        # So that `init_app` connects in the child.
        self._started = self.connected = False

    # -- subscriptions and messages ---------------------------------------------------------------

    def subscribe(
        self, topic: Any, qos: int = 0, options: Any = None, properties: Any = None
    ) -> tuple[int, int | None]:
        """Subscribe, now and again after every reconnect.

        Args:
            topic: A filter, a tuple ``(filter, qos)``, or a list of either. With MQTT 5
                :class:`SubscribeOptions` may stand in place of a QoS.
            qos: The highest QoS wanted, 0, 1 or 2; for a single filter.
            options: For MQTT 5, in place of the QoS: :class:`SubscribeOptions`.
            properties: For MQTT 5: a :class:`Properties` object or a dict.

        Returns:
            ``(rc, mid)``. Without a connection ``(MQTT_ERR_NO_CONN, None)``: the subscription is
            made with the next one.

        Raises:
            TypeError: A QoS, an option or a property has the wrong type.
            ValueError: A filter, QoS or property is not allowed (MQTT 3.1.1, section 4.7), or there
                are options or properties before MQTT 5.
        """
        result, mid = self.client.subscribe(topic, qos, options, properties)
        if result in (MQTT_ERR_SUCCESS, MQTT_ERR_NO_CONN):
            for name, level, *_ in wanted(topic, qos, options):
                self.topics[name] = TopicQos(name, level)
        if result == MQTT_ERR_SUCCESS:
            logger.debug("Subscribing to %r, mid %s", topic, mid)
        elif result == MQTT_ERR_NO_CONN:
            logger.info("%r is subscribed to with the next connection", topic)
        else:
            self._log_refusal("Subscribing to %r failed: %s", topic, result)
        return result, mid

    def unsubscribe(self, topic: str, properties: Any = None) -> tuple[int, int | None] | None:
        """Unsubscribe from a filter.

        Args:
            topic: The filter, as it was subscribed to.
            properties: For MQTT 5: a :class:`Properties` object or a dict.

        Returns:
            ``(rc, mid)``; ``(MQTT_ERR_NO_CONN, None)`` without a connection, where the subscription
            stays; None for a filter that is not subscribed to.
        """
        if topic not in self.topics:
            return None
        result, mid = self.client.unsubscribe(topic, properties)
        if result == MQTT_ERR_SUCCESS:
            self.topics.pop(topic, None)
            logger.debug("Unsubscribing from %r, mid %s", topic, mid)
        else:
            self._log_refusal("Unsubscribing from %r failed: %s", topic, result)
        return result, mid

    def unsubscribe_all(self) -> bool:
        """Unsubscribe from every filter.

        Returns:
            Whether none is left in ``topics``.
        """
        for topic in list(self.topics):
            self.unsubscribe(topic)
        return not self.topics

    def publish(
        self,
        topic: str,
        payload: str | bytes | bytearray | float | None = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
    ) -> MQTTMessageInfo:
        """Publish a message. It may be called from every thread.

        Args:
            topic: Topic name, without wildcards.
            payload: Text is sent as UTF-8, an int or float as its text, None as nothing.
            qos: Quality of service: 0, 1 or 2.
            retain: Whether the broker keeps the message for later subscribers.
            properties: For MQTT 5: a :class:`Properties` object or a dict.

        Returns:
            ``(rc, mid)``, which can be awaited: a :class:`MQTTMessageInfo`. ``MQTT_ERR_SUCCESS``:
            accepted for sending. ``MQTT_ERR_NO_CONN``: not connected; QoS 0 is dropped, QoS 1 and 2
            are kept and sent after the next connect. ``MQTT_ERR_QUEUE_SIZE``: too much waits for
            the broker already. ``MQTT_ERR_PAYLOAD_SIZE``, ``MQTT_ERR_NOT_SUPPORTED``: the broker
            has said that it takes no packet so large, or no such QoS or retained message (MQTT 5).
            ``MQTT_ERR_ERRNO``: it could not be stored in ``MQTT_PERSISTENCE``, and is not sent.

        Raises:
            TypeError: The payload or a property has another type.
            ValueError: The topic, QoS, size or a property is not allowed (MQTT 3.1.1, section 3.3),
                or there are properties before MQTT 5.
        """
        result = self.client.publish(topic, payload, qos, retain, properties)
        # Only a failure has this class itself: looking into the tuple would take longer.
        if type(result) is MQTTMessageInfo:
            self._log_refusal("Publishing to %r: %s", topic, result[0])
        elif _is_enabled_for(logging.DEBUG):
            logger.debug("Publishing to %r, mid %s", topic, result[1])
        return result

    def _log_refusal(self, text: str, topic: Any, rc: int) -> None:
        extra = fields(self.client._core, "call_refused", topic=topic, rc=int(rc))
        logger.error(text, topic, MQTTErrorCode(rc).name, extra=extra)

    def stats(self) -> Stats:
        """Return what was counted since the object was made, and what waits now.

        It can be asked in every thread, in handlers, before `init_app`, and with or without a
        connection. The numbers are of one moment, and go on when a connection is made again.

        Returns:
            A new dict, of dicts, numbers, texts, booleans and None: :class:`Stats`.
        """
        return self.client.stats()

    # -- handlers ---------------------------------------------------------------------------------

    @with_parentheses("mqtt.on_connect()")
    def on_connect(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, flags, rc)`` of the broker's answer to CONNECT.

        It runs once per connection, also where it is registered after the connection was made.
        With MQTT 5, a handler that takes one parameter more gets the properties. So it is with the
        other handlers too.
        """
        return self._registrar("on_connect")

    @with_parentheses("mqtt.on_disconnect()")
    def on_disconnect(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, rc)``, or ``()``, of the end of a connection."""
        return self._registrar("on_disconnect")

    @with_parentheses("mqtt.on_message()")
    def on_message(self, topic: str | None = None) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, message)`` of messages.

        Args:
            topic: A filter: the same as :meth:`on_topic`. Without one, the handler gets every
                message that no handler of a topic takes.

        Raises:
            TypeError: The decorator was used without parentheses.
            ValueError: The filter is malformed.
        """
        if topic is None:
            return self._registrar("on_message")
        return self.on_topic(topic)

    @with_parentheses("mqtt.on_topic('home/#')")
    def on_topic(self, topic: str) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, message)`` of messages on matching topics.

        It does not subscribe. Where several filters match, every handler runs, the exact ones
        first.

        Args:
            topic: A filter.

        Raises:
            TypeError: The filter is missing.
            ValueError: The filter is malformed.
        """
        if not isinstance(topic, str):
            raise TypeError("on_topic needs a filter: @mqtt.on_topic('home/+')")

        def decorator(handler: HandlerT) -> HandlerT:
            self.client.message_callback_add(topic, handler)
            return handler

        return decorator

    @with_parentheses("mqtt.on_publish()")
    def on_publish(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid)`` of messages that were sent.

        QoS 0 counts as sent when it is written, QoS 1 and 2 when the broker has confirmed it.
        """
        return self._registrar("on_publish")

    @with_parentheses("mqtt.on_subscribe()")
    def on_subscribe(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid, granted_qos)`` of answers to SUBSCRIBE."""
        return self._registrar("on_subscribe")

    @with_parentheses("mqtt.on_unsubscribe()")
    def on_unsubscribe(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, mid)`` of answers to UNSUBSCRIBE."""
        return self._registrar("on_unsubscribe")

    @with_parentheses("mqtt.on_log()")
    def on_log(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, userdata, level, buf)`` of a line for every packet."""
        return self._registrar("on_log")

    def _registrar(self, name: str) -> Callable[[HandlerT], HandlerT]:
        def decorator(handler: HandlerT) -> HandlerT:
            check_decorated(name, handler)
            setattr(self.client, name, handler)
            return handler

        return decorator


def _check_app(app: Any) -> None:
    """Raise TypeError for what is no application, nor a mock of one."""
    if hasattr(app, "config") and hasattr(app, "extensions"):
        return
    instead = "the Flask application, as in Mqtt(app) where app = Flask(__name__)"
    if callable(app):
        instead = f"{instead}, or what a factory returns, as in Mqtt(create_app())"
    raise TypeError(f"app {app!r}: it must be {instead}")
