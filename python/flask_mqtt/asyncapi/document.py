"""The document of an application."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from ..extension.application import extensions_of
from ..extension.connecting import values_of
from ..extension.prefix import TopicPrefix
from ..extension.routes import routes_of, sent_of
from ..payloads.shape import Definitions
from ..routing.converters import parse_arguments
from ..routing.patterns import Placeholder
from ..routing.signature import result_of
from .channels import Channels
from .servers import security_schemes, servers_of

if TYPE_CHECKING:
    from flask import Flask

    from ..config import Config
    from ..routing.patterns import Pattern
    from ..routing.route import Route
    from ..routing.sent import Sent

_TOPIC = "The topic of the message, with all its levels."


def document(app: Flask, title: str | None = None, version: str = "1.0.0") -> dict[str, Any]:
    """Return the AsyncAPI 3.0 document of an application: a dict for JSON.

    It has what the routes receive, and what is sent: dead letters, responses, and what
    `Mqtt.sends` declares. Brokers are there without anything secret.

    Args:
        app: The application.
        title: Of the document; by default the application's name.
        version: Of the application, and so of the document.

    Raises:
        ValueError: Two different payload types of pydantic or msgspec have the same name.
    """
    definitions = Definitions()
    channels = Channels(definitions)
    extensions = extensions_of(app)
    servers: dict[str, Any] = {}
    for prefix, mqtt in extensions.items():
        values = values_of(mqtt)
        own = servers_of(values, prefix.lower())
        servers.update(own)
        writer = _Writer(channels, values, [*own] if len(extensions) > 1 else [])
        for route in routes_of(mqtt):
            writer.add_route(route)
        for sent in sent_of(mqtt):
            writer.add_sent(sent)
    made: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "info": {"title": app.name if title is None else title, "version": version},
        "servers": servers,
        "channels": channels.channels,
        "operations": channels.operations,
        "components": {"schemas": definitions.schemas},
    }
    if any("security" in server for server in servers.values()):
        made["components"]["securitySchemes"] = security_schemes()
    return made


class _Writer:
    """Adds what an extension receives and sends."""

    def __init__(self, channels: Channels, values: Config, servers: list[str]) -> None:
        self._channels = channels
        self._prefix = TopicPrefix(values.prefix)
        self._servers = servers

    def add_route(self, route: Route) -> None:
        options = route.options
        channel = self._channel(route.pattern, no_prefix=options.no_prefix)
        decoder = None if route.payload is None else route.payload.decoder
        further = _texts_of(route.handler)
        if options.share is not None:
            further["description"] = "\n\n".join(
                [
                    *filter(None, [further.get("description")]),
                    f"Shared by the group {options.share}.",
                ]
            )
        if options.response:
            further["reply"] = self._reply(route, channel)
        name = self._channels.operation(
            route.name or channel,
            "receive",
            channel,
            decoder,
            binding={"qos": options.qos} if options.subscribes else None,
            **further,
        )
        if options.dead_letter is not None:
            address = self._address(options.dead_letter, no_prefix=options.no_prefix)
            parameters = {"topic": {"description": _TOPIC}} if "{topic}" in address else {}
            self._channels.operation(
                f"{name}_dead_letter",
                "send",
                self._channels.channel(address, parameters, self._servers),
                None,
                summary=f"Messages that {name} could not handle.",
            )

    def add_sent(self, sent: Sent) -> None:
        channel = self._channel(sent.pattern, no_prefix=sent.no_prefix)
        self._channels.operation(
            sent.name or f"send_{channel}",
            "send",
            channel,
            sent.decoder,
            binding={"qos": sent.qos, "retain": sent.retain},
            **({} if sent.summary is None else {"summary": sent.summary}),
        )

    def _reply(self, route: Route, channel: str) -> dict[str, Any]:
        # The request says where.
        replies = self._channels.channel(None, {}, (), f"{route.name or channel}_response")
        return {
            "address": {
                "location": "$message.header#/ResponseTopic",
                "description": "The response topic of the request (MQTT 5).",
            },
            "channel": {"$ref": f"#/channels/{replies}"},
            "messages": [self._channels.message(replies, result_of(route.handler))],
        }

    def _channel(self, pattern: Pattern, *, no_prefix: bool) -> str:
        levels, parameters = _levels(pattern)
        address = self._address("/".join(levels), no_prefix=no_prefix)
        return self._channels.channel(address, parameters, self._servers)

    def _address(self, topic: str, *, no_prefix: bool) -> str:
        address: str = topic if no_prefix else self._prefix.add(topic)
        return address


def _levels(pattern: Pattern) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Return the levels of an address, and what there is to say of its parameters."""
    levels: list[str] = []
    parameters: dict[str, dict[str, Any]] = {}
    for number, level in enumerate(pattern.levels, 1):
        if isinstance(level, Placeholder):
            name, parameter = level.name, _parameter(level)
        elif level in ("+", "#"):
            name = f"level{number}" if level == "+" else "levels"
            parameter = {"description": "Any level." if level == "+" else "Any levels, or none."}
            while name in pattern.names:
                name = f"{name}_"
        else:
            levels.append(level)
            continue
        levels.append(f"{{{name}}}")
        parameters[name] = parameter
    return levels, parameters


def _parameter(placeholder: Placeholder) -> dict[str, Any]:
    parameter: dict[str, Any] = {"description": f"Converter: {placeholder.shown}."}
    if placeholder.converter == "any":
        values, _ = parse_arguments(placeholder.arguments)
        parameter["enum"] = list(map(str, values))
    return parameter


def _texts_of(handler: Any) -> dict[str, Any]:
    """Return what the docstring of a handler says."""
    summary, _, description = (inspect.getdoc(handler) or "").partition("\n")
    found = {"summary": summary, "description": description.strip()}
    return {name: text for name, text in found.items() if text}
