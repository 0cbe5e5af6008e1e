"""What paho's client has and ours does not: the error says what to do instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client

if TYPE_CHECKING:
    from collections.abc import Callable

SOCKET_HANDLERS = [
    "on_socket_register_write",
    "on_socket_unregister_write",
]

CALLS: list[tuple[str, Callable[[Client], Any], str]] = [
    ("loop_read()", lambda client: client.loop_read(), "loop_start()"),
    ("loop_write()", lambda client: client.loop_write(), "loop_start()"),
    ("loop_misc()", lambda client: client.loop_misc(), "loop_start()"),
    ("want_write()", lambda client: client.want_write(), "loop_start()"),
    ("socket()", lambda client: client.socket(), "loop_start()"),
    ("connect_srv()", lambda client: client.connect_srv("example.com"), "connect()"),
    ("enable_bridge_mode()", lambda client: client.enable_bridge_mode(), "SubscribeOptions"),
    ("drop_out_messages()", lambda client: client.drop_out_messages(), "reinitialise()"),
    *[
        (f"{name[3:]}_callback()", lambda client, name=name: _decorate(client, name), "on_connect")
        for name in SOCKET_HANDLERS
    ],
]


def _decorate(client: Client, name: str) -> None:
    getattr(client, f"{name[3:]}_callback")()


@pytest.mark.parametrize(("name", "call", "instead"), CALLS, ids=[name for name, *_ in CALLS])
def test_the_error_names_the_call_and_what_to_do(
    name: str, call: Callable[[Client], Any], instead: str
) -> None:
    with pytest.raises(NotImplementedError) as caught:
        call(Client())
    assert str(caught.value).startswith(f"{name} is not supported: ")
    assert instead in str(caught.value)


@pytest.mark.parametrize("name", SOCKET_HANDLERS)
def test_a_handler_of_sockets_is_none_and_stays_so(name: str) -> None:
    client = Client()
    assert getattr(client, name) is None
    setattr(client, name, None)
    with pytest.raises(NotImplementedError, match=f"{name} is not supported: the socket belongs"):
        setattr(client, name, print)
    assert getattr(client, name) is None


def test_exceptions_of_handlers_are_always_logged() -> None:
    client = Client()
    client.suppress_exceptions = True
    with pytest.raises(NotImplementedError, match="suppress_exceptions = False is not supported"):
        client.suppress_exceptions = False
    assert client.suppress_exceptions
