"""Requests of the plugin's that meet the beginning or the end of a connection."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, Mqtt, MQTTMessageInfo
from flask_mqtt.dispatch.tap import Disconnected
from flask_mqtt.dynsec import (
    DynamicSecurity,
    DynsecError,
    DynsecTimeoutError,
    DynsecUnavailableError,
    Page,
)
from support.apps import make_app
from support.fake_plugin import FakePlugin, of_names, response_to
from support.running import closing, connected, reconnecting
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.dynsec import DynsecMosquitto


def test_a_request_waits_for_the_connection(plugin: DynsecMosquitto) -> None:
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    with Mqtt(app, connect_async=True) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        assert "admin" in list(dynsec.list_roles())


def test_what_reads_is_sent_again_after_a_reconnect() -> None:
    with FakePlugin(None) as broker, reconnecting(make_app(broker.port)) as mqtt:
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(DynamicSecurity(mqtt).list_roles()))
        thread.start()
        wait_until(lambda: broker.requests)
        broker.respond = of_names
        broker.drop()
        thread.join(10)
    assert results == [Page(("a",), 1)]
    assert [command["command"] for command in broker.requests] == ["listRoles"] * 2


def test_what_changes_something_is_not_sent_again() -> None:
    with FakePlugin(None) as broker, reconnecting(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        errors: list[DynsecError] = []

        def delete() -> None:
            try:
                dynsec.delete_role("a")
            except DynsecError as error:
                errors.append(error)

        thread = threading.Thread(target=delete)
        thread.start()
        wait_until(lambda: broker.requests)
        broker.drop()
        thread.join(10)
        assert isinstance(errors[0], DynsecUnavailableError)
        assert errors[0].reason == (
            "the connection was lost before a response came: the command may have been carried out"
        )
        broker.respond = of_names
        assert list(dynsec.list_roles()) == ["a"]
    assert [command["command"] for command in broker.requests] == ["deleteRole", "listRoles"]


@pytest.mark.parametrize("answered", [True, False])
def test_the_end_of_an_earlier_connection_that_is_told_late(answered: bool) -> None:
    """It may have been sent on the present one, of which the response comes then."""
    with FakePlugin(None) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt, timeout=30 if answered else 0.5)

        async def create() -> None:
            task = asyncio.ensure_future(dynsec.aio.create_role("a"))
            await asyncio.to_thread(lambda: wait_until(lambda: broker.requests))
            [request] = dynsec._control._waiting.values()
            request.observe(Disconnected(7, None))
            if answered:
                broker.tell({"responses": [response_to(broker.requests[0])]})
            await task

        if answered:
            asyncio.run(create())
        else:
            with pytest.raises(DynsecTimeoutError, match=r"lost before .* may have been carried"):
                asyncio.run(create())
    assert len(broker.requests) == 1


def test_a_connection_that_ends_just_before_it_is_sent() -> None:
    class Losing(Client):
        losses = 1

        def publish(self, *arguments: Any, **options: Any) -> MQTTMessageInfo:
            if self.losses:
                self.losses -= 1
                return MQTTMessageInfo((MQTT_ERR_NO_CONN, 0))
            return super().publish(*arguments, **options)

    client = Losing()
    with FakePlugin(of_names) as broker, closing(client):
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        assert list(DynamicSecurity(client).list_roles()) == ["a"]
        assert client.losses == 0


def test_an_admin_who_disconnects_himself(own_plugin: DynsecMosquitto) -> None:
    app = make_app(own_plugin.port, username=own_plugin.admin, password=own_plugin.password)
    with reconnecting(app) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        dynsec.create_role("more")
        with pytest.raises(DynsecUnavailableError, match="may have been carried out"):
            dynsec.add_client_role(own_plugin.admin, "more")
        roles = [name for name, _ in dynsec.get_client(own_plugin.admin).roles]
        assert sorted(roles) == ["admin", "more"]


@pytest.mark.parametrize("end", ["close", "disconnect", "dynsec"])
def test_the_end_of_the_connection_ends_the_wait(end: str) -> None:
    with FakePlugin(None) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt, timeout=60)
        errors: list[DynsecError] = []

        def create() -> None:
            try:
                dynsec.create_role("a")
            except DynsecError as error:
                errors.append(error)

        thread = threading.Thread(target=create)
        thread.start()
        wait_until(lambda: broker.requests)
        ends: dict[str, Callable[[], object]] = {
            "close": mqtt.close,
            "disconnect": mqtt.client.disconnect,
            "dynsec": dynsec.close,
        }
        ends[end]()
        thread.join(10)
        assert not thread.is_alive()
        assert isinstance(errors[0], DynsecUnavailableError)
        assert "may have been carried out" in errors[0].reason


def test_a_client_that_was_reinitialised() -> None:
    with FakePlugin(of_names) as broker, closing(Client()) as client:
        dynsec = DynamicSecurity(client)
        for _ in range(2):
            client.connect("127.0.0.1", broker.port)
            client.loop_start()
            assert list(dynsec.list_roles()) == ["a"]
            client.reinitialise()


def test_a_forked_child_has_a_connection_of_its_own(plugin: DynsecMosquitto) -> None:
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    with connected(app) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        before = list(dynsec.list_roles())
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            text = b"nothing"
            try:
                try:
                    dynsec.list_roles()
                except DynsecUnavailableError:
                    mqtt.init_app(app)
                    text = json.dumps(list(dynsec.list_roles())).encode()
            finally:
                os.write(write, text)
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            told = pipe.read()
        os.waitpid(child, 0)
        assert json.loads(told) == before
        assert list(dynsec.list_roles()) == before
