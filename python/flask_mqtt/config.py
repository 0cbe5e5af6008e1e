"""The configuration keys: read once from ``app.config``, checked, and turned into values."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._core import validate_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("flask_mqtt")

MAX_PACKET_SIZE = 268_435_455

_LATER = "is not available in this version; leave the key out"


@dataclass
class Config:
    """The values of the ``MQTT_*`` keys, with their defaults."""

    client_id: str = ""
    broker_url: str = "localhost"
    broker_port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    keepalive: int = 60
    clean_session: bool = True
    connection_timeout: float = 5
    last_will_topic: str | None = None
    last_will_message: str | bytes | bytearray | float | None = None
    last_will_qos: int = 0
    last_will_retain: bool = False
    max_packet_size: int = MAX_PACKET_SIZE
    transport: str = "tcp"
    protocol_version: int = 4
    tls_enabled: bool = False


def read(config: Mapping[str, Any], prefix: str) -> Config:
    """Read the keys that begin with ``prefix`` from a Flask configuration.

    Args:
        config: ``app.config``. Keys that mean nothing here are ignored.
        prefix: ``MQTT``, or the ``config_prefix`` of one of several brokers.

    Returns:
        The values, checked.

    Raises:
        TypeError: A value has the wrong type. The message names the key and the value.
        ValueError: A value is not allowed. The message names the key, the value and what is.
    """
    given = _given(config, prefix)
    values = {}
    for name, check in _CHECKS.items():
        key = f"{prefix}_{name.upper()}"
        if key in given:
            values[name] = check(key, given[key])
    result = Config(**values)
    if result.last_will_topic is None and result.last_will_message is not None:
        logger.warning(
            "%s_LAST_WILL_MESSAGE has no effect without %s_LAST_WILL_TOPIC", prefix, prefix
        )
    return result


def _given(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return the keys that are set, those in lower case under their right name."""
    known = {f"{prefix}_{name.upper()}" for name in _CHECKS}
    given = {key: config[key] for key in known if key in config}
    for key, value in config.items():
        right = _right_spelling(key, prefix)
        if right in known and right not in given:
            logger.warning(
                "The configuration key %s is spelled %s; it was read all the same", right, key
            )
            given[right] = value
    return given


def _right_spelling(key: object, prefix: str) -> str | None:
    if isinstance(key, str) and key.upper().startswith(f"{prefix}_".upper()):
        return f"{prefix}_{key[len(prefix) + 1 :].upper()}"
    return None


def _show(key: str, value: object) -> str:
    return f"{key} = {'<hidden>' if 'PASSWORD' in key else repr(value)}"


def _wrong_type(key: str, value: object, wanted: str) -> TypeError:
    return TypeError(f"{_show(key, value)} is of type {type(value).__name__}: it must be {wanted}")


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise _wrong_type(key, value, "a string")
    if "\0" in value:
        raise ValueError(f"{_show(key, value)}: a string in MQTT has no null character")
    if _utf8_size(key, value) > 65_535:  # noqa: PLR2004 - MQTT 3.1.1, 1.5.3
        raise ValueError(f"{key} is longer than 65535 bytes, which is the most that MQTT allows")
    return value


def _utf8_size(key: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        # An environment variable that is not UTF-8 becomes such a string.
        raise ValueError(
            f"{_show(key, value)}: it must be text that UTF-8 can express, without surrogates"
        ) from None


def _text_or_none(key: str, value: object) -> str | None:
    return None if value is None else _text(key, value)


def _client_id(key: str, value: object) -> str:
    return "" if value is None else _text(key, value)


def _host(key: str, value: object) -> str:
    host = _text(key, value)
    if not host.strip():
        raise ValueError(f"{_show(key, value)}: it must be the host name or address of the broker")
    if "://" in host:
        raise ValueError(
            f"{_show(key, value)}: a URL {_LATER}, or give the host name alone and the port in "
            f"{key.removesuffix('_URL')}_PORT"
        )
    return host.strip()


def _integer(low: int, high: int, unit: str = "") -> Callable[[str, object], int]:
    def check(key: str, value: object) -> int:
        wanted = f"a whole number from {low} to {high}{unit}"
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value.strip())
        if isinstance(value, str):
            raise ValueError(f"{_show(key, value)}: it must be {wanted}")  # noqa: TRY004 - a number's text
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong_type(key, value, wanted)
        if not low <= value <= high:
            raise ValueError(f"{_show(key, value)}: it must be {wanted}")
        return value

    return check


