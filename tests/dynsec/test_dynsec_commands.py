"""Every command of the plugin's, against the plugin of a real mosquitto."""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
import re
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pytest

from flask_mqtt import Client
from flask_mqtt.dynsec import (
    Acl,
    AclType,
    AsyncDynamicSecurity,
    ClientInfo,
    Command,
    DefaultAccess,
    DynamicSecurity,
    DynsecError,
    DynsecTimeoutError,
    GroupInfo,
    Ranked,
    RoleInfo,
    commands,
)
from support.running import closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.dynsec import DynsecMosquitto

#: The plugin of mosquitto 2.1 has these.
COMMANDS = {
    "setDefaultACLAccess",
    "getDefaultACLAccess",
    "getDetails",
    "createClient",
    "deleteClient",
    "getClient",
    "listClients",
    "modifyClient",
    "setClientPassword",
    "setClientId",
    "addClientRole",
    "removeClientRole",
    "enableClient",
    "disableClient",
    "addGroupClient",
    "createGroup",
    "deleteGroup",
    "getGroup",
    "listGroups",
    "modifyGroup",
    "removeGroupClient",
    "addGroupRole",
    "removeGroupRole",
    "setAnonymousGroup",
    "getAnonymousGroup",
    "createRole",
    "getRole",
    "listRoles",
    "modifyRole",
    "deleteRole",
    "addRoleACL",
    "removeRoleACL",
}

#: Of all functions that make a command: what they take at least, and a text of the plugin's.
REFUSED: list[tuple[Command[Any], str]] = [
    (commands.create_client("admin"), "Client already exists"),
    (commands.delete_client("no one"), "Client not found"),
    (commands.enable_client("no one"), "Client not found"),
    (commands.disable_client("no one"), "Client not found"),
    (commands.get_client("no one"), "Client not found"),
    (commands.modify_client("no one"), "Client not found"),
    (commands.set_client_id("no one"), "Client not found"),
    (commands.set_client_password("no one", "p"), "Client not found"),
    (commands.add_client_role("no one", "admin"), "Client not found"),
    (commands.add_client_role("bystander", "no role"), "Role not found"),
    (commands.remove_client_role("no one", "admin"), "Client not found"),
    (commands.create_client("refused", roles=["no role"]), "Role not found"),
    (commands.create_client("refused", groups=["no group"]), "Group not found"),
    (commands.create_group("refused", roles=["no role"]), "Role not found"),
    (commands.delete_group("no group"), "Group not found"),
    (commands.get_group("no group"), "Group not found"),
    (commands.modify_group("no group"), "Group not found"),
    (commands.add_group_client("no group", "bystander"), "Group not found"),
    (commands.remove_group_client("no group", "bystander"), "Group not found"),
    (commands.add_group_role("no group", "bystander"), "Group not found"),
    (commands.remove_group_role("no group", "bystander"), "Group not found"),
    (commands.set_anonymous_group("no group"), "Group not found"),
    (commands.create_role("admin"), "Role already exists"),
    (commands.delete_role("no role"), "Role not found"),
    (commands.get_role("no role"), "Role not found"),
    (commands.modify_role("no role"), "Role (not found|does not exist)"),
    (commands.add_role_acl("no role", "subscribeLiteral", "t"), "Role not found"),
    (commands.remove_role_acl("no role", "subscribeLiteral", "t"), "Role not found"),
    (commands.remove_role_acl("admin", "subscribeLiteral", "t"), "ACL not found"),
    (commands.other("noSuchCommand", x=1), "Unknown command"),
]


def makers() -> dict[str, Callable[..., Command[Any]]]:
    """Return the functions that make a command, without that for others."""
    return {
        name: value
        for name, value in vars(commands).items()
        if inspect.isfunction(value) and name != "other"
    }


