"""The plugin's responses: whose they are, and what may be in them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt.dispatch.tap import Acknowledged
from flask_mqtt.dynsec import (
    Details,
    DynamicSecurity,
    DynsecError,
    commands,
)
from support.apps import make_app
from support.fake_plugin import NAMES, RESPONSES, FakePlugin, of_names, response_to
from support.running import connected
from support.wait import wait_until

if TYPE_CHECKING:
    from flask_mqtt import Mqtt
    from support.dynsec import DynsecMosquitto


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
