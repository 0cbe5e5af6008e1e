"""Return codes in words."""

from __future__ import annotations

from .enums import ConnackCode, MQTTErrorCode
from .reasoncodes import ReasonCode

_UNKNOWN_ERROR = "Unknown error."
_UNKNOWN_REFUSAL = "Refused: the broker gave a code that MQTT 3.1.1 does not have."

_ERRORS: dict[int, str] = {
    MQTTErrorCode.MQTT_ERR_AGAIN: "Not possible right now; try again.",
    MQTTErrorCode.MQTT_ERR_SUCCESS: "Success.",
    MQTTErrorCode.MQTT_ERR_NOMEM: "There is no memory left.",
    MQTTErrorCode.MQTT_ERR_PROTOCOL: "The other side does not keep to the rules of MQTT.",
    MQTTErrorCode.MQTT_ERR_INVAL: "The call is not allowed with these arguments, or at this time.",
    MQTTErrorCode.MQTT_ERR_NO_CONN: "There is no connection to a broker.",
    MQTTErrorCode.MQTT_ERR_CONN_REFUSED: "The broker refused the connection.",
    MQTTErrorCode.MQTT_ERR_NOT_FOUND: "There is no such message.",
    MQTTErrorCode.MQTT_ERR_CONN_LOST: "The connection broke.",
    MQTTErrorCode.MQTT_ERR_TLS: "TLS failed.",
    MQTTErrorCode.MQTT_ERR_PAYLOAD_SIZE: "The message is larger than the broker accepts.",
    MQTTErrorCode.MQTT_ERR_NOT_SUPPORTED: "The broker does not support this.",
    MQTTErrorCode.MQTT_ERR_AUTH: "The broker did not accept who the client says it is.",
    MQTTErrorCode.MQTT_ERR_ACL_DENIED: "The broker does not allow this client to do so.",
    MQTTErrorCode.MQTT_ERR_UNKNOWN: _UNKNOWN_ERROR,
    MQTTErrorCode.MQTT_ERR_ERRNO: "The operating system reported an error.",
    MQTTErrorCode.MQTT_ERR_QUEUE_SIZE: "Too many messages wait to be sent.",
    MQTTErrorCode.MQTT_ERR_KEEPALIVE: "The broker was silent longer than the keep alive allows.",
}

_REFUSALS: dict[int, str] = {
    ConnackCode.CONNACK_ACCEPTED: "Accepted.",
    ConnackCode.CONNACK_REFUSED_PROTOCOL_VERSION: "Refused: not this version of MQTT.",
    ConnackCode.CONNACK_REFUSED_IDENTIFIER_REJECTED: "Refused: not this client identifier.",
    ConnackCode.CONNACK_REFUSED_SERVER_UNAVAILABLE: "Refused: the broker is not available.",
    ConnackCode.CONNACK_REFUSED_BAD_USERNAME_PASSWORD: "Refused: wrong user name or password.",
    ConnackCode.CONNACK_REFUSED_NOT_AUTHORIZED: "Refused: this client is not authorized.",
}


def error_string(mqtt_errno: MQTTErrorCode | int) -> str:
    """Return what an error code means, as a sentence."""
    return _ERRORS.get(mqtt_errno, _UNKNOWN_ERROR)


def connack_string(connack_code: int) -> str:
    """Return what a broker's answer to CONNECT means.

    Args:
        connack_code: The return code (MQTT 3.1.1, section 3.2.2.3), or a `ReasonCode` of MQTT 5.

    Returns:
        A sentence; the name of the reason for a `ReasonCode`.
    """
    if isinstance(connack_code, ReasonCode):
        return str(connack_code)
    return _REFUSALS.get(connack_code, _UNKNOWN_REFUSAL)
