"""Waiting for the plugin's responses: when there are none, late ones, or those of others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt import MQTT_ERR_NO_CONN, Client, Mqtt, MQTTMessageInfo, MQTTv5
from flask_mqtt.dispatch.tap import Acknowledged, Disconnected
from flask_mqtt.dynsec import (
    Acl,
    AclType,
    Details,
    DynamicSecurity,
    DynsecError,
    DynsecTimeoutError,
    DynsecUnavailableError,
    Page,
    commands,
)
from support.apps import make_app
from support.packets import MQTT5
from support.ports import closed_port
from support.running import closing, connected
from support.scripted import ScriptedBroker
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flask import Flask

    from support.dynsec import DynsecMosquitto
    from support.mosquitto import Mosquitto
    from support.packets import Packet

REQUESTS = "$CONTROL/dynamic-security/v1"
RESPONSES = f"{REQUESTS}/response"


class FakePlugin(ScriptedBroker):
    """A broker whose plugin responds as a test says, for what the real one cannot be made to do."""

    def __init__(self, respond: Callable[[dict[str, Any]], Any] | None, **options: Any) -> None:
        self.respond = respond
        super().__init__(hook=self._respond, **options)

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The commands that came."""
        publishes = [packet for packet in self.of("PUBLISH") if packet.topic == REQUESTS]
        return [
            command for packet in publishes for command in json.loads(packet.payload)["commands"]
        ]

    def _respond(self, _broker: ScriptedBroker, packet: Packet) -> bool:
        if packet.kind == "PUBLISH" and packet.topic == REQUESTS and self.respond is not None:
            answers = [self.respond(command) for command in json.loads(packet.payload)["commands"]]
            self.tell({"responses": [answer for answer in answers if answer is not None]})
        return False

    def tell(self, response: Any) -> None:
        """Send a response to the newest connection."""
        self.publish(RESPONSES, json.dumps(response).encode())


def response_to(command: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {
        "command": command["command"],
        "correlationData": command["correlationData"],
        **values,
    }


NAMES = {"roles": ["a"], "totalCount": 1}


def of_names(command: dict[str, Any]) -> dict[str, Any]:
    return response_to(command, data=NAMES)


@contextlib.contextmanager
def reconnecting(app: Flask) -> Iterator[Mqtt]:
    """Give a client as `connected` does, one that loses no time between attempts to connect."""
    mqtt = Mqtt()
    mqtt.client.reconnect_delay_set(0.05, 0.1)
    mqtt.init_app(app)
    with mqtt:
        wait_until(lambda: mqtt.connected)
        yield mqtt


# -- no response ----------------------------------------------------------------------------------


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


# -- the connection -------------------------------------------------------------------------------


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


# -- responses ------------------------------------------------------------------------------------


def test_responses_of_others_and_what_is_no_response_are_ignored() -> None:
    def respond(command: dict[str, Any]) -> dict[str, Any]:
        odd_ones: list[Any] = [
            {"responses": [response_to(command, data=NAMES) | {"correlationData": "other-0"}]},
            {"responses": [{"command": "listRoles", "data": NAMES}]},
            {"responses": [response_to(command) | {"correlationData": 5}]},
            {"responses": [response_to(command) | {"correlationData": None}]},
            {"responses": 7},
            {"responses": [7]},
            [],
            None,
        ]
        for odd in odd_ones:
            broker.tell(odd)
        token = command["correlationData"].rpartition("-")[0]
        for number in ("x", "1", "-1", "²", "9" * 5000):
            broker.tell({"responses": [{"correlationData": f"{token}-{number}", "error": "no"}]})
        broker.publish(RESPONSES, b"\xff\xfe no JSON")
        broker.publish(RESPONSES, b"[" * 100_000)
        return of_names(command)

    with FakePlugin(respond) as broker, connected(make_app(broker.port)) as mqtt:
        others: list[Any] = []
        mqtt.on_message()(lambda *arguments: others.append(arguments))
        assert list(DynamicSecurity(mqtt).list_roles()) == ["a"]
        # Nor are they messages for the application.
        broker.tell({"responses": []})
        broker.publish("end", b"")
        wait_until(lambda: others)
        assert [message.topic for _, _, message in others] == ["end"]


def test_two_admins_at_once(plugin: DynsecMosquitto, dynsec: DynamicSecurity) -> None:
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    with connected(app) as mqtt:
        another, wrong = DynamicSecurity(mqtt), []

        def create(admin: DynamicSecurity, number: int) -> None:
            for turn in range(20):
                name = f"two-{number}-{turn}"
                admin.create_role(name, textname=name)
                if admin.get_role(name).textname != name:
                    wrong.append(name)
                admin.delete_role(name)

        threads = [
            threading.Thread(target=create, args=(admin, number))
            for number, admin in enumerate([dynsec, another, another, dynsec])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert not [name for name in dynsec.list_roles() if name.startswith("two-")]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({}, r"listRoles: the response is not what was expected: KeyError\('roles'\)"),
        ({"data": []}, "the response is not what was expected"),
        ({"data": {"roles": 5}}, "the response is not what was expected"),
        ({"error": "Internal error"}, "listRoles: Internal error"),
    ],
)
def test_a_response_that_nobody_expects(answer: dict[str, Any], text: str) -> None:
    with (
        FakePlugin(lambda command: response_to(command, **answer)) as broker,
        connected(make_app(broker.port)) as mqtt,
        pytest.raises(DynsecError, match=text),
    ):
        DynamicSecurity(mqtt).list_roles()


