"""The `Mqtt` inside a `MultiMQTT`: it connects when `connect` is called, and reads other keys."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Flask

from flask_mqtt import Client, Mqtt, MQTTErrorCode, MQTTv5
from flask_mqtt.extension import driving
from flask_mqtt.extension.prefix import TopicPrefix

from .converters import CONVERTERS
from .keys import as_mqtt

logger = logging.getLogger("flask_mqtt")

#: A set in the order of registration. Threads need no lock for it, which a fork might leave held.
Handlers = dict[Callable[[], Any], None]


class Inside(Mqtt):
    """Does what `Mqtt` does, with the differences between the two extensions."""

    def __init__(self) -> None:
        """Start without an application."""
        #: In the place of the key's.
        self.own_client_id: str | None = None
        #: Whether `connect` was called: `init_app` alone does not connect.
        self.is_to_connect = False
        #: Called without arguments, in this order.
        self.connect_handlers: Handlers = {}
        self.disconnect_handlers: Handlers = {}
        super().__init__()
        self.converters.update(CONVERTERS)

    @property
    def topic_prefix(self) -> TopicPrefix:
        """What topics have at the broker."""
        return self._rs_subscribed.prefix

    def _rs_keys(self, app: Flask) -> dict[str, Any]:
        return as_mqtt(app.config, self.own_client_id)

    def _connect(self) -> None:
        if self.is_to_connect:
            super()._connect()

    def _rs_put_off(self) -> None:
        if self.is_to_connect:
            super()._rs_put_off()

    def _handle_connect(
        self, client: Client, userdata: Any, flags: dict[str, int], rc: int
    ) -> None:
        super()._handle_connect(client, userdata, flags, rc)
        if rc == 0:
            self._call(self.connect_handlers)

    def _handle_disconnect(self, client: Client, userdata: Any, rc: int) -> None:
        super()._handle_disconnect(client, userdata, rc)
        self._call(self.disconnect_handlers)

    def _call(self, handlers: Handlers) -> None:
        """Call handlers, as those of `Mqtt` are: what one raises is logged, and the next is due."""
        parts = driving.parts(self.client)
        for handler in list(handlers):
            if parts is None:
                handler()
            else:
                parts.dispatcher.call(handler)

    def subscribe(
        self,
        topic: Any,
        qos: int = 0,
        options: Any = None,
        properties: Any = None,
        *,
        no_prefix: bool = False,
    ) -> tuple[MQTTErrorCode, int | None]:
        """Do as `Mqtt.subscribe`, without options where the protocol has none."""
        if options is not None and self.protocol_version != MQTTv5:  # type: ignore[attr-defined]
            logger.warning(
                "%r: nolocal needs MQTT_PROTOCOL_VERSION = 5; what this client publishes comes too",
                topic,
            )
            qos, options = options.QoS, None
        return super().subscribe(topic, qos, options, properties, no_prefix=no_prefix)
