"""What messages show of a value: the key, and nothing that is secret."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

#: How the value of a key is shown.
Show = Callable[[object], str]

_HIDDEN = "<hidden>"

#: What stands for the secret part of a URL.
_ELLIPSIS = "…"

#: A name, an IPv4 address or an IPv6 address, with or without a port.
_HOST_AND_PORT = re.compile(r"[^:]*(:\d*)?|\[?[0-9A-Fa-f:.]*(%\w*)?\]?(:\d*)?")

#: Base64, as RFC 4648 has it for keys and for URLs. No key in it begins with a slash.
_ENCODED = re.compile(r"[^\w/]?(data:[^,]*,)?(?!/)[\w+/=\s-]{64}")


class Name(str):
    """What messages call a key, or the argument of that name, and how they show its value."""

    __slots__ = ("show",)

    show: Show

    def __new__(cls, text: str, show: Show = repr) -> Name:  # noqa: PYI034 - Python 3.10 has no Self
        """Make one.

        Args:
            text: The name.
            show: Returns a value as text, without anything secret.
        """
        name = super().__new__(cls, text)
        name.show = show
        return name


def show(key: str, value: object) -> str:
    """Return ``KEY = value`` for a message, without anything secret."""
    return f"{key} = {shown(key, value)}"


def shown(key: str, value: object) -> str:
    """Return the value of a key for a message, without anything secret."""
    return key.show(value) if isinstance(key, Name) else repr(value)


def hidden(_value: object) -> str:
    """Show nothing of a value."""
    return _HIDDEN


def path(value: object) -> str:
    """Show a path, and nothing of a text that stands in its place."""
    if isinstance(value, str):
        is_path = "\n" not in value and "-----" not in value and not is_encoded(value)
    else:
        is_path = value is None or isinstance(value, (int, os.PathLike))
    return repr(value) if is_path else _HIDDEN


def is_encoded(value: str) -> bool:
    """Whether a text may be a key without the lines around it, or one that was encoded once more.

    So may a long relative path.
    """
    return _ENCODED.match(value) is not None


def without_query(value: object) -> str:
    """Hide what may be a signature, and what a URL in the place of a path may have."""
    if isinstance(value, str):
        path = value.partition("?")[0]
        return repr(path) if path.startswith("/") or "@" not in path else without_userinfo(path)
    text = repr(value)
    return _HIDDEN if "?" in text else text


def without_userinfo(value: object) -> str:
    """Hide what may be a user, a password or a token, also where the value is no URL at all."""
    if not isinstance(value, str):
        text = repr(value)
        return _HIDDEN if "@" in text or "://" in text else text
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", value)
    start = scheme[0] if scheme else ""
    rest = value[len(start) :]
    if "@" in rest:
        start += f"{_ELLIPSIS}@"
        rest = rest.rpartition("@")[2]
    rest = re.sub(r"[?#].*", _ELLIPSIS, rest, flags=re.DOTALL)
    authority, slash, path = rest.partition("/")
    if not _HOST_AND_PORT.fullmatch(authority):
        # Without an @, what stands in the place of a port may be a password.
        authority = authority.partition(":")[0] + ":" + _ELLIPSIS
    return repr(start + authority + slash + path)


def wrong_type(key: str, value: object, wanted: str) -> TypeError:
    """Return the exception for a value of a wrong type."""
    return TypeError(f"{show(key, value)} is of type {type(value).__name__}: it must be {wanted}")


def wrong_value(key: str, value: object, reason: str) -> ValueError:
    """Return the exception for a value that is not allowed."""
    return ValueError(f"{show(key, value)}: {reason}")
