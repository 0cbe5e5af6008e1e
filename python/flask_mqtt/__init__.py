"""Flask-MQTT's interface on a Rust core: MQTT for Flask applications."""

import json
import logging
import ssl
import warnings
from importlib import metadata

from ._core import MQTTMatcher, Properties, topic_matches_sub
from .client import Client
from .client.types import (
    CallbackOnConnect,
    CallbackOnConnect_v1,
    CallbackOnConnect_v1_mqtt3,
    CallbackOnConnect_v1_mqtt5,
    CallbackOnConnect_v2,
    CallbackOnConnectFail,
    CallbackOnDisconnect,
    CallbackOnDisconnect_v1,
    CallbackOnDisconnect_v1_mqtt3,
    CallbackOnDisconnect_v1_mqtt5,
    CallbackOnDisconnect_v2,
    CallbackOnLog,
    CallbackOnMessage,
    CallbackOnPreConnect,
    CallbackOnPublish,
    CallbackOnPublish_v1,
    CallbackOnPublish_v2,
    CallbackOnSocket,
    CallbackOnSubscribe,
    CallbackOnSubscribe_v1,
    CallbackOnSubscribe_v1_mqtt3,
    CallbackOnSubscribe_v1_mqtt5,
    CallbackOnSubscribe_v2,
    CallbackOnUnsubscribe,
    CallbackOnUnsubscribe_v1,
    CallbackOnUnsubscribe_v1_mqtt3,
    CallbackOnUnsubscribe_v1_mqtt5,
    CallbackOnUnsubscribe_v2,
    PayloadType,
)
from .extension import Mqtt
from .paho.constants import (
    CONNACK_ACCEPTED,
    CONNACK_REFUSED_BAD_USERNAME_PASSWORD,
    CONNACK_REFUSED_IDENTIFIER_REJECTED,
    CONNACK_REFUSED_NOT_AUTHORIZED,
    CONNACK_REFUSED_PROTOCOL_VERSION,
    CONNACK_REFUSED_SERVER_UNAVAILABLE,
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
    MQTTv5,
    MQTTv31,
    MQTTv311,
    mqtt_ms_invalid,
    mqtt_ms_publish,
    mqtt_ms_queued,
    mqtt_ms_resend_pubcomp,
    mqtt_ms_resend_pubrel,
    mqtt_ms_send_pubrec,
    mqtt_ms_wait_for_puback,
    mqtt_ms_wait_for_pubcomp,
    mqtt_ms_wait_for_pubrec,
    mqtt_ms_wait_for_pubrel,
)
from .paho.enums import (
    CallbackAPIVersion,
    ConnackCode,
    LogLevel,
    MessageState,
    MQTTErrorCode,
    MQTTProtocolVersion,
)
from .paho.errors import WebsocketConnectionError
from .paho.message import ConnectFlags, DisconnectFlags, MQTTMessage, TopicQos
from .paho.reasoncodes import (
    PacketTypes,
    ReasonCode,
    ReasonCodes,
    convert_connack_rc_to_reason_code,
    convert_disconnect_error_code_to_reason_code,
)
from .paho.subscribeoptions import SubscribeOptions
from .paho.texts import connack_string, error_string
from .payloads import InvalidPayload
from .process import ends  # noqa: F401 - it ends the clients with the process
from .publishing.info import MQTTMessageInfo
from .routing.blueprint import MqttBlueprint
from .routing.building import BuildError
from .routing.retries import Retry
from .stats import Stats

__version__ = "0.1.0"

logger = logging.getLogger(__name__)

