"""Finds what the application has done to Python's sockets, which the core does not use."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

#: These do so for all of the standard library, and the core works beside them.
_GREEN = ("eventlet", "gevent")

#: Where the functions of the standard library's module are written.
_WRITTEN_IN = socket.getfqdn.__code__.co_filename

_BESIDE = "a connection to an MQTT broker is made by the Rust core, which does not use it"


def passed_by(proxy_key: str) -> list[str]:
    """Find replacements of sockets that the core would silently bypass, as no proxy is set.

    Args:
        proxy_key: The key or method that sets a proxy, for the text.

    Returns:
        A line for each thing.
    """
    found = []
    if _is_foreign(socket.socket):
        # What is no class, such as a partial or a mock, has no name of its own.
        kind = socket.socket if hasattr(socket.socket, "__qualname__") else type(socket.socket)
        name = f"{kind.__module__}.{kind.__qualname__}"
        found.append(
            f"socket.socket was replaced by {name}: {_BESIDE}. For a proxy set {proxy_key}"
        )
    elif _has_default_proxy():
        found.append(f"socks.set_default_proxy was called: {_BESIDE}. For a proxy set {proxy_key}")
    if any(name.lower() == "mqtt_proxy" and value for name, value in os.environ.items()):
        found.append(f"mqtt_proxy is in the environment and not used: for a proxy set {proxy_key}")
    functions = ("create_connection", "getaddrinfo")
    replaced = [name for name in functions if _is_foreign(getattr(socket, name))]
    return [*found, *(f"socket.{name} was replaced: {_BESIDE}" for name in replaced)]


def _is_foreign(value: Any) -> bool:
    module = str(getattr(value, "__module__", ""))
    if module.startswith(_GREEN):
        return False
    code = getattr(value, "__code__", None)
    # A decorated function says that it is of the module of the original.
    return module != "socket" or (code is not None and code.co_filename != _WRITTEN_IN)


def _has_default_proxy() -> bool:
    """Whether PySocks has a proxy for everything, which paho's client goes through too."""
    socks = sys.modules.get("socks")
    default = getattr(socks, "get_default_proxy", lambda: None)()
    return bool(default and default[0])
