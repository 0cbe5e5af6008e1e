"""Checks of single values. Each takes a key and a value, and returns the value as it is used."""

from __future__ import annotations

import ipaddress
import json
import os
import re
from typing import TYPE_CHECKING, Any

from .._core import Properties, validate_proxy, validate_topic
from ..paho.constants import MQTTv5, MQTTv31
from .shown import wrong_type, wrong_value

if TYPE_CHECKING:
    from collections.abc import Callable

#: In bytes: a topic has 65535 at most (MQTT 3.1.1, 1.5.3), of which a slash and one more are left.
_LONGEST_PREFIX = 65_533


def text(key: str, value: object) -> str:
    """Check a string of MQTT."""
    if not isinstance(value, str):
        raise wrong_type(key, value, "a string")
    if "\0" in value:
        raise wrong_value(key, value, "a string in MQTT has no null character")
    if _utf8_size(key, value) > 65_535:  # noqa: PLR2004 - MQTT 3.1.1, 1.5.3
        raise ValueError(f"{key} is longer than 65535 bytes, which is the most that MQTT allows")
    return value


def _utf8_size(key: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        # Not raised from here: that exception shows the value. An environment variable that is not
        # UTF-8 becomes such a string.
        pass
    raise wrong_value(key, value, "it must be text that UTF-8 can express, without surrogates")


#: How to write what `from_prefixed_env` would take for something else.
_QUOTED = "a string (in an environment variable, with double quotes: '\"1.50\"')"

_Binary = bytes | bytearray | memoryview


def written(key: str, value: object) -> str:
    """Check a string of MQTT, which may be its bytes in UTF-8, or an int as its text.

    A variable of the environment is read as JSON by `from_prefixed_env`. Of an int that is the text
    again; of other values it is not.
    """
    if isinstance(value, _Binary):
        try:
            value = bytes(value).decode()
        except UnicodeDecodeError:
            # Not raised from here: that exception shows the value.
            value = None
        if value is None:
            raise ValueError(f"{key} has bytes that are not UTF-8, which MQTT requires")
    elif isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise wrong_type(key, value, _QUOTED)
    return text(key, value)


def text_or_none(key: str, value: object) -> str | None:
    """Check a string of MQTT that may be absent."""
    return None if value is None else written(key, value)


def password(key: str, value: object) -> str | bytes | None:
    """Check a password: text, or any bytes (MQTT 3.1.1, 3.1.3.5). Bytes of a text become it."""
    if not isinstance(value, _Binary):
        return text_or_none(key, value)
    raw = bytes(value)
    if len(raw) > 65_535:  # noqa: PLR2004 - MQTT 3.1.1, 1.5.3
        raise ValueError(f"{key} is longer than 65535 bytes, which is the most that MQTT allows")
    try:
        found = raw.decode()
    except UnicodeDecodeError:
        return raw
    return raw if "\0" in found else found


def integer(low: int, high: int, unit: str = "") -> Callable[[str, object], int]:
    """Return the check of a whole number, which may be a string of digits."""
    return number(range(low, high + 1), f"a whole number from {low} to {high}{unit}")


def number(allowed: range, wanted: str) -> Callable[[str, object], int]:
    """Return the check of a whole number, with the words for what is allowed."""

    def check(key: str, value: object) -> int:
        if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
            value = int(value.strip())
        if isinstance(value, str):
            raise wrong_value(key, value, f"it must be {wanted}")
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(key, value, wanted)
        if value not in allowed:
            raise wrong_value(key, value, f"it must be {wanted}")
        # A constant is a plain number in messages.
        return int(value)

    return check


def seconds(key: str, value: object) -> float:
    """Check a time, which may be the text of a number."""
    return _seconds(key, value, "a number of seconds above 0, at most 3600", 3600, zero=False)


def seconds_or_none(key: str, value: object) -> float:
    """Check a time that may be none at all: 0."""
    return _seconds(key, value, "a number of seconds from 0 to 3600", 3600, zero=True)


def gather_time(key: str, value: object) -> float:
    """Check the time for which messages are gathered: 0 for none."""
    return _seconds(key, value, "a number of seconds from 0 to 0.01 (0: off)", 0.01, zero=True)


def _seconds(key: str, value: object, wanted: str, most: float, *, zero: bool) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise wrong_value(key, value, f"it must be {wanted}") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(key, value, wanted)
    if not 0 <= value <= most or (value == 0 and not zero):
        raise wrong_value(key, value, f"it must be {wanted}")
    return value


_WORDS = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False, "": False,
}  # fmt: skip