__all__ = [
    "CONNACK_ACCEPTED",
    "CONNACK_REFUSED_BAD_USERNAME_PASSWORD",
    "CONNACK_REFUSED_IDENTIFIER_REJECTED",
    "CONNACK_REFUSED_NOT_AUTHORIZED",
    "CONNACK_REFUSED_PROTOCOL_VERSION",
    "CONNACK_REFUSED_SERVER_UNAVAILABLE",
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
    "BuildError",
    "CallbackAPIVersion",
    "CallbackOnConnect",
    "CallbackOnConnectFail",
    "CallbackOnConnect_v1",
    "CallbackOnConnect_v1_mqtt3",
    "CallbackOnConnect_v1_mqtt5",
    "CallbackOnConnect_v2",
    "CallbackOnDisconnect",
    "CallbackOnDisconnect_v1",
    "CallbackOnDisconnect_v1_mqtt3",
    "CallbackOnDisconnect_v1_mqtt5",
    "CallbackOnDisconnect_v2",
    "CallbackOnLog",
    "CallbackOnMessage",
    "CallbackOnPreConnect",
    "CallbackOnPublish",
    "CallbackOnPublish_v1",
    "CallbackOnPublish_v2",
    "CallbackOnSocket",
    "CallbackOnSubscribe",
    "CallbackOnSubscribe_v1",
    "CallbackOnSubscribe_v1_mqtt3",
    "CallbackOnSubscribe_v1_mqtt5",
    "CallbackOnSubscribe_v2",
    "CallbackOnUnsubscribe",
    "CallbackOnUnsubscribe_v1",
    "CallbackOnUnsubscribe_v1_mqtt3",
    "CallbackOnUnsubscribe_v1_mqtt5",
    "CallbackOnUnsubscribe_v2",
    "Client",
    "ConnackCode",
    "ConnectFlags",
    "DisconnectFlags",
    "InvalidPayload",
    "LogLevel",
    "MQTTErrorCode",
    "MQTTMatcher",
    "MQTTMessage",
    "MQTTMessageInfo",
    "MQTTProtocolVersion",
    "MQTTv5",
    "MQTTv31",
    "MQTTv311",
    "MessageState",
    "Mqtt",
    "MqttBlueprint",
    "PacketTypes",
    "PayloadType",
    "Properties",
    "ReasonCode",
    "ReasonCodes",
    "Retry",
    "Stats",
    "SubscribeOptions",
    "TopicQos",
    "WebsocketConnectionError",
    "__version__",
    "connack_string",
    "convert_connack_rc_to_reason_code",
    "convert_disconnect_error_code_to_reason_code",
    "error_string",
    "logger",
    "mqtt_ms_invalid",
    "mqtt_ms_publish",
    "mqtt_ms_queued",
    "mqtt_ms_resend_pubcomp",
    "mqtt_ms_resend_pubrel",
    "mqtt_ms_send_pubrec",
    "mqtt_ms_wait_for_puback",
    "mqtt_ms_wait_for_pubcomp",
    "mqtt_ms_wait_for_pubrec",
    "mqtt_ms_wait_for_pubrel",
    "ssl",
    "topic_matches_sub",
]


def _installed_from() -> str:
    """Return what `pip install` takes to install this package again, as far as pip has noted it."""
    try:
        noted = metadata.distribution("flask-mqtt-rs").read_text("direct_url.json")
        url = json.loads(noted or "{}").get("url", "")
    except (metadata.PackageNotFoundError, ValueError):
        url = ""
    return url if url.startswith("file:") else "<its wheel or source folder>"


def _warn_of_the_original() -> None:
    """Flask-MQTT installs the same files: whichever came last has overwritten the other's."""
    try:
        version = metadata.version("Flask-MQTT")
    except metadata.PackageNotFoundError:
        return
    warnings.warn(
        f"Flask-MQTT {version} and flask-mqtt-rs are both installed, in one folder: flask_mqtt. "
        "To uninstall one of them takes files of the other away, and leaves an empty module. "
        "Uninstall both, then install flask-mqtt-rs again: "
        f"pip uninstall flask-mqtt flask-mqtt-rs && pip install {_installed_from()}",
        RuntimeWarning,
        stacklevel=3,
    )


_warn_of_the_original()
