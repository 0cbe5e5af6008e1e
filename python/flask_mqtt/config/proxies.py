"""Proxies in the form in which paho takes them, which is that of PySocks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from .shown import without_userinfo

#: The arguments of `proxy_url`.
PROXY_ARGUMENTS = (
    "proxy_type", "proxy_addr", "proxy_port", "proxy_rdns", "proxy_username", "proxy_password",
)  # fmt: skip

_SOCKS4, _SOCKS5, _HTTP = 1, 2, 3

_TYPES = {"SOCKS4": _SOCKS4, "SOCKS5": _SOCKS5, "HTTP": _HTTP}

#: The scheme of a proxy's URL, and the port that PySocks takes without one.
_USUAL = {_SOCKS5: ("socks5", 1080), _HTTP: ("http", 8080)}

_WANTED = "it must be socks.SOCKS5 (2), socks.HTTP (3), 'socks5' or 'http'"


def proxy_url(
    proxy_type: int | str | None = None,
    proxy_addr: str | None = None,
    proxy_port: int | None = None,
    proxy_rdns: bool = True,
    proxy_username: str | None = None,
    proxy_password: str | None = None,
) -> str:
    """Return the URL of a proxy.

    Args:
        proxy_type: A number of PySocks's, or its name.
        proxy_addr: Host name or address.
        proxy_port: TCP port; by default 1080 for SOCKS 5 and 8080 for HTTP.
        proxy_rdns: Whether the proxy looks up the broker's name, which it always does here.
        proxy_username: User name.
        proxy_password: Password.

    Raises:
        TypeError: A value has the wrong type.
        ValueError: A value is not allowed.
    """
    scheme, usual_port = _usual(proxy_type)
    if not isinstance(proxy_addr, str) or not proxy_addr:
        given = without_userinfo(proxy_addr)
        raise ValueError(f"proxy_addr {given}: it must be the proxy's host name or address")
    port = usual_port if proxy_port is None else proxy_port
    if isinstance(port, bool) or not isinstance(port, int):
        raise TypeError(f"proxy_port {port!r}: it must be a number")
    if not proxy_rdns:
        raise ValueError(f"proxy_rdns {proxy_rdns!r}: it must be True, the proxy looks names up")
    host = f"[{proxy_addr}]" if ":" in proxy_addr else proxy_addr
    return f"{scheme}://{_userinfo(proxy_username, proxy_password)}{host}:{port}"


def _usual(proxy_type: int | str | None) -> tuple[str, int]:
    number: Any = proxy_type
    if isinstance(proxy_type, str):
        number = _TYPES.get(proxy_type.upper())
    if number == _SOCKS4:
        raise ValueError(f"proxy_type {proxy_type!r}: SOCKS 4 is not supported; {_WANTED}")
    if number not in _USUAL:
        raise ValueError(f"proxy_type {proxy_type!r}: {_WANTED}")
    return _USUAL[number]


def _userinfo(username: str | None, password: str | None) -> str:
    if username is None:
        if password is not None:
            raise ValueError("proxy_password has no use without a proxy_username")
        return ""
    for name, value in (("proxy_username", username), ("proxy_password", password)):
        if not isinstance(value, (str, bytes, type(None))):
            raise TypeError(f"{name} is of type {type(value).__name__}: it must be a string")
    secret = "" if password is None else f":{quote(password, safe='')}"
    return f"{quote(username, safe='')}{secret}@"
