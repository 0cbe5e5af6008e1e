"""Waiting for the plugin's responses, where none comes or nobody may wait."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import Client, Mqtt
from flask_mqtt.dynsec import (
    Acl,
    AclType,
    DynamicSecurity,
    DynsecError,
    DynsecTimeoutError,
    DynsecUnavailableError,
    Page,
    commands,
)
from support.apps import make_app
from support.fake_plugin import REQUESTS, RESPONSES, FakePlugin, of_names
from support.ports import closed_port
from support.running import closing, connected, reconnecting
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.dynsec import DynsecMosquitto
    from support.mosquitto import Mosquitto


def test_a_broker_without_the_plugin(broker: Mosquitto) -> None:
    with connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt, timeout=0.3)
        began = time.monotonic()
        with pytest.raises(DynsecTimeoutError) as raised:
            dynsec.create_client("x", "secret")
        assert 0.3 <= time.monotonic() - began < 3
        error = raised.value
        assert error.command == "createClient"
        assert str(error).startswith("createClient 'x': no response within 0.3 s. Either the bro")
        assert "has no dynamic security plugin" in error.reason
        assert REQUESTS in error.reason
        assert "loop_start" not in error.reason
        with pytest.raises(DynsecTimeoutError, match="has no dynamic security plugin"):
            asyncio.run(dynsec.aio.list_roles())


def test_a_client_whose_loop_nobody_runs(broker: Mosquitto) -> None:
    with closing(Client()) as client:
        client.connect("127.0.0.1", broker.port)
        wait_until(client._parts.holder.core.is_connected)
        with pytest.raises(DynsecTimeoutError, match=r"no thread calls them: see loop_start\(\)"):
            DynamicSecurity(client, timeout=0.1).list_roles()


def test_a_client_that_is_not_connected() -> None:
    with closing(Client()) as client:
        dynsec = DynamicSecurity(client)
        with pytest.raises(DynsecUnavailableError, match="not connected, and does not try to"):
            dynsec.list_roles()
        with pytest.raises(DynsecUnavailableError, match="not connected, and does not try to"):
            asyncio.run(dynsec.aio.list_roles())
        client.connect_async("127.0.0.1", closed_port())
        client.loop_start()
        dynsec.timeout = 0.2
        expected = r"listRoles: there was no connection to the broker within 0\.2 s"
        with pytest.raises(DynsecTimeoutError, match=expected):
            dynsec.list_roles()


@pytest.mark.parametrize("version", [4, 5])
def test_a_user_without_permission(
    plugin: DynsecMosquitto, dynsec: DynamicSecurity, version: int
) -> None:
    name = f"powerless-{version}"
    dynsec.create_client(name, "p")
    app = make_app(plugin.port, username=name, password="p", protocol_version=version)
    connections: list[Any] = []
    with reconnecting(app) as mqtt:
        mqtt.on_connect()(lambda *arguments: connections.append(arguments))
        wait_until(lambda: connections)
        mine = DynamicSecurity(mqtt)
        with pytest.raises(DynsecUnavailableError, match="has no permission") as raised:
            mine.create_client("y", "secret")
        assert not isinstance(raised.value, DynsecTimeoutError)
        assert f"the broker refused the subscription to {RESPONSES} (" in raised.value.reason
        # May subscribe, and not publish.
        acl = Acl(AclType.SUBSCRIBE_LITERAL, RESPONSES)
        dynsec.execute(commands.create_role(name, acls=[acl]), commands.add_client_role(name, name))
        wait_until(lambda: len(connections) == 2)
        mine.timeout = 0.3
        with pytest.raises(DynsecTimeoutError, match="may not publish to"):
            mine.create_client("y", "secret")
    assert "y" not in list(dynsec.list_clients())


def test_a_handler_must_not_wait(plugin: DynsecMosquitto) -> None:
    errors: list[BaseException] = []
    names: list[Page[str]] = []
    mqtt = Mqtt()
    dynsec = DynamicSecurity(mqtt)

    @mqtt.on_connect()
    def handle_connect(*_: Any) -> None:
        waits: list[Callable[[], object]] = [
            dynsec.list_roles,
            lambda: asyncio.run(dynsec.aio.list_roles()),
        ]
        for wait in waits:
            with pytest.raises(RuntimeError) as raised:
                wait()
            errors.append(raised.value)
        thread = threading.Thread(target=lambda: names.append(dynsec.list_roles()))
        thread.start()

    mqtt.init_app(make_app(plugin.port, username=plugin.admin, password=plugin.password))
    with mqtt:
        wait_until(lambda: names)
    assert [str(error)[:47] for error in errors] == [
        "listRoles: a handler must not wait for a respon"
    ] * 2
    assert not any(isinstance(error, DynsecError) for error in errors)


def test_a_wait_that_is_cancelled_leaves_nothing() -> None:
    with FakePlugin(None) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt)

        async def cancel() -> None:
            task = asyncio.ensure_future(dynsec.aio.list_roles())
            await asyncio.to_thread(lambda: wait_until(lambda: broker.requests))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            broker.tell({"responses": [of_names(broker.requests[0])]})

        asyncio.run(cancel())
        assert dynsec._control._waiting == {}
        assert mqtt.client._parts.observers == []
        broker.respond = of_names
        assert list(dynsec.list_roles()) == ["a"]
