"""The keys that say where the brokers are: hosts, sockets, URLs, and lists of them."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Literal, NamedTuple, cast

from .._core import parse_broker_url
from . import checks
from .base import called
from .keys import BrokerKeys
from .options import Endpoint
from .shown import show, shown, wrong_value

_USUAL_PORT = {
    ("tcp", False): 1883, ("tcp", True): 8883, ("websockets", False): 80, ("websockets", True): 443,
}  # fmt: skip

#: What the parts of a URL are called that a key overrides: one, and several.
_PARTS = {
    "broker_port": ("port", "ports"),
    "username": ("the user name", "the user names"),
    "password": ("the password", "the passwords"),
    "ws_path": ("path", "paths"),
}

#: A user name is often a token.
_SECRETS = ("username", "password")

#: The longest path that fits into the address of a socket on every system.
_LONGEST_SOCKET = 103


def endpoints(values: BrokerKeys) -> list[Endpoint]:
    """Return the brokers, in the order in which they are tried.

    Raises:
        ValueError: One is malformed, or contradicts another key.
    """
    return [
        _from_url(values, item) if item.url else _from_host(values, item) for item in _items(values)
    ]


def overridden(values: BrokerKeys) -> list[str]:
    """Return a line for each key that stands in place of another value in a URL."""
    lines = []
    for name, (one, several) in _PARTS.items():
        mine = getattr(values, name)
        theirs = [item.url.part(name) for item in _items(values) if item.url]
        others = list(dict.fromkeys(part for part in theirs if part not in (None, mine)))
        if not (values.is_set(name) and mine not in (None, "") and others):
            continue
        key, what = values.key(name), one if len(others) == 1 else several
        if name in _SECRETS:
            lines.append(f"{key} overrides {what} in {values.key('broker_url')}")
            continue
        theirs_shown = " and ".join(shown(key, other) for other in others)
        lines.append(
            f"{key} ({shown(key, mine)}) overrides {what} {theirs_shown} "
            f"in {values.key('broker_url')}"
        )
    return lines


def _items(values: BrokerKeys) -> list[_Item]:
    listed = values.broker_url
    texts = listed if isinstance(listed, list) else listed.split(",")
    return [_Item(text.strip(), _parse(values, text.strip())) for text in texts]


def _parse(values: BrokerKeys, text: str) -> _Url | None:
    if "://" not in text:
        return None
    try:
        url = _Url(*parse_broker_url(text))
        return url._replace(
            password=checks.password(called(BrokerKeys, "password", None), url.password)
        )
    except ValueError as error:
        raise ValueError(f"{values.key('broker_url')}: {error}") from None


def _from_url(values: BrokerKeys, item: _Item) -> Endpoint:
    url = cast("_Url", item.url)
    if values.is_set("transport") and values.transport != url.transport:
        raise _contradiction(values, "transport", item.text)
    if values.is_set("tls_enabled") and values.tls_enabled != url.tls:
        raise _contradiction(values, "tls_enabled", item.text)
    if url.transport == "unix":
        return _unix(values, url.host)
    usual = _USUAL_PORT[url.transport, url.tls]
    return Endpoint(
        transport=url.transport,
        tls=url.tls,
        host=url.host,
        port=values.broker_port if values.is_set("broker_port") else url.port or usual,
        path=values.ws_path if values.is_set("ws_path") else url.path or values.ws_path,
        username=values.username or url.username or values.username,
        password=values.password or url.password or values.password,
    )


def _from_host(values: BrokerKeys, item: _Item) -> Endpoint:
    if values.transport == "unix":
        if values.tls_enabled:
            raise ValueError(
                f"{_shown(values, 'transport')} and {_shown(values, 'tls_enabled')} contradict "
                "each other: there is no TLS on a unix socket"
            )
        return _unix(values, _socket(values, item.text))
    return Endpoint(
        transport=cast("Literal['tcp', 'websockets']", values.transport),
        tls=values.tls_enabled,
        host=_host(values, item.text),
        port=values.broker_port,
        path=values.ws_path,
        username=values.username,
        password=values.password,
    )


def _unix(values: BrokerKeys, path: str) -> Endpoint:
    if len(path.encode()) > _LONGEST_SOCKET:
        raise _refused(values, path, f"the path of a socket has at most {_LONGEST_SOCKET} bytes")
    return Endpoint("unix", False, path, 0, values.ws_path, values.username, values.password)


def _host(values: BrokerKeys, text: str) -> str:
    if not text:
        raise _refused(values, text, "it must be the host name or address of the broker, or a URL")
    name = text[1:-1] if re.fullmatch(r"\[.*:.*\]", text) else text
    brackets = "" if ":" in name else "[]"
    if any(not sign.isprintable() or sign in f" @?#\\{brackets}" for sign in name):
        raise _refused(
            values,
            text,
            "it must be a host name or address; a user and a password need a URL, as in "
            "mqtt://user:password@host, with a comma as %2C",
        )
    if "/" in name:
        raise _refused(
            values,
            text,
            "a host has no / in it; for the path of a socket set "
            f"{values.key('transport')} to 'unix'",
        )
    if ":" in name and not _is_ipv6(name):
        raise _refused(
            values,
            text,
            f"the host must not include a port; set {values.key('broker_port')}, or write a URL, "
            "as in mqtt://host:1883",
        )
    return name


def _socket(values: BrokerKeys, text: str) -> str:
    # A name alone is one in the working directory, but nobody means the default.
    if "/" in text or (text and (values.key_prefix is None or values.is_set("broker_url"))):
        return text
    needed = f"with {values.key('transport')} = 'unix' it must be the path of the socket"
    raise _refused(values, text, f"{needed}, as in /run/broker.sock")


def _refused(values: BrokerKeys, text: str, reason: str) -> ValueError:
    return wrong_value(values.key("broker_url"), text, reason)


def _contradiction(values: BrokerKeys, name: str, url: str) -> ValueError:
    return ValueError(
        f"{_shown(values, name)} and {show(values.key('broker_url'), url)} contradict each other: "
        f"leave out {values.key(name)}, or write another scheme"
    )


def _shown(values: BrokerKeys, name: str) -> str:
    return show(values.key(name), getattr(values, name))


def any_tls(endpoints: list[Endpoint]) -> bool:
    """Return whether TLS goes to one of the brokers."""
    return any(endpoint.tls for endpoint in endpoints)


class _Url(NamedTuple):
    """What is in a URL, as the core takes it apart."""

    transport: Literal["tcp", "websockets", "unix"]
    tls: bool
    host: str
    port: int | None
    path: str | None
    username: str | None
    password: str | bytes | None

    def part(self, name: str) -> Any:
        """Return what the URL has for a setting, or None."""
        return getattr(self, name.removeprefix("broker_").removeprefix("ws_"))


class _Item(NamedTuple):
    """One broker as it was written."""

    text: str
    url: _Url | None


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def usual_headers(broker: Endpoint) -> dict[str, str]:
    """Return the headers of the request for a websocket, but for its key."""
    scheme = "https" if broker.tls else "http"
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    if broker.port != _USUAL_PORT["websockets", broker.tls]:
        host = f"{host}:{broker.port}"
    return {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Origin": f"{scheme}://{host}",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "mqtt",
    }