def test_there_is_a_function_for_each_command_and_a_method_of_both_kinds() -> None:
    examples = makers()
    made = {
        examples[name](*["x"] * required(examples[name])).name
        for name in examples
        if name not in ("set_default_acl_access", "add_role_acl", "remove_role_acl")
    }
    made |= {commands.set_default_acl_access(subscribe=True).name}
    made |= {command.name for command, _ in REFUSED if command.name != "noSuchCommand"}
    assert made == COMMANDS
    for name, make in examples.items():
        method, coroutine = getattr(DynamicSecurity, name), getattr(AsyncDynamicSecurity, name)
        assert method.__doc__ == coroutine.__doc__ == make.__doc__
        assert inspect.iscoroutinefunction(coroutine)
        assert not inspect.iscoroutinefunction(method)
        assert list(inspect.signature(method).parameters)[1:] == list(
            inspect.signature(make).parameters
        )
        hints = get_type_hints(make)
        [hints["return"]] = get_args(hints["return"])
        assert get_type_hints(method) == get_type_hints(coroutine) == hints


def required(make: Callable[..., Any]) -> int:
    parameters = inspect.signature(make).parameters.values()
    return sum(
        parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY
        for parameter in parameters
    )


@pytest.mark.parametrize(
    ("command", "reason"), REFUSED, ids=[command.title for command, _ in REFUSED]
)
def test_what_the_plugin_refuses_is_an_error_with_its_text(
    dynsec: DynamicSecurity, command: Command[Any], reason: str
) -> None:
    if "bystander" not in list(dynsec.list_clients()):
        # Whoever is named is disconnected, also by what is refused, and the admin must not be.
        dynsec.create_client("bystander")
    with pytest.raises(DynsecError) as raised:
        dynsec.execute(command)
    error = raised.value
    assert error.command == command.name
    assert re.fullmatch(reason, error.reason)
    assert str(error) == f"{command.title}: {error.reason}"
    assert error.results == [error]
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(copied), copied.reason) == (str(error), error.reason)


def test_clients(dynsec: DynamicSecurity) -> None:
    dynsec.create_role("clients-role")
    dynsec.create_role("clients-role-2")
    dynsec.create_group("clients-group")
    dynsec.create_client("clients-1")
    assert dynsec.get_client("clients-1") == ClientInfo("clients-1", "", "", "", False, (), (), ())
    dynsec.create_client(
        "clients-2",
        "p",
        clientid="only",
        textname="Two",
        textdescription="The second ☃",
        roles=["clients-role", ("clients-role-2", 7)],
        groups=[("clients-group", 3)],
    )
    two = dynsec.get_client("clients-2")
    assert (two.clientid, two.textname, two.textdescription) == ("only", "Two", "The second ☃")
    # The highest priority comes first.
    assert two.roles == (Ranked("clients-role-2", 7), Ranked("clients-role"))
    assert two.groups == (Ranked("clients-group", 3),)
    dynsec.modify_client(
        "clients-2", clientid="", textname="2", roles=["clients-role"], groups=[], password="q"
    )
    two = dynsec.get_client("clients-2")
    assert (two.clientid, two.textname, two.textdescription) == ("", "2", "The second ☃")
    assert (two.roles, two.groups) == ((Ranked("clients-role"),), ())
    dynsec.set_client_id("clients-2", "another")
    assert dynsec.get_client("clients-2").clientid == "another"
    dynsec.set_client_id("clients-2")
    assert dynsec.get_client("clients-2").clientid == ""
    dynsec.set_client_password("clients-1", "p")
    dynsec.disable_client("clients-1")
    assert dynsec.get_client("clients-1").disabled
    dynsec.enable_client("clients-1")
    assert not dynsec.get_client("clients-1").disabled
    dynsec.add_client_role("clients-1", "clients-role-2", 4)
    assert dynsec.get_client("clients-1").roles == (Ranked("clients-role-2", 4),)
    dynsec.remove_client_role("clients-1", "clients-role-2")
    assert dynsec.get_client("clients-1").roles == ()
    names = dynsec.list_clients()
    assert {"admin", "clients-1", "clients-2"} <= set(names)
    assert names.total == len(names)
    assert list(dynsec.list_clients(1, names.items.index("clients-2"))) == ["clients-2"]
    assert dynsec.list_clients(1).total == names.total
    assert dynsec.get_client("clients-2") in list(dynsec.list_clients_verbose())
    dynsec.delete_client("clients-1")
    dynsec.delete_client("clients-2")
    assert {"clients-1", "clients-2"}.isdisjoint(dynsec.list_clients())


