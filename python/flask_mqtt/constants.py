"""Return codes, log levels and protocol versions, with paho's names and numbers."""

import logging
from enum import IntEnum
from typing import Final


class MQTTErrorCode(IntEnum):
    """Return codes of calls, and reasons for which a connection ended."""

    MQTT_ERR_AGAIN = -1
    MQTT_ERR_SUCCESS = 0
    MQTT_ERR_NOMEM = 1
    MQTT_ERR_PROTOCOL = 2
    MQTT_ERR_INVAL = 3
    MQTT_ERR_NO_CONN = 4
    MQTT_ERR_CONN_REFUSED = 5
    MQTT_ERR_NOT_FOUND = 6
    MQTT_ERR_CONN_LOST = 7
    MQTT_ERR_TLS = 8
    MQTT_ERR_PAYLOAD_SIZE = 9
    MQTT_ERR_NOT_SUPPORTED = 10
    MQTT_ERR_AUTH = 11
    MQTT_ERR_ACL_DENIED = 12
    MQTT_ERR_UNKNOWN = 13
    MQTT_ERR_ERRNO = 14
    MQTT_ERR_QUEUE_SIZE = 15
    MQTT_ERR_KEEPALIVE = 16


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

MQTT_LOG_INFO: Final = 0x01
MQTT_LOG_NOTICE: Final = 0x02
MQTT_LOG_WARNING: Final = 0x04
MQTT_LOG_ERR: Final = 0x08
MQTT_LOG_DEBUG: Final = 0x10

#: The level of the ``logging`` module for each level of MQTT.
LOGGING_LEVEL: Final = {
    MQTT_LOG_DEBUG: logging.DEBUG,
    MQTT_LOG_INFO: logging.INFO,
    MQTT_LOG_NOTICE: logging.INFO,
    MQTT_LOG_WARNING: logging.WARNING,
    MQTT_LOG_ERR: logging.ERROR,
}

MQTTv31: Final = 3
MQTTv311: Final = 4
MQTTv5: Final = 5

#: paho's `clean_start` that changes nothing.
MQTT_CLEAN_START_FIRST_ONLY: Final = 3