def _seconds(key: str, value: object) -> float:
    wanted = "a number of seconds above 0, at most 3600"
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{_show(key, value)}: it must be {wanted}") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong_type(key, value, wanted)
    if not 0 < value <= 3600:  # noqa: PLR2004 - said in the message
        raise ValueError(f"{_show(key, value)}: it must be {wanted}")
    return value


_WORDS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False, "": False,
}  # fmt: skip


def _boolean(key: str, value: object) -> bool:
    wanted = "True or False"
    if isinstance(value, str):
        if value.strip().lower() not in _WORDS:
            raise ValueError(f"{_show(key, value)}: it must be {wanted}")
        return _WORDS[value.strip().lower()]
    if value is None or isinstance(value, (bool, int)):
        return bool(value)
    raise _wrong_type(key, value, wanted)


def _will_topic(key: str, value: object) -> str | None:
    topic = _text_or_none(key, value)
    if topic is not None:
        try:
            validate_topic(topic)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from None
    return topic


def _will_message(key: str, value: object) -> str | bytes | bytearray | float | None:
    if value is not None and not isinstance(value, (str, bytes, bytearray, int, float)):
        raise _wrong_type(key, value, "a string, bytes, bytearray, int, float or None")
    size = _utf8_size(key, value) if isinstance(value, str) else len(payload_bytes(value))
    if size > 65_535:  # noqa: PLR2004 - MQTT 3.1.1, 3.1.3.3
        raise ValueError(f"{key} has {size} bytes: a last will has at most 65535")
    return value


def _transport(key: str, value: object) -> str:
    transport = _text(key, value).lower()
    if transport == "tcp":
        return transport
    if transport in ("websockets", "unix"):
        raise ValueError(f"{_show(key, value)}: this transport {_LATER}, or set it to 'tcp'")
    raise ValueError(f"{_show(key, value)}: it must be 'tcp'")


def _protocol_version(key: str, value: object) -> int:
    version = _integer(3, 5)(key, value)
    if version != 4:  # noqa: PLR2004 - MQTTv311
        raise ValueError(
            f"{_show(key, value)}: this protocol version {_LATER}, or set it to 4 (MQTTv311)"
        )
    return int(version)


def _tls_enabled(key: str, value: object) -> bool:
    if _boolean(key, value):
        raise ValueError(f"{_show(key, value)}: TLS {_LATER}, or set it to False")
    return False


def payload_bytes(payload: str | bytes | bytearray | float | None) -> bytes:
    """Return a payload as the bytes that are sent: text as UTF-8, a number as its text."""
    if payload is None:
        return b""
    if isinstance(payload, (bytes, bytearray)):
        return bytes(payload)
    return str(payload).encode()


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "client_id": _client_id,
    "broker_url": _host,
    "broker_port": _integer(1, 65_535),
    "username": _text_or_none,
    "password": _text_or_none,
    "keepalive": _integer(0, 65_535, " seconds (0: off)"),
    "clean_session": _boolean,
    "connection_timeout": _seconds,
    "last_will_topic": _will_topic,
    "last_will_message": _will_message,
    "last_will_qos": _integer(0, 2),
    "last_will_retain": _boolean,
    "max_packet_size": _integer(1, MAX_PACKET_SIZE, " bytes"),
    "transport": _transport,
    "protocol_version": _protocol_version,
    "tls_enabled": _tls_enabled,
}
