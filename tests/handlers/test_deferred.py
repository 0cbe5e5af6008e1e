"""Handlers that are registered before there is a client, and with each one that comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client
from flask_mqtt.client.handlers import HandlerAttribute
from flask_mqtt.handlers.deferred import EVENTS, Registrations
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt.handlers.caller import Handler
    from support.scripted import ScriptedBroker


class ClientRegistry:
    """A client as what handlers are registered with; those of the same filter beside each other."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def set_handler(self, name: str, handler: Handler) -> None:
        setattr(self._client, name, handler)

    def add_route(self, sub: str, handler: Handler) -> None:
        self._client._parts.dispatcher.add_route_beside(sub, handler)


def test_handlers_are_registered_with_each_client_that_comes(scripted: ScriptedBroker) -> None:
    registrations = Registrations()
    seen: list[tuple[str, Client]] = []

    def note(name: str) -> Handler:
        return lambda client, *_: seen.append((name, client))

    registrations.add_route("a/+", note("one"))
    registrations.set_handler("on_message", note("replaced"))
    registrations.set_handler("on_subscribe", note("subscribed"))
    registrations.add_route("a/+", note("two"))
    registrations.set_handler("on_message", note("other"))
    for _ in range(2):
        seen.clear()
        with connected(make_app(scripted.port)) as mqtt:
            registrations.apply(ClientRegistry(mqtt.client))
            mqtt.subscribe("#")
            wait_until(lambda: len(seen) == 1)
            scripted.publish("a/1")
            scripted.publish("b")
            wait_until(lambda: len(seen) == 4)
            names = ["subscribed", "one", "two", "other"]
            assert seen == [(name, mqtt.client) for name in names]


def test_the_events_are_those_that_a_client_has() -> None:
    slots = {name for name in dir(Client) if isinstance(getattr(Client, name), HandlerAttribute)}
    assert slots | {"on_message"} == EVENTS


def test_what_cannot_be_registered_is_said_at_once() -> None:
    registrations = Registrations()
    with pytest.raises(ValueError, match="name 'on_conect': it must be one of on_connect, "):
        registrations.set_handler("on_conect", print)
    nothing: Any = None
    with pytest.raises(TypeError, match="on_connect None: there is no function"):
        registrations.set_handler("on_connect", nothing)
    with pytest.raises(TypeError, match=r"on_topic\('a'\) None: there is no function"):
        registrations.add_route("a", nothing)
    with pytest.raises(TypeError, match="sub None: it must be a filter"):
        registrations.add_route(nothing, print)
    with pytest.raises(ValueError, match="'#' must be the last level"):
        registrations.add_route("a/#/b", print)
    registered: list[str] = []

    class Noting:
        def set_handler(self, name: str, handler: Handler) -> None:
            registered.append(name)

        def add_route(self, sub: str, handler: Handler) -> None:
            registered.append(sub)

    registrations.apply(Noting())
    assert registered == []


def test_a_handler_that_comes_too_late_is_refused() -> None:
    registrations = Registrations()
    registrations.set_handler("on_log", print)
    client = Client()
    registrations.apply(ClientRegistry(client))
    assert client.on_log is print
    with pytest.raises(RuntimeError, match="on_connect: it is too late for this handler"):
        registrations.set_handler("on_connect", print)
    with pytest.raises(RuntimeError, match=r"on_topic\('a/\+'\): it is too late"):
        registrations.add_route("a/+", print)
    other = Client()
    registrations.apply(ClientRegistry(other))
    assert (other.on_log, other.on_connect) == (print, None)


def test_what_a_client_objects_to_ends_it() -> None:
    registrations = Registrations()
    registrations.set_handler("on_connect", lambda: None)
    with pytest.raises(TypeError, match=r"on_connect .*: it is called with"):
        registrations.apply(ClientRegistry(Client()))