def test_what_a_newer_plugin_has() -> None:
    answers = {
        "getDetails": {"clientCount": 3, "groupCount": 2, "roleCount": 1, "changeIndex": 99},
        "getRole": {
            "role": {"rolename": "r", "allowwildcardsubs": False, "acls": [], "new": "ignored"}
        },
        "getClient": {
            "client": {"username": "u", "connections": [{"address": "::1"}], "disabled": True}
        },
        "createRole": {},
    }

    def respond(command: dict[str, Any]) -> dict[str, Any]:
        return response_to(command, data=answers.get(command["command"], command))

    with FakePlugin(respond) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        assert dynsec.get_details() == Details(3, 2, 1, 99)
        assert dynsec.get_role("r").allow_wildcard_subs is False
        assert dynsec.get_client("u").connections == ("::1",)
        dynsec.create_role("r", allow_wildcard_subs=False)
        assert broker.requests[-1]["allowwildcardsubs"] is False
        [data] = dynsec.execute(commands.other("setColour", colour="red"))
        assert data["colour"] == "red"


# -- how the client is used -----------------------------------------------------------------------


def test_it_subscribes_once_and_close_unsubscribes() -> None:
    with FakePlugin(of_names) as broker, connected(make_app(broker.port)) as mqtt:
        dynsec = DynamicSecurity(mqtt)
        for _ in range(3):
            dynsec.list_roles()
        assert [packet.filters for packet in broker.of("SUBSCRIBE")] == [((RESPONSES, 0),)]
        assert dict(mqtt.topics) == {}
        mqtt.unsubscribe_all()
        dynsec.close()
        broker.wait_for("UNSUBSCRIBE")
        dynsec.close()
        dynsec.list_roles()
        assert len(broker.of("SUBSCRIBE")) == 2
        assert len(broker.of("UNSUBSCRIBE")) == 1
        assert mqtt.client._parts.observers == []


def test_a_client_that_was_reinitialised() -> None:
    with FakePlugin(of_names) as broker, closing(Client()) as client:
        dynsec = DynamicSecurity(client)
        for _ in range(2):
            client.connect("127.0.0.1", broker.port)
            client.loop_start()
            assert list(dynsec.list_roles()) == ["a"]
            client.reinitialise()


def test_with_mqtt_5() -> None:
    with (
        FakePlugin(of_names, version=MQTT5) as broker,
        connected(make_app(broker.port, protocol_version=MQTTv5)) as mqtt,
    ):
        assert list(DynamicSecurity(mqtt).list_roles()) == ["a"]


def test_where_too_much_waits_for_the_broker() -> None:
    with FakePlugin(of_names, withhold={"PUBACK"}) as broker:
        app = make_app(broker.port, max_outgoing_bytes=1, publish_timeout=0)
        with connected(app) as mqtt:
            mqtt.publish("first", "x", 1)
            expected = "listRoles: the request was not accepted for sending: MQTT_ERR_QUEUE_SIZE"
            with pytest.raises(DynsecUnavailableError, match=expected):
                DynamicSecurity(mqtt).list_roles()


def test_a_failing_subscribe_of_the_application_is_told() -> None:
    class Odd(Client):
        def subscribe(self, *_: Any, **__: Any) -> Any:
            raise OSError("odd")

    with FakePlugin(of_names) as broker, closing(Odd()) as client:
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        with pytest.raises(OSError, match="odd"):
            DynamicSecurity(client).list_roles()


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


def test_observers_of_others_are_told_as_before(plugin: DynsecMosquitto, admin: Mqtt) -> None:
    told: list[Any] = []
    tap = admin.client._parts.dispatcher.tap
    tap.add(told.append)
    dynsec = DynamicSecurity(admin)
    threads = [
        threading.Thread(target=lambda: [dynsec.list_roles() for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told.clear()
    admin.publish("observed", "x", 1)
    wait_until(lambda: any(isinstance(what, Acknowledged) for what in told))
    tap.remove(told.append)
    assert plugin.port


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


def test_with_a_prefix_of_topics(plugin: DynsecMosquitto) -> None:
    app = make_app(plugin.port, username=plugin.admin, password=plugin.password)
    app.config["MQTT_PREFIX"] = "site/a"
    with reconnecting(app) as mqtt:
        messages: list[Any] = []
        mqtt.on_message()(lambda _client, _userdata, message: messages.append(message.topic))
        dynsec = DynamicSecurity(mqtt)
        assert "admin" in list(dynsec.list_roles())
        with pytest.raises(DynsecUnavailableError):
            dynsec.set_client_id(plugin.admin)
        assert "admin" in list(dynsec.list_clients())
        assert messages == []
