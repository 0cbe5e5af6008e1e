"""Passwords of the plugin's clients are nowhere to be read but in the request itself."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.dispatch.tap import MessageOut
from flask_mqtt.dynsec import Command, DynamicSecurity, DynsecError, commands
from support.apps import make_app
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flask_mqtt import Mqtt
    from support.dynsec import DynsecMosquitto
    from support.mosquitto import Mosquitto

MARK = "hunter"
REQUESTS = "$CONTROL/dynamic-security/v1"


def with_passwords(name: str) -> list[Command[Any]]:
    return [
        commands.create_client(name, f"{MARK}-1"),
        commands.set_client_password(name, f"{MARK}-2"),
        commands.modify_client(name, password=f"{MARK}-3"),
    ]


def shown(error: BaseException) -> Iterator[str]:
    """List what a report of a crash shows of an exception, local variables of ours included."""
    link: BaseException | None = error
    while link is not None:
        yield "".join(traceback.format_exception_only(link))
        yield repr((link, link.args, vars(link)))
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if str(frame.f_globals.get("__name__")).startswith("flask_mqtt"):
                yield repr(frame.f_locals)
        link = link.__cause__ or link.__context__


def raised_by(call: Callable[[], Any]) -> Iterator[str]:
    with pytest.raises((DynsecError, ValueError)) as raised:
        call()
    yield from shown(raised.value)


def test_of_requests_that_are_carried_out_or_refused(
    plugin: DynsecMosquitto, admin: Mqtt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    told: list[Any] = []
    admin.on_log()(lambda _client, _userdata, _level, text: lines.append(text))
    admin.client.enable_logger()
    admin.client._parts.dispatcher.tap.add(told.append)
    dynsec = DynamicSecurity(admin)
    texts = [repr(dynsec), repr(dynsec.aio), repr(dynsec.execute(*with_passwords("secretive")))]
    for command in with_passwords("secretive"):
        texts += [repr(command), str(command), format(command), command.title]
    texts += raised_by(lambda: dynsec.create_client("secretive", f"{MARK}-4"))
    texts += raised_by(lambda: dynsec.set_client_password("no one", f"{MARK}-5"))
    texts += raised_by(lambda: asyncio.run(dynsec.aio.create_client("secretive", f"{MARK}-6")))
    texts += raised_by(lambda: dynsec.create_client("x", f"{MARK}\0"))
    texts += raised_by(lambda: asyncio.run(dynsec.aio.create_client("x", f"{MARK}\0")))
    texts += raised_by(lambda: dynsec.execute(*with_passwords("secretive")))
    by_hand = {"command": "createClient", "username": "by hand", "password": f"{MARK}-7"}
    admin.publish(REQUESTS, json.dumps({"commands": [by_hand]}), 1).wait_for_publish(20)
    # Those of the core come after the responses.
    wait_until(lambda: any("/response" in line for line in lines))
    texts += [*lines, *map(repr, told)]
    texts += [repr(vars(record)) + record.getMessage() for record in caplog.records]
    assert any(isinstance(what, MessageOut) and "***" in str(what.payload) for what in told)
    assert any("Dynamic security: createClient 'secretive'" in text for text in texts)
    assert [text for text in texts if MARK in text] == []
    assert MARK not in plugin.log


def test_of_requests_without_a_response(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    stored = tmp_path / "messages"
    app = make_app(
        broker.port, client_id="dynsec-secrets", clean_session=False, persistence=str(stored)
    )
    with connected(app) as mqtt:
        dynsec = DynamicSecurity(mqtt, timeout=0.2)
        texts = list(raised_by(lambda: dynsec.create_client("x", f"{MARK}-1")))
        texts += raised_by(lambda: asyncio.run(dynsec.aio.create_client("x", f"{MARK}-2")))
        mqtt.publish("stored", "stored-with-it", 1).wait_for_publish(20)
        assert MARK.encode() not in stored.read_bytes()
        mqtt.client.disconnect()
        wait_until(lambda: not mqtt.client._parts.connection.is_wanted)
        texts += raised_by(lambda: dynsec.create_client("x", f"{MARK}-3"))
    texts += [repr(vars(record)) + record.getMessage() for record in caplog.records]
    assert [text for text in texts if MARK in text] == []