def boolean(key: str, value: object) -> bool:
    """Check a boolean, which may be a word for one."""
    wanted = "True or False"
    if isinstance(value, str):
        if value.strip().lower() not in _WORDS:
            raise wrong_value(key, value, f"it must be {wanted}")
        return _WORDS[value.strip().lower()]
    if value is None or isinstance(value, (bool, int)):
        return bool(value)
    raise wrong_type(key, value, wanted)


def choice(*words: str) -> Callable[[str, object], str]:
    """Return the check of a word, in upper or lower case."""
    wanted = ", ".join(repr(word) for word in words[:-1]) + f" or {words[-1]!r}"

    def check(key: str, value: object) -> str:
        if not isinstance(value, str):
            raise wrong_type(key, value, wanted)
        word = value.strip().lower().replace("_", "-")
        if word not in words:
            raise wrong_value(key, value, f"it must be {wanted}")
        return word

    return check


def path(key: str, value: object) -> str | None:
    """Check the path of a file."""
    if value is None:
        return None
    if not isinstance(value, (str, os.PathLike)):
        raise wrong_type(key, value, "the path of a file, or None")
    found = os.fspath(value)
    if not isinstance(found, str):
        raise wrong_type(key, value, "the path of a file as text, or None")
    if not found or "\0" in found:
        raise wrong_value(key, value, "it must be the path of a file")
    return found


def will_topic(key: str, value: object) -> str | None:
    """Check the topic of a will."""
    topic = text_or_none(key, value)
    if topic is not None:
        _validate_topic(key, topic)
    return topic


def topic_prefix(key: str, value: object) -> str | None:
    """Check the levels that all topics begin with; an empty text is none."""
    prefix = text_or_none(key, value)
    if not prefix:
        return None
    if prefix.startswith("$"):
        reason = "it must not begin with $, as topics of the broker's own do"
        raise wrong_value(key, prefix, reason)
    _validate_topic(key, prefix)
    if len(prefix.encode()) > _LONGEST_PREFIX:
        raise ValueError(
            f"{key} is longer than {_LONGEST_PREFIX} bytes: it leaves no room for topics"
        )
    return prefix


def group(key: str, value: object) -> str | None:
    """Check the name of a group of shared subscriptions; an empty text is none."""
    name = text_or_none(key, value)
    if name and any(sign in name for sign in "/+#"):
        reason = "it must not contain '/', '+' or '#' (MQTT 5.0, section 4.8.2)"
        raise wrong_value(key, name, reason)
    return name or None


def _validate_topic(key: str, topic: str) -> None:
    try:
        validate_topic(topic)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def will_message(key: str, value: object) -> str | bytes | bytearray | float | None:
    """Check the payload of a will."""
    if isinstance(value, memoryview):
        value = bytes(value)
    if value is not None and not isinstance(value, (str, bytes, bytearray, int, float)):
        wanted = "a string, bytes, bytearray, int, float or None"
        if isinstance(value, (dict, list)):
            wanted += "; in an environment variable write JSON as a string, in double quotes"
        raise wrong_type(key, value, wanted)
    size = _utf8_size(key, value) if isinstance(value, str) else len(payload_bytes(value))
    if size > 65_535:  # noqa: PLR2004 - MQTT 3.1.1, 3.1.3.3
        raise ValueError(f"{key} has {size} bytes: a last will has at most 65535")
    return value


def payload_bytes(payload: str | bytes | bytearray | float | None) -> bytes:
    """Return a payload as the bytes that are sent: text as UTF-8, a number as its text."""
    if payload is None:
        return b""
    if isinstance(payload, (bytes, bytearray)):
        return bytes(payload)
    return str(payload).encode()


def address(key: str, value: object) -> str | None:
    """Check an IP address of this machine."""
    if value is None:
        return None
    if not isinstance(value, (str, ipaddress.IPv4Address, ipaddress.IPv6Address)):
        raise wrong_type(key, value, "an IPv4 or IPv6 address as a string, or None")
    try:
        found = ipaddress.ip_address(str(value).strip())
    except ValueError:
        found = None
    if found is None or getattr(found, "scope_id", None):
        reason = "it must be an IPv4 or IPv6 address of this machine, without port and zone"
        raise wrong_value(key, value, reason)
    return str(found)


