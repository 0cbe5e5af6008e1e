"""The members of the enumerations under their own names, as paho has them."""

import logging
from typing import Final

from .enums import ConnackCode, LogLevel, MessageState, MQTTErrorCode, MQTTProtocolVersion

MQTT_ERR_AGAIN: Final = MQTTErrorCode.MQTT_ERR_AGAIN
MQTT_ERR_SUCCESS: Final = MQTTErrorCode.MQTT_ERR_SUCCESS
MQTT_ERR_NOMEM: Final = MQTTErrorCode.MQTT_ERR_NOMEM
MQTT_ERR_PROTOCOL: Final = MQTTErrorCode.MQTT_ERR_PROTOCOL
MQTT_ERR_INVAL: Final = MQTTErrorCode.MQTT_ERR_INVAL
MQTT_ERR_NO_CONN: Final = MQTTErrorCode.MQTT_ERR_NO_CONN
MQTT_ERR_CONN_REFUSED: Final = MQTTErrorCode.MQTT_ERR_CONN_REFUSED
MQTT_ERR_NOT_FOUND: Final = MQTTErrorCode.MQTT_ERR_NOT_FOUND
MQTT_ERR_CONN_LOST: Final = MQTTErrorCode.MQTT_ERR_CONN_LOST
MQTT_ERR_TLS: Final = MQTTErrorCode.MQTT_ERR_TLS
MQTT_ERR_PAYLOAD_SIZE: Final = MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE
MQTT_ERR_NOT_SUPPORTED: Final = MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED
MQTT_ERR_AUTH: Final = MQTTErrorCode.MQTT_ERR_AUTH
MQTT_ERR_ACL_DENIED: Final = MQTTErrorCode.MQTT_ERR_ACL_DENIED
MQTT_ERR_UNKNOWN: Final = MQTTErrorCode.MQTT_ERR_UNKNOWN
MQTT_ERR_ERRNO: Final = MQTTErrorCode.MQTT_ERR_ERRNO
MQTT_ERR_QUEUE_SIZE: Final = MQTTErrorCode.MQTT_ERR_QUEUE_SIZE
MQTT_ERR_KEEPALIVE: Final = MQTTErrorCode.MQTT_ERR_KEEPALIVE

MQTT_LOG_INFO: Final = LogLevel.MQTT_LOG_INFO
MQTT_LOG_NOTICE: Final = LogLevel.MQTT_LOG_NOTICE
MQTT_LOG_WARNING: Final = LogLevel.MQTT_LOG_WARNING
MQTT_LOG_ERR: Final = LogLevel.MQTT_LOG_ERR
MQTT_LOG_DEBUG: Final = LogLevel.MQTT_LOG_DEBUG

CONNACK_ACCEPTED: Final = ConnackCode.CONNACK_ACCEPTED
CONNACK_REFUSED_PROTOCOL_VERSION: Final = ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION
CONNACK_REFUSED_IDENTIFIER_REJECTED: Final = ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED
CONNACK_REFUSED_SERVER_UNAVAILABLE: Final = ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE
CONNACK_REFUSED_BAD_USERNAME_PASSWORD: Final = ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD
CONNACK_REFUSED_NOT_AUTHORIZED: Final = ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED

mqtt_ms_invalid: Final = MessageState.MQTT_MS_INVALID
mqtt_ms_publish: Final = MessageState.MQTT_MS_PUBLISH
mqtt_ms_wait_for_puback: Final = MessageState.MQTT_MS_WAIT_FOR_PUBACK
mqtt_ms_wait_for_pubrec: Final = MessageState.MQTT_MS_WAIT_FOR_PUBREC
mqtt_ms_resend_pubrel: Final = MessageState.MQTT_MS_RESEND_PUBREL
mqtt_ms_wait_for_pubrel: Final = MessageState.MQTT_MS_WAIT_FOR_PUBREL
mqtt_ms_resend_pubcomp: Final = MessageState.MQTT_MS_RESEND_PUBCOMP
mqtt_ms_wait_for_pubcomp: Final = MessageState.MQTT_MS_WAIT_FOR_PUBCOMP
mqtt_ms_send_pubrec: Final = MessageState.MQTT_MS_SEND_PUBREC
mqtt_ms_queued: Final = MessageState.MQTT_MS_QUEUED

MQTTv31: Final = MQTTProtocolVersion.MQTTv31
MQTTv311: Final = MQTTProtocolVersion.MQTTv311
MQTTv5: Final = MQTTProtocolVersion.MQTTv5

#: The level of the ``logging`` module for each level of MQTT.
LOGGING_LEVEL: Final = {
    LogLevel.MQTT_LOG_DEBUG: logging.DEBUG,
    LogLevel.MQTT_LOG_INFO: logging.INFO,
    LogLevel.MQTT_LOG_NOTICE: logging.INFO,
    LogLevel.MQTT_LOG_WARNING: logging.WARNING,
    LogLevel.MQTT_LOG_ERR: logging.ERROR,
}

#: paho's `clean_start` for Clean Start with the first connection only.
MQTT_CLEAN_START_FIRST_ONLY: Final = 3
