"""The servers of the document: the brokers of a configuration, without anything secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..paho.constants import MQTTv5, MQTTv31

if TYPE_CHECKING:
    from ..config import Config
    from ..config.options import Endpoint

BINDING = "0.2.0"

_PROTOCOLS = {("tcp", False): "mqtt", ("tcp", True): "mqtts", ("unix", False): "mqtt"} | {
    ("websockets", False): "ws",
    ("websockets", True): "wss",
}
_VERSIONS = {int(MQTTv31): "3.1", int(MQTTv5): "5.0"}


def servers_of(values: Config, name: str) -> dict[str, Any]:
    """Return the brokers of an extension, in the order in which they are tried.

    Args:
        values: Its configuration.
        name: What the first one is called. The others have numbers.
    """
    options = values.connect_options()
    binding: dict[str, Any] = {
        "cleanSession": values.clean_session,
        "keepAlive": values.keepalive,
        "bindingVersion": BINDING,
    }
    if options.will is not None:
        will = options.will
        binding["lastWill"] = {"topic": will.topic, "qos": will.qos, "retain": will.retain}
    return {
        name if number == 1 else f"{name}_{number}": _server(values, endpoint, binding)
        for number, endpoint in enumerate(options.brokers, 1)
    }


def security_schemes() -> dict[str, Any]:
    """Return the ways to log in that servers refer to."""
    return {
        "password": {"type": "userPassword", "description": "A user name and a password."},
        "certificate": {"type": "X509", "description": "A certificate of the client."},
    }


def _server(values: Config, endpoint: Endpoint, binding: dict[str, Any]) -> dict[str, Any]:
    server: dict[str, Any] = {
        "host": endpoint.host if endpoint.transport == "unix" else _address(endpoint),
        "protocol": _PROTOCOLS[endpoint.transport, endpoint.tls],
        "protocolVersion": _VERSIONS.get(values.protocol_version, "3.1.1"),
        "bindings": {"mqtt": binding},
    }
    if endpoint.transport == "unix":
        server["description"] = "A unix socket of this machine."
    if endpoint.transport == "websockets":
        # A query often has a token.
        server["pathname"] = endpoint.path.partition("?")[0]
    used = {
        "password": endpoint.username is not None,
        "certificate": endpoint.tls and values.tls_certfile is not None,
    }
    security = [
        {"$ref": f"#/components/securitySchemes/{name}"}
        for name, is_used in used.items()
        if is_used
    ]
    if security:
        server["security"] = security
    return server


def _address(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port}"
