"""Forks: what is done before and after one."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress

from .._core import Properties, fork_begins, fork_ended, fork_made_this, prepare
from ..config.options import ConnectOptions, Endpoint, TlsOptions, Will
from ..discretion import forget
from ..records import fields, write
from ..waiting import process_begins
from .members import ChildCore, Member, living

logger = logging.getLogger("flask_mqtt")

#: What the threads that fork have made for the child.
_child_cores: dict[int, list[tuple[Member, ChildCore]]] = {}


def notice() -> None:
    """Do the work of the hooks in a child whose fork did not call them."""
    _after_fork_in_child()


def _before_fork() -> None:
    cores: list[tuple[Member, ChildCore]] = []
    _child_cores[threading.get_ident()] = cores
    for member in living():
        # A member without a core for the child makes one there, as far as that is possible.
        with suppress(Exception):
            cores.append((member, member.child_core()))


def _after_fork_in_parent() -> None:
    _child_cores.pop(threading.get_ident(), None)


def _after_fork_in_child() -> None:
    process_begins()
    cores = {id(member): core for member, core in _child_cores.pop(threading.get_ident(), ())}
    _child_cores.clear()
    for member in living():
        try:
            if member.is_foreign():
                member.forked(cores.get(id(member)))
        except Exception as error:  # noqa: BLE001, PERF203 - the others are due all the same
            forget(error)
            extra = fields(None, "fork_failed", error=str(error))
            text = "An MQTT client could not be prepared for this child process"
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
