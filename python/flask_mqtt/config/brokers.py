"""The keys that say where the brokers are: hosts, sockets, URLs, and lists of them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from .._core import parse_broker_url
from . import checks
from .base import Settings
from .checks import show, wrong_type, wrong_value
from .options import Endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

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


@dataclass
class BrokerSettings(Settings):
    """The values of the keys that say where the brokers are."""

    #: As in the configuration: a host, a path, a URL, or a list of these.
    broker_url: str | list[str] = field(default="localhost", repr=False)
    broker_port: int = 1883
    username: str | None = field(default=None, repr=False)  # often a token
    password: str | bytes | None = field(default=None, repr=False)
    transport: str = "tcp"
    tls_enabled: bool = False
    ws_path: str = field(default="/mqtt", repr=False)

    def endpoints(self) -> list[Endpoint]:
        """Return the brokers, in the order in which they are tried.

        Raises:
            ValueError: One is malformed, or contradicts another key.
        """
        return [self._from_url(item) if item.url else self._from_host(item) for item in self._items]

    def overridden(self) -> list[str]:
        """Return a line for each key that stands in place of another value in a URL."""
        lines = []
        for name, (one, several) in _PARTS.items():
            mine = getattr(self, name)
            theirs = [item.url.part(name) for item in self._items if item.url]
            others = list(dict.fromkeys(part for part in theirs if part not in (None, mine)))
            if not (self.is_set(name) and mine not in (None, "") and others):
                continue
            key, what = self.key(name), one if len(others) == 1 else several
            if name in _SECRETS:
                lines.append(f"{key} overrides {what} in {self.key('broker_url')}")
                continue
            theirs_shown = " and ".join(checks.shown(key, other) for other in others)
            lines.append(
                f"{key} ({checks.shown(key, mine)}) overrides {what} {theirs_shown} "
                f"in {self.key('broker_url')}"
            )
        return lines

    @property
    def _items(self) -> list[_Item]:
        listed = self.broker_url
        texts = listed if isinstance(listed, list) else listed.split(",")
        return [_Item(text.strip(), self._parse(text.strip())) for text in texts]

    def _parse(self, text: str) -> _Url | None:
        if "://" not in text:
            return None
        try:
            url = _Url(*parse_broker_url(text))
            return url._replace(password=checks.password("password", url.password))
        except ValueError as error:
            raise ValueError(f"{self.key('broker_url')}: {error}") from None

    def _from_url(self, item: _Item) -> Endpoint:
        url = cast("_Url", item.url)
        if self.is_set("transport") and self.transport != url.transport:
            raise self._contradiction("transport", item.text)
        if self.is_set("tls_enabled") and self.tls_enabled != url.tls:
            raise self._contradiction("tls_enabled", item.text)
        if url.transport == "unix":
            return self._unix(url.host)
        usual = _USUAL_PORT[url.transport, url.tls]
        return Endpoint(
            transport=url.transport,
            tls=url.tls,
            host=url.host,
            port=self.broker_port if self.is_set("broker_port") else url.port or usual,
            path=self.ws_path if self.is_set("ws_path") else url.path or self.ws_path,
            username=self.username or url.username or self.username,
            password=self.password or url.password or self.password,
        )

    def _from_host(self, item: _Item) -> Endpoint:
        if self.transport == "unix":
            if self.tls_enabled:
                raise ValueError(
                    f"{self._shown('transport')} and {self._shown('tls_enabled')} contradict each "
                    "other: there is no TLS on a unix socket"
                )
            return self._unix(self._socket(item.text))
        return Endpoint(
            transport=cast("Literal['tcp', 'websockets']", self.transport),
            tls=self.tls_enabled,
            host=self._host(item.text),
            port=self.broker_port,
            path=self.ws_path,
            username=self.username,
            password=self.password,
        )

    def _unix(self, path: str) -> Endpoint:
        if len(path.encode()) > _LONGEST_SOCKET:
            raise self._refused(path, f"the path of a socket has at most {_LONGEST_SOCKET} bytes")
        return Endpoint("unix", False, path, 0, self.ws_path, self.username, self.password)

    def _host(self, text: str) -> str:
        if not text:
            raise self._refused(text, "it must be the host name or address of the broker, or a URL")
        name = text[1:-1] if re.fullmatch(r"\[.*:.*\]", text) else text
        brackets = "" if ":" in name else "[]"
        if any(not sign.isprintable() or sign in f" @?#\\{brackets}" for sign in name):
            raise self._refused(
                text,
                "it must be a host name or address; a user and a password need a URL, as in "
                "mqtt://user:password@host, with a comma as %2C",
            )
        if "/" in name:
            raise self._refused(
                text,
                "a host has no / in it; for the path of a socket set "
                f"{self.key('transport')} to 'unix'",
            )
        if ":" in name and not _is_ipv6(name):
            raise self._refused(
                text,
                f"the host must not include a port; set {self.key('broker_port')}, or write a URL, "
                "as in mqtt://host:1883",
            )
        return name

    def _socket(self, text: str) -> str:
        # A name alone is one in the working directory, but nobody means the default.
        if "/" in text or (text and (self.prefix is None or self.is_set("broker_url"))):
            return text
        needed = f"with {self.key('transport')} = 'unix' it must be the path of the socket"
        raise self._refused(text, f"{needed}, as in /run/broker.sock")

    def _refused(self, text: str, reason: str) -> ValueError:
        return wrong_value(self.key("broker_url"), text, reason)

    def _contradiction(self, name: str, url: str) -> ValueError:
        return ValueError(
            f"{self._shown(name)} and {show(self.key('broker_url'), url)} contradict each other: "
            f"leave out {self.key(name)}, or write another scheme"
        )

    def _shown(self, name: str) -> str:
        return show(self.key(name), getattr(self, name))


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


def _is_list(value: object) -> bool:
    # An IPv6 address in brackets is none.
    return isinstance(value, str) and re.match(r"\s*\[\s*(\"|\])", value) is not None


def broker_url(key: str, value: object) -> str | list[str]:
    """Check the type of `MQTT_BROKER_URL`; what it says is looked at with the other keys."""
    value = checks.from_json(key, value) if _is_list(value) else value
    if isinstance(value, str):
        return checks.text(key, value).strip()
    if not isinstance(value, (list, tuple)):
        raise wrong_type(key, value, "a string or a list of strings")
    if not value:
        raise wrong_value(key, value, "the list must name at least one broker")
    for item in value:
        if not isinstance(item, str):
            kind = type(item).__name__
            raise TypeError(f"{key} is a list with a {kind} in it: it must be a list of strings")
    return [checks.text(key, item).strip() for item in value]


#: The check of each key.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "broker_url": broker_url,
    "broker_port": checks.integer(1, 65_535),
    "username": checks.text_or_none,
    "password": checks.password,
    "transport": checks.choice("tcp", "websockets", "unix"),
    "tls_enabled": checks.boolean,
    "ws_path": checks.websocket_path,
}