def test_groups(dynsec: DynamicSecurity) -> None:
    dynsec.create_role("groups-role")
    dynsec.create_client("groups-client")
    dynsec.create_group(
        "groups-1", textname="One", textdescription="The first", roles=[("groups-role", 2)]
    )
    roles = (Ranked("groups-role", 2),)
    assert dynsec.get_group("groups-1") == GroupInfo("groups-1", "One", "The first", roles, ())
    dynsec.add_group_client("groups-1", "groups-client", 9)
    assert [name for name, _ in dynsec.get_group("groups-1").clients] == ["groups-client"]
    assert dynsec.get_client("groups-client").groups == (Ranked("groups-1", 9),)
    dynsec.remove_group_client("groups-1", "groups-client")
    assert dynsec.get_group("groups-1").clients == ()
    dynsec.remove_group_role("groups-1", "groups-role")
    assert dynsec.get_group("groups-1").roles == ()
    dynsec.add_group_role("groups-1", "groups-role", 5)
    assert dynsec.get_group("groups-1").roles == (Ranked("groups-role", 5),)
    dynsec.modify_group("groups-1", textname="1", roles=[], clients=["groups-client"])
    group = dynsec.get_group("groups-1")
    assert (group.textname, group.textdescription, group.roles) == ("1", "The first", ())
    assert [name for name, _ in group.clients] == ["groups-client"]
    assert "groups-1" in list(dynsec.list_groups())
    assert group in list(dynsec.list_groups_verbose())
    dynsec.delete_group("groups-1")
    assert "groups-1" not in list(dynsec.list_groups())
    assert dynsec.get_client("groups-client").groups == ()


def test_roles(dynsec: DynamicSecurity) -> None:
    acls = [
        Acl(AclType.PUBLISH_CLIENT_SEND, "roles/%u/#"),
        Acl(AclType.SUBSCRIBE_PATTERN, "roles/#", allow=False, priority=-3),
    ]
    dynsec.create_role("roles-1", acls=acls, textname="One", textdescription="The first")
    role = dynsec.get_role("roles-1")
    assert role == RoleInfo("roles-1", "One", "The first", tuple(acls), role.allow_wildcard_subs)
    for acltype in AclType:
        dynsec.add_role_acl("roles-1", acltype, "roles/more", priority=5)
        assert Acl(acltype, "roles/more", True, 5) in dynsec.get_role("roles-1").acls
        dynsec.remove_role_acl("roles-1", acltype.value, "roles/more")
    assert dynsec.get_role("roles-1").acls == tuple(acls)
    with pytest.raises(DynsecError, match="already exists"):
        dynsec.add_role_acl("roles-1", acls[0].acltype, acls[0].topic)
    dynsec.modify_role("roles-1", acls=acls[1:], textdescription="Changed")
    role = dynsec.get_role("roles-1")
    assert (role.acls, role.textname, role.textdescription) == ((acls[1],), "One", "Changed")
    assert "roles-1" in list(dynsec.list_roles())
    assert role in list(dynsec.list_roles_verbose())
    dynsec.delete_role("roles-1")
    assert "roles-1" not in list(dynsec.list_roles())


