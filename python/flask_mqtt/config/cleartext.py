"""Brokers that are reached without TLS where others of the list are reached with it."""

from __future__ import annotations

from .keys import Keys
from .options import Endpoint


def falls_back(values: Keys, endpoints: list[Endpoint]) -> list[str]:
    """Return a line about brokers without TLS beside others with it, where there are both.

    Who is able to keep the client from the latter gets what is sent to the former.
    """
    plain = _plain(endpoints)
    if not plain or not any(endpoint.tls for endpoint in endpoints):
        return []
    sent = ["messages"]
    if any(endpoint.username is not None for endpoint in plain):
        has_password = any(endpoint.password is not None for endpoint in plain)
        sent.append("the user name and the password" if has_password else "the user name")
    if values.ws_headers and any(endpoint.transport == "websockets" for endpoint in plain):
        sent.append(values.key("ws_headers"))
    what = " and ".join(filter(None, [", ".join(sent[:-1]), sent[-1]]))
    line = (
        f"{values.key('broker_url')} has brokers with TLS and brokers without: {_named(plain)} "
        f"would get {what} unencrypted, and gets the connection where the others cannot be "
        f"reached; {values.key('tls_only')} = True refuses such a list"
    )
    return [line]


def refuse(values: Keys, endpoints: list[Endpoint]) -> None:
    """Look at whether there are only brokers with TLS, where that is wanted.

    Raises:
        ValueError: There are others. The message names them.
    """
    plain = _plain(endpoints)
    if values.tls_only and plain:
        raise ValueError(
            f"{values.key('tls_only')} is True, and {_named(plain)} in "
            f"{values.key('broker_url')} would be reached without TLS: use the scheme mqtts or "
            f"wss in a URL, or {values.key('tls_enabled')} = True with a host name"
        )


def _plain(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Return those without TLS. What goes through a unix socket does not leave the machine."""
    return [item for item in endpoints if not item.tls and item.transport != "unix"]


def _named(endpoints: list[Endpoint]) -> str:
    scheme = {"tcp": "mqtt", "websockets": "ws"}
    return " and ".join(
        f"{scheme[item.transport]}://{f'[{item.host}]' if ':' in item.host else item.host}"
        f":{item.port}"
        for item in endpoints
    )
