"""Flask-MQTT's interface on a Rust core: MQTT for Flask applications."""

import logging
import ssl
import warnings
from importlib import metadata

from ._core import Properties
from .client import Client
from .constants import (
    MQTT_CLEAN_START_FIRST_ONLY,
    MQTT_ERR_ACL_DENIED,
    MQTT_ERR_AGAIN,
    MQTT_ERR_AUTH,
    MQTT_ERR_CONN_LOST,
    MQTT_ERR_CONN_REFUSED,
    MQTT_ERR_ERRNO,
    MQTT_ERR_INVAL,
    MQTT_ERR_KEEPALIVE,
    MQTT_ERR_NO_CONN,
    MQTT_ERR_NOMEM,
    MQTT_ERR_NOT_FOUND,
    MQTT_ERR_NOT_SUPPORTED,
    MQTT_ERR_PAYLOAD_SIZE,
    MQTT_ERR_PROTOCOL,
    MQTT_ERR_QUEUE_SIZE,
    MQTT_ERR_SUCCESS,
    MQTT_ERR_TLS,
    MQTT_ERR_UNKNOWN,
    MQTT_LOG_DEBUG,
    MQTT_LOG_ERR,
    MQTT_LOG_INFO,
    MQTT_LOG_NOTICE,
    MQTT_LOG_WARNING,
    MQTTErrorCode,
    MQTTv5,
    MQTTv31,
    MQTTv311,
)
from .extension import Mqtt
from .message import MQTTMessage, TopicQos
from .reasoncodes import PacketTypes, ReasonCode
from .subscribeoptions import SubscribeOptions

__version__ = "0.1.0"

logger = logging.getLogger(__name__)

__all__ = [
    "MQTT_CLEAN_START_FIRST_ONLY",
    "MQTT_ERR_ACL_DENIED",
    "MQTT_ERR_AGAIN",
    "MQTT_ERR_AUTH",
    "MQTT_ERR_CONN_LOST",
    "MQTT_ERR_CONN_REFUSED",
    "MQTT_ERR_ERRNO",
    "MQTT_ERR_INVAL",
    "MQTT_ERR_KEEPALIVE",
    "MQTT_ERR_NOMEM",
    "MQTT_ERR_NOT_FOUND",
    "MQTT_ERR_NOT_SUPPORTED",
    "MQTT_ERR_NO_CONN",
    "MQTT_ERR_PAYLOAD_SIZE",
    "MQTT_ERR_PROTOCOL",
    "MQTT_ERR_QUEUE_SIZE",
    "MQTT_ERR_SUCCESS",
    "MQTT_ERR_TLS",
    "MQTT_ERR_UNKNOWN",
    "MQTT_LOG_DEBUG",
    "MQTT_LOG_ERR",
    "MQTT_LOG_INFO",
    "MQTT_LOG_NOTICE",
    "MQTT_LOG_WARNING",
    "Client",
    "MQTTErrorCode",
    "MQTTMessage",
    "MQTTv5",
    "MQTTv31",
    "MQTTv311",
    "Mqtt",
    "PacketTypes",
    "Properties",
    "ReasonCode",
    "SubscribeOptions",
    "TopicQos",
    "__version__",
    "logger",
    "ssl",
]


def _warn_of_the_original() -> None:
    """Flask-MQTT installs the same files: whichever came last has overwritten the other's."""
    try:
        version = metadata.version("Flask-MQTT")
    except metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"Flask-MQTT {version} and flask-mqtt-rs are both installed: they share one module name. "
        "Uninstall both, then install flask-mqtt-rs: "
        "pip uninstall flask-mqtt flask-mqtt-rs && pip install flask-mqtt-rs",
        RuntimeWarning,
        stacklevel=3,
    )


_warn_of_the_original()