def test_what_holds_for_all(own_plugin: DynsecMosquitto) -> None:
    client = Client()
    client.username_pw_set(own_plugin.admin, own_plugin.password)
    with closing(client):
        client.connect("127.0.0.1", own_plugin.port)
        client.loop_start()
        dynsec = DynamicSecurity(client)
        assert dynsec.get_default_acl_access() == DefaultAccess(False, True, False, True)
        dynsec.set_default_acl_access(publish_client_send=True, unsubscribe=False)
        assert dynsec.get_default_acl_access() == DefaultAccess(True, True, False, False)
        assert dynsec.get_anonymous_group() is None
        dynsec.create_group("everybody")
        dynsec.set_anonymous_group("everybody")
        assert dynsec.get_anonymous_group() == "everybody"
        dynsec.close()


def test_several_in_one_request(dynsec: DynamicSecurity) -> None:
    assert dynsec.execute() == []
    none, role, names = dynsec.execute(
        commands.create_role("several", textname="S"),
        commands.get_role("several"),
        commands.list_roles(),
    )
    assert none is None
    assert role.textname == "S"
    assert "several" in list(names)
    with pytest.raises(DynsecError, match="createRole 'several': Role already exists") as raised:
        dynsec.execute(
            commands.get_role("several"),
            commands.create_role("several"),
            commands.delete_role("several"),
            commands.delete_role("several"),
        )
    got, created, deleted, again = raised.value.results
    assert got == role
    assert created is raised.value
    assert deleted is None
    assert again.reason == "Role not found"


def test_what_can_be_awaited(dynsec: DynamicSecurity) -> None:
    async def administer() -> None:
        aio = dynsec.aio
        await aio.create_role("aio")
        names = await asyncio.gather(*(aio.get_role("aio") for _ in range(20)))
        assert {role.rolename for role in names} == {"aio"}
        with pytest.raises(DynsecError, match="createRole 'aio': Role already exists"):
            await aio.create_role("aio")
        assert await aio.execute(commands.delete_role("aio")) == [None]
        with pytest.raises(DynsecError, match="Role not found"):
            await aio.execute(commands.get_role("aio"))
        assert await aio.execute() == []

    asyncio.run(administer())


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: commands.create_client(""), ValueError, "username: it must not be empty"),
        (lambda: commands.create_client(5), TypeError, "username: it must be a str, not int"),  # type: ignore[arg-type]
        (lambda: commands.create_client("x", "a\0b"), ValueError, "password: it must not have"),
        (lambda: commands.create_client("x", ""), ValueError, "password: it must not be empty"),
        (lambda: commands.set_client_password("x", None), TypeError, "password: it must be a str"),  # type: ignore[arg-type]
        (lambda: commands.create_client("x", roles="admin"), TypeError, "roles 'admin': .* list"),
        (lambda: commands.create_client("x", roles=[("r", "1")]), TypeError, "priority in roles"),  # type: ignore[list-item]
        (lambda: commands.create_role("r", acls=["t"]), TypeError, "acls: each must be an Acl"),  # type: ignore[list-item]
        (lambda: commands.add_role_acl("r", "read", "t"), ValueError, "acltype 'read': .*'subscr"),
        (lambda: commands.list_roles(True), TypeError, "count: it must be an int, not bool"),
        (commands.set_default_acl_access, ValueError, "publish_client_send, "),
    ],
)
def test_what_cannot_be_right_is_not_sent(
    make: Callable[[], Any], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        make()


def test_a_wrong_argument_is_the_callers_error(dynsec: DynamicSecurity) -> None:
    with pytest.raises(ValueError, match="rolename: it must not be empty"):
        dynsec.create_role("")
    with pytest.raises(ValueError, match="rolename: it must not be empty"):
        asyncio.run(dynsec.aio.create_role(""))
    with pytest.raises(TypeError, match="mqtt: it must be a Mqtt or a Client, not str"):
        DynamicSecurity("mqtt")  # type: ignore[arg-type]
    assert issubclass(DynsecTimeoutError, TimeoutError)
