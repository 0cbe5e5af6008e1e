"""Forks: what the clients of a process become in a forked child."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

from .._core import Client as CoreClient
from .._core import Properties, fork_begins, fork_ended, fork_made_this, prepare
from ..config.options import ConnectOptions, Endpoint, TlsOptions, Will
from ..discretion import forget
from ..records import fields, write
from ..waiting import process_begins

if TYPE_CHECKING:
    from ..connection.connection import Connection

logger = logging.getLogger("flask_mqtt")

#: A core, and whether the parent had a connection.
ChildCore = tuple[CoreClient, bool]

_clients: weakref.WeakKeyDictionary[Connection, None] = weakref.WeakKeyDictionary()

#: What the threads that fork have made for the child.
_child_cores: dict[int, list[tuple[Connection, ChildCore]]] = {}


def watch(client: Connection) -> None:
    """Prepare a client for forked children, from now on."""
    _clients[client] = None


def living_clients() -> list[Connection]:
    """Return the clients that there are."""
    # Other threads may make clients in the meantime, which no iterator takes.
    return [client for reference in _clients.keyrefs() if (client := reference()) is not None]


def notice() -> None:
    """Do in a forked child what is to be done, where Python was not told of the fork."""
    _after_fork_in_child()


def _before_fork() -> None:
    cores: list[tuple[Connection, ChildCore]] = []
    _child_cores[threading.get_ident()] = cores
    for client in living_clients():
        # What has none finds out by itself, in the child, what it can.
        with suppress(Exception):
            cores.append((client, client._child_core()))  # noqa: SLF001


def _after_fork_in_parent() -> None:
    _child_cores.pop(threading.get_ident(), None)


def _after_fork_in_child() -> None:
    process_begins()
    cores = {id(client): core for client, core in _child_cores.pop(threading.get_ident(), ())}
    _child_cores.clear()
    for client in living_clients():
        # Another thread was making one without settings, which nobody has here.
        if not hasattr(client, "_connection_settings"):
            continue
        try:
            if client._core.is_foreign():  # noqa: SLF001
                client._forked(cores.get(id(client)))  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - the others are to be prepared all the same
            forget(error)
            extra = fields(None, "fork_failed", error=str(error))
            text = "An MQTT client could not be prepared for a forked child"
            write(logger.error, text, exc_info=error, extra=extra)


def _sample() -> ConnectOptions:
    """Return options of a connection with everything that there may be in some."""
    text, pem = "text", b"pem"
    return ConnectOptions(
        brokers=[
            Endpoint("tcp", False, text, 1, text, username=text, password=password)
            for password in (text, pem)
        ],
        clean_start_once=0,
        will=Will(text, pem, 0, False, Properties()),
        tls=TlsOptions(
            ca_certs=text,
            certfile=pem,
            keyfile=text,
            keyfile_password=text,
            lowest=771,
            highest=772,
            ciphers=text,
            alpn=[text],
        ),
        websocket_headers=[(text, text)],
        key_prefix=text,
        protocol_version=5,
        connect_properties=Properties(),
        proxy="http://proxy",
        bind_address="127.0.0.1",
        persistence=text,
    )


prepare(_sample(), TlsOptions())

# What keeps others waiting comes last before a fork, and its end first after it.
os.register_at_fork(before=fork_begins)
os.register_at_fork(after_in_parent=fork_ended, after_in_child=fork_made_this)
os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