def proxy(key: str, value: object) -> str | None:
    """Check the URL of a proxy."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise wrong_type(key, value, "the URL of a proxy as a string, or None")
    url = text(key, value).strip()
    try:
        validate_proxy(url)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None
    return url


def websocket_path(key: str, value: object) -> str:
    """Check the path of a websocket."""
    if not isinstance(value, str):
        raise wrong_type(key, value, "a string")
    if not re.fullmatch(r"/[!-\"$-~]*", value):
        reason = "it must begin with / and have only ASCII characters without spaces and #"
        raise wrong_value(key, value, reason)
    return value


def websocket_headers(key: str, value: object) -> Any:
    """Check the headers for the request of a websocket: a dict, or a callable that returns one."""
    if value is None or callable(value):
        return value
    value = from_json(key, value)
    if isinstance(value, (list, tuple)):
        value = _pairs(key, value)
    if not isinstance(value, dict):
        raise wrong_type(key, value, "a dict, a callable that takes and returns one, or None")
    for name, content in value.items():
        _header(key, name, content)
    return value


def _pairs(key: str, value: list[Any] | tuple[Any, ...]) -> dict[Any, Any]:
    """Make a dict of pairs ``(name, value)``, which are lists where they come from JSON."""
    found: dict[Any, Any] = {}
    for pair in value:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:  # noqa: PLR2004 - a pair
            raise wrong_type(key, value, "a dict, or a list of pairs of a name and a value")
        name, content = pair
        if isinstance(name, str) and name in found:
            raise ValueError(f"{key} has {name!r} twice: each header is allowed once")
        found[str(name)] = content
    return found


def from_json(key: str, value: object) -> Any:
    """Return what a string of JSON stands for: a dict or a list; everything else as it is."""
    if not isinstance(value, str) or not value.strip().startswith(("{", "[")):
        return value
    try:
        return json.loads(value)
    except ValueError:
        # Not raised from here: that exception has the text in it.
        pass
    raise wrong_value(key, value, "it begins as JSON does, and is none")


def _header(key: str, name: object, content: object) -> None:
    if not isinstance(name, str) or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        raise ValueError(f"{key} has a name that no header can have")
    if name.lower() in ("connection", "upgrade") or name.lower().startswith("sec-websocket-"):
        raise ValueError(f"{key} has {name!r}: the handshake itself sets this header")
    if not isinstance(content, str):
        kind = type(content).__name__
        raise TypeError(f"{key} has a value of type {kind} for {name!r}: it must be a string")
    if not re.fullmatch(r"[\t -~]*", content):
        reason = "it must have only ASCII characters, without line breaks and control characters"
        raise ValueError(f"{key} has a value for {name!r} that no header can have: {reason}")


def properties(packet_type: int) -> Callable[[str, object], Any]:
    """Return the check of the properties of a packet of MQTT 5, by the packet's number."""

    def check(key: str, value: object) -> Any:
        value = from_json(key, value)
        given = value
        if isinstance(value, dict):
            try:
                given = Properties(packet_type, **value)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{key}: {error}") from None
        elif value is not None and not hasattr(value, "packetType"):
            raise wrong_type(key, value, "a dict, a Properties object or None")
        if hasattr(given, "AuthenticationMethod"):
            reason = "log in with a user name and a password, or with a client certificate"
            raise ValueError(f"{key}: AuthenticationMethod is not supported; {reason}")
        return value

    return check


def _is_list(value: object) -> bool:
    # An IPv6 address in brackets is none.
    return isinstance(value, str) and re.match(r"\s*\[\s*(\"|\])", value) is not None


def broker_url(key: str, value: object) -> str | list[str]:
    """Check the type of `MQTT_BROKER_URL`; what it says is looked at with the other keys."""
    value = from_json(key, value) if _is_list(value) else value
    if isinstance(value, str):
        return text(key, value).strip()
    if not isinstance(value, (list, tuple)):
        raise wrong_type(key, value, "a string or a list of strings")
    if not value:
        raise wrong_value(key, value, "the list must name at least one broker")
    for item in value:
        if not isinstance(item, str):
            kind = type(item).__name__
            raise TypeError(f"{key} is a list with a {kind} in it: it must be a list of strings")
    return [text(key, item).strip() for item in value]


_PROTOCOLS = {
    "mqttv31": 3, "mqttv311": 4, "mqttv5": 5, "3.1": 3, "3.1.1": 4, "5.0": 5,
}  # fmt: skip

_protocol_number = number(range(MQTTv31, MQTTv5 + 1), "3 (MQTTv31), 4 (MQTTv311) or 5 (MQTTv5)")


def protocol_version(key: str, value: object) -> int:
    """Check a version of MQTT, which may be its name or that of its constant."""
    if isinstance(value, (str, float)):
        value = _PROTOCOLS.get(str(value).strip().lower(), value)
    return _protocol_number(key, value)
