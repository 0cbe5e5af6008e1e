"""The Flask extension."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask

from .. import config
from ..config.tls_checks import Pem
from ..discretion import discreet
from ..handlers.slots import Handler
from ..publishing.info import MQTTMessageInfo
from ..records import write
from ..stats import Stats
from . import driving
from .connecting import Connecting, values_of
from .further import FurtherValue
from .health import Health, health_of
from .routes import with_routes

logger = logging.getLogger("flask_mqtt")

#: Looked up once: `publish` asks it about every message.
_is_enabled_for = logger.isEnabledFor


class Mqtt(Connecting):
    """MQTT for a Flask application.

    Pass the application here, or later to :meth:`init_app`. For several brokers, create several
    objects, each with its own ``config_prefix``.

    The attributes of Flask-MQTT, such as ``topics`` and ``client_id``, have the same names. All
    other names are free for subclasses.
    """

    # What an application finds here, and may assign before `init_app` or `_connect`: for type
    # checkers, as the keys are declared. Two underscores keep everything else apart from what a
    # subclass has, and `rs` from what one has that is called Mqtt too.
    client_id: str
    clean_session: bool
    username: str | None
    password: str | bytes | None
    broker_url: str | list[str]
    broker_port: int
    tls_enabled: bool
    keepalive: int
    connection_timeout: float
    last_will_topic: str | None
    last_will_message: str | bytes | bytearray | float | None
    last_will_qos: int
    last_will_retain: bool
    tls_ca_certs: Pem | None
    tls_certfile: Pem | None
    tls_keyfile: Pem | None
    tls_cert_reqs: int
    tls_version: int
    tls_ciphers: str | None
    tls_insecure: bool

    @discreet
    def __init__(
        self,
        app: Flask | None = None,
        connect_async: bool = False,
        mqtt_logging: bool = False,
        config_prefix: str = "MQTT",
    ) -> None:
        """Create the extension, and connect if there is an application.

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
        super().__init__(app, connect_async, config_prefix)
        if mqtt_logging:
            self.client.enable_logger(logger)
        if app is not None:
            self.init_app(app, self.config_prefix)

    def publish(
        self,
        topic: str,
        payload: Any = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
        # By position too: CPython has a slower way for functions with keyword-only parameters.
        no_prefix: bool = False,
    ) -> MQTTMessageInfo:
        """Publish a message. It may be called from every thread.

        In a forked child, and in a command of ``flask``, the first call connects, and waits for
        that.

        Args:
            topic: Topic name, without wildcards.
            payload: Text is sent as UTF-8, an int or float as its text, None as nothing. With
                ``MQTT_JSON``, a dict, a list, and an object of a dataclass, a pydantic model or a
                msgspec Struct is sent as JSON.
            qos: Quality of service: 0, 1 or 2.
            retain: Whether the broker keeps the message for later subscribers.
            properties: For MQTT 5: a :class:`Properties` object or a dict.
            no_prefix: Leave out ``MQTT_PREFIX``.

        Returns:
            ``(rc, mid)``, which can be awaited: a :class:`MQTTMessageInfo`. ``MQTT_ERR_SUCCESS``:
            accepted for sending. ``MQTT_ERR_NO_CONN``: not connected; QoS 0 is dropped, QoS 1 and 2
            are kept and sent after the next connect. ``MQTT_ERR_QUEUE_SIZE``: too much waits for
            the broker already. ``MQTT_ERR_PAYLOAD_SIZE``, ``MQTT_ERR_NOT_SUPPORTED``: the broker
            has said that it takes no packet so large, or no such QoS or retained message (MQTT 5).
            ``MQTT_ERR_ERRNO``: it could not be stored in ``MQTT_PERSISTENCE``, or the process ends,
            and it is not sent.

        Raises:
            TypeError: The payload or a property has another type.
            ValueError: The topic, QoS, size or a property is not allowed (MQTT 3.1.1, section 3.3),
                or there are properties before MQTT 5.
        """
        if self._rs_outgoing is not None:
            topic = self._rs_outgoing.topic(topic, no_prefix=no_prefix)
            payload, properties = self._rs_outgoing.body(payload, properties)
        if properties is None:
            result = self.client.publish(topic, payload, qos, retain)
        else:
            result = self.client.publish(topic, payload, qos, retain, properties)
        # Only a failure has this class itself.
        if type(result) is MQTTMessageInfo:
            self._rs_refusals.add(driving.core_of(self.client), topic, qos, result[0], result[1])
        elif _is_enabled_for(logging.DEBUG):
            write(logger.debug, "Publishing to %r, mid %s", topic, result[1])
        return result

    def stats(self) -> Stats:
        """Return the counters since the object was made, and what is queued now.

        It can be asked in every thread, in handlers, before `init_app`, and with or without a
        connection. The numbers are of one moment, and go on when a connection is made again.

        Returns:
            A new dict, of dicts, numbers, texts, booleans and None: :class:`Stats`.
        """
        return with_routes(self, self.client.stats())

    def healthy(self, max_age: float | None = None, timeout: float = 5.0) -> Health:
        """Return whether the extension can do its work now, for a health check.

        It can if there is a connection that the broker has accepted, and the broker has granted
        every subscription. It may be asked in every thread. With `max_age` it may wait for the
        broker; calls that wait at the same time share one PINGREQ.

        Args:
            max_age: If the broker has sent nothing for longer than this, in seconds, a PINGREQ must
                be answered. None: the broker may be silent as long as the keep alive allows.
            timeout: How long to wait for that answer, in seconds.

        Returns:
            A :class:`flask_mqtt.health.Health`, which is true or false, and has the ``reason``.

        Raises:
            TypeError: An argument is not a number.
            ValueError: An argument is negative.
        """
        return health_of(self, max_age, timeout)

    @property
    def _connect_handler(self) -> Handler | None:
        """The handler of `on_connect`; it may be assigned too."""
        return self._rs_handlers.get("on_connect")

    @_connect_handler.setter
    def _connect_handler(self, handler: Handler | None) -> None:
        self._rs_handlers.set(self.client, "on_connect", handler)

    @property
    def _disconnect_handler(self) -> Handler | None:
        """The handler of `on_disconnect`; it may be assigned too."""
        return self._rs_handlers.get("on_disconnect")

    @_disconnect_handler.setter
    def _disconnect_handler(self, handler: Handler | None) -> None:
        self._rs_handlers.set(self.client, "on_disconnect", handler)


for _name in config.NAMES.difference(config.ATTRIBUTES):
    setattr(Mqtt, _name, FurtherValue(Mqtt, _name, values_of))
