"""The plugin's commands: what each is sent with, and what becomes of its response.

`DynamicSecurity` has a method for each. To send several in one request, make them here and give
them to `DynamicSecurity.execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .access import DEFAULT_FIELDS, Acl, AclType, DefaultAccess
from .objects import (
    NO_PRIORITY,
    ClientInfo,
    Details,
    GroupInfo,
    Page,
    Ranked,
    RoleInfo,
    read_client,
    read_group,
    read_role,
)

T = TypeVar("T")

#: Roles, groups or clients: names, or pairs of a name and a priority.
Names = Iterable[str | tuple[str, int]]

#: What names the objects of a command, in its arguments.
_NAMES = ("groupname", "username", "rolename")


@dataclass(frozen=True, repr=False)
class Command(Generic[T]):
    """A command that was not sent. Functions make it.

    Attributes:
        name: As the plugin has it: ``createClient``.
        reads: Whether it changes nothing, and may be sent again.
    """

    name: str
    _arguments: dict[str, Any]
    _read: Callable[[dict[str, Any]], T]
    reads: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        """Its name, and of what: ``addClientRole 'sensor' 'reader'``."""
        names = [self._arguments[key] for key in _NAMES if key in self._arguments]
        return " ".join([self.name, *(f"{name!r:.100}" for name in names)])

    def __repr__(self) -> str:
        """Show it without its arguments, among which is a password."""
        return f"<Command {self.title}>"

    def to_json(self, correlation_data: str) -> dict[str, Any]:
        """Return what is sent.

        Args:
            correlation_data: What the response has as well.
        """
        return {**self._arguments, "command": self.name, "correlationData": correlation_data}

    def result(self, data: dict[str, Any]) -> T:
        """Return what the data of a response says.

        Raises:
            LookupError: Something is missing there. So with the others.
            TypeError: It is something else.
            ValueError: It has a value that nobody knows.
        """
        return self._read(data)


def other(command: str, /, **arguments: Any) -> Command[dict[str, Any]]:
    """Make a command that there is no function for, as of a newer plugin.

    Args:
        command: Its name, as the plugin has it.
        arguments: Its arguments, by the plugin's names: what JSON has.

    Returns:
        The data of the response.
    """
    return Command(_text("command", command), arguments, dict)


# -- clients --------------------------------------------------------------------------------------


def create_client(
    username: str,
    password: str | None = None,
    *,
    clientid: str | None = None,
    textname: str | None = None,
    textdescription: str | None = None,
    roles: Names | None = None,
    groups: Names | None = None,
) -> Command[None]:
    """Create a client.

    Args:
        username: Its user name.
        password: Its password. Without one it cannot log in until `set_client_password`.
        clientid: The only client identifier that it may use; by default any.
        textname: A name for people.
        textdescription: A description for people.
        roles: Roles that there are: names, or pairs of a name and a priority.
        groups: Groups that there are, likewise.
    """
    return _change(
        "createClient",
        username=_name("username", username),
        password=_password(password),
        clientid=_text_or_none("clientid", clientid),
        **_described(textname, textdescription),
        roles=_ranking("roles", "rolename", roles),
        groups=_ranking("groups", "groupname", groups),
    )


def delete_client(username: str) -> Command[None]:
    """Delete a client, and end its connections.

    Args:
        username: Its user name.
    """
    return _change("deleteClient", username=_name("username", username))


def enable_client(username: str) -> Command[None]:
    """Let a client log in again that was disabled.

    Args:
        username: Its user name.
    """
    return _change("enableClient", username=_name("username", username))


def disable_client(username: str) -> Command[None]:
    """Let a client not log in, and end its connections.

    Args:
        username: Its user name.
    """
    return _change("disableClient", username=_name("username", username))


def get_client(username: str) -> Command[ClientInfo]:
    """Return what there is to know of a client.

    Args:
        username: Its user name.
    """
    arguments = {"username": _name("username", username)}
    return Command("getClient", arguments, lambda data: read_client(data["client"]), reads=True)


def list_clients(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the user names of clients.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listClients", "clients", str, count, offset)


def list_clients_verbose(count: int = -1, offset: int = 0) -> Command[Page[ClientInfo]]:
    """Return clients, with all that there is to know of them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listClients", "clients", read_client, count, offset)


def modify_client(
    username: str,
    *,
    password: str | None = None,
    clientid: str | None = None,
    textname: str | None = None,
    textdescription: str | None = None,
    roles: Names | None = None,
    groups: Names | None = None,
) -> Command[None]:
    """Change a client, and end its connections. What is None stays as it is.

    Args:
        username: Its user name.
        password: A new password.
        clientid: A new client identifier; empty for any.
        textname: A new name for people.
        textdescription: A new description for people.
        roles: Its roles, in the place of those that it has: names, or pairs of a name and a
            priority.
        groups: Its groups, likewise.
    """
    return _change(
        "modifyClient",
        username=_name("username", username),
        password=_password(password),
        clientid=_text_or_none("clientid", clientid),
        **_described(textname, textdescription),
        roles=_ranking("roles", "rolename", roles),
        groups=_ranking("groups", "groupname", groups),
    )


def set_client_id(username: str, clientid: str = "") -> Command[None]:
    """Let a client use one client identifier only, and end its connections.

    Args:
        username: Its user name.
        clientid: The client identifier; empty for any.
    """
    names = {"username": _name("username", username)}
    return _change("setClientId", **names, clientid=_text("clientid", clientid))


def set_client_password(username: str, password: str) -> Command[None]:
    """Give a client a new password, and end its connections.

    Args:
        username: Its user name.
        password: The password.
    """
    names = {"username": _name("username", username)}
    return _change("setClientPassword", **names, password=_password(_text("password", password)))


def add_client_role(username: str, rolename: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Give a role to a client, and end its connections.

    Args:
        username: The client's user name.
        rolename: The role.
        priority: The role with the highest one is asked first.
    """
    names = {"username": _name("username", username), "rolename": _name("rolename", rolename)}
    return _change("addClientRole", **names, priority=_number("priority", priority))


def remove_client_role(username: str, rolename: str) -> Command[None]:
    """Take a role from a client, and end its connections.

    Args:
        username: The client's user name.
        rolename: The role.
    """
    names = {"username": _name("username", username), "rolename": _name("rolename", rolename)}
    return _change("removeClientRole", **names)


# -- groups ---------------------------------------------------------------------------------------


def create_group(
    groupname: str,
    *,
    textname: str | None = None,
    textdescription: str | None = None,
    roles: Names | None = None,
) -> Command[None]:
    """Create a group of clients.

    Args:
        groupname: Its name.
        textname: A name for people.
        textdescription: A description for people.
        roles: Roles that there are: names, or pairs of a name and a priority.
    """
    return _change(
        "createGroup",
        groupname=_name("groupname", groupname),
        **_described(textname, textdescription),
        roles=_ranking("roles", "rolename", roles),
    )


def delete_group(groupname: str) -> Command[None]:
    """Delete a group. Its clients stay, without its roles.

    Args:
        groupname: Its name.
    """
    return _change("deleteGroup", groupname=_name("groupname", groupname))


def get_group(groupname: str) -> Command[GroupInfo]:
    """Return what there is to know of a group.

    Args:
        groupname: Its name.
    """
    arguments = {"groupname": _name("groupname", groupname)}
    return Command("getGroup", arguments, lambda data: read_group(data["group"]), reads=True)


def list_groups(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the names of groups.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listGroups", "groups", str, count, offset)


def list_groups_verbose(count: int = -1, offset: int = 0) -> Command[Page[GroupInfo]]:
    """Return groups, with all that there is to know of them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listGroups", "groups", read_group, count, offset)


def modify_group(
    groupname: str,
    *,
    textname: str | None = None,
    textdescription: str | None = None,
    roles: Names | None = None,
    clients: Names | None = None,
) -> Command[None]:
    """Change a group. What is None stays as it is.

    Args:
        groupname: Its name.
        textname: A new name for people.
        textdescription: A new description for people.
        roles: Its roles, in the place of those that it has: names, or pairs of a name and a
            priority.
        clients: The user names of its clients, likewise.
    """
    return _change(
        "modifyGroup",
        groupname=_name("groupname", groupname),
        **_described(textname, textdescription),
        roles=_ranking("roles", "rolename", roles),
        clients=_ranking("clients", "username", clients),
    )


def add_group_client(groupname: str, username: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Put a client into a group, and end its connections.

    Args:
        groupname: The group.
        username: The client's user name.
        priority: That of the group for the client: the one with the highest is asked first.
    """
    names = {"groupname": _name("groupname", groupname), "username": _name("username", username)}
    return _change("addGroupClient", **names, priority=_number("priority", priority))


def remove_group_client(groupname: str, username: str) -> Command[None]:
    """Take a client out of a group, and end its connections.

    Args:
        groupname: The group.
        username: The client's user name.
    """
    names = {"groupname": _name("groupname", groupname), "username": _name("username", username)}
    return _change("removeGroupClient", **names)


def add_group_role(groupname: str, rolename: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Give a role to a group, and end the connections of its clients.

    Args:
        groupname: The group.
        rolename: The role.
        priority: The role with the highest one is asked first.
    """
    names = {"groupname": _name("groupname", groupname), "rolename": _name("rolename", rolename)}
    return _change("addGroupRole", **names, priority=_number("priority", priority))


def remove_group_role(groupname: str, rolename: str) -> Command[None]:
    """Take a role from a group, and end the connections of its clients.

    Args:
        groupname: The group.
        rolename: The role.
    """
    names = {"groupname": _name("groupname", groupname), "rolename": _name("rolename", rolename)}
    return _change("removeGroupRole", **names)


def set_anonymous_group(groupname: str) -> Command[None]:
    """Take those who connect without a user name for clients of a group.

    Args:
        groupname: The group.
    """
    return _change("setAnonymousGroup", groupname=_name("groupname", groupname))


def get_anonymous_group() -> Command[str | None]:
    """Return the name of the group of those without a user name, or None for none."""
    return Command(
        "getAnonymousGroup", {}, lambda data: data["group"]["groupname"] or None, reads=True
    )


# -- roles ----------------------------------------------------------------------------------------


def create_role(
    rolename: str,
    *,
    acls: Iterable[Acl] | None = None,
    textname: str | None = None,
    textdescription: str | None = None,
    allow_wildcard_subs: bool | None = None,
) -> Command[None]:
    """Create a role.

    Args:
        rolename: Its name.
        acls: Its ACLs.
        textname: A name for people.
        textdescription: A description for people.
        allow_wildcard_subs: Whether it allows subscriptions with wildcards (mosquitto 2.1).
    """
    return _change(
        "createRole",
        rolename=_name("rolename", rolename),
        **_described(textname, textdescription),
        acls=_acls(acls),
        allowwildcardsubs=allow_wildcard_subs,
    )


def delete_role(rolename: str) -> Command[None]:
    """Delete a role, and end the connections of the clients that have it.

    Args:
        rolename: Its name.
    """
    return _change("deleteRole", rolename=_name("rolename", rolename))


def get_role(rolename: str) -> Command[RoleInfo]:
    """Return what there is to know of a role.

    Args:
        rolename: Its name.
    """
    arguments = {"rolename": _name("rolename", rolename)}
    return Command("getRole", arguments, lambda data: read_role(data["role"]), reads=True)


def list_roles(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the names of roles.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listRoles", "roles", str, count, offset)


def list_roles_verbose(count: int = -1, offset: int = 0) -> Command[Page[RoleInfo]]:
    """Return roles, with all that there is to know of them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to leave out before.
    """
    return _list("listRoles", "roles", read_role, count, offset)


def modify_role(
    rolename: str,
    *,
    acls: Iterable[Acl] | None = None,
    textname: str | None = None,
    textdescription: str | None = None,
    allow_wildcard_subs: bool | None = None,
) -> Command[None]:
    """Change a role, and end the connections of the clients that have it. What is None stays.

    Args:
        rolename: Its name.
        acls: Its ACLs, in the place of those that it has.
        textname: A new name for people.
        textdescription: A new description for people.
        allow_wildcard_subs: Whether it allows subscriptions with wildcards (mosquitto 2.1).
    """
    return _change(
        "modifyRole",
        rolename=_name("rolename", rolename),
        **_described(textname, textdescription),
        acls=_acls(acls),
        allowwildcardsubs=allow_wildcard_subs,
    )


def add_role_acl(
    rolename: str, acltype: AclType | str, topic: str, allow: bool = True, priority: int = 0
) -> Command[None]:
    """Add an ACL to a role, and end the connections of the clients that have it.

    Args:
        rolename: The role.
        acltype: What the ACL is about: an :class:`AclType`, or its value.
        topic: A topic filter. A level ``%u`` stands for the user name and ``%c`` for the client
            identifier, from mosquitto 2.1 on.
        allow: Whether it allows or forbids.
        priority: The ACL with the highest one that matches counts.
    """
    names = {"rolename": _name("rolename", rolename)}
    acl = Acl(AclType(acltype), topic, allow, priority)
    return _change("addRoleACL", **names, **_acl(acl))


def remove_role_acl(rolename: str, acltype: AclType | str, topic: str) -> Command[None]:
    """Remove an ACL from a role, and end the connections of the clients that have it.

    Args:
        rolename: The role.
        acltype: What the ACL is about: an :class:`AclType`, or its value.
        topic: Its topic filter.
    """
    names = {"rolename": _name("rolename", rolename)}
    return _change(
        "removeRoleACL", **names, acltype=AclType(acltype).value, topic=_name("topic", topic)
    )


# -- what holds for all ---------------------------------------------------------------------------


def set_default_acl_access(
    *,
    publish_client_send: bool | None = None,
    publish_client_receive: bool | None = None,
    subscribe: bool | None = None,
    unsubscribe: bool | None = None,
) -> Command[None]:
    """Set what is allowed where no ACL matches. What is None stays as it is.

    Args:
        publish_client_send: Whether clients may publish.
        publish_client_receive: Whether the broker sends them messages.
        subscribe: Whether they may subscribe.
        unsubscribe: Whether they may unsubscribe.

    Raises:
        ValueError: Everything is None.
    """
    given = (publish_client_send, publish_client_receive, subscribe, unsubscribe)
    acls = [
        {"acltype": acltype, "allow": bool(allow)}
        for acltype, allow in zip(DEFAULT_FIELDS, given, strict=True)
        if allow is not None
    ]
    if not acls:
        fields = ", ".join(DEFAULT_FIELDS.values())
        raise ValueError(f"set_default_acl_access() sets nothing: give it one of {fields}")
    return _change("setDefaultACLAccess", acls=acls)


def get_default_acl_access() -> Command[DefaultAccess]:
    """Return what is allowed where no ACL matches."""
    return Command("getDefaultACLAccess", {}, _read_default_access, reads=True)


def get_details() -> Command[Details]:
    """Return how many clients, groups and roles there are (mosquitto 2.1)."""
    return Command("getDetails", {}, _read_details, reads=True)


# -- what they are made of ------------------------------------------------------------------------


def _change(name: str, /, **arguments: Any) -> Command[None]:
    given = {key: value for key, value in arguments.items() if value is not None}
    return Command(name, given, lambda _: None)


def _list(
    name: str, key: str, read: Callable[[Any], T], count: int, offset: int
) -> Command[Page[T]]:
    arguments = {
        "verbose": read is not str,
        "count": _number("count", count),
        "offset": _number("offset", offset),
    }

    def page(data: dict[str, Any]) -> Page[T]:
        items = tuple(read(item) for item in data[key])
        return Page(items, data.get("totalCount", len(items)))

    return Command(name, arguments, page, reads=True)


def _read_default_access(data: dict[str, Any]) -> DefaultAccess:
    return DefaultAccess(
        **{DEFAULT_FIELDS[acl["acltype"]]: bool(acl["allow"]) for acl in data["acls"]}
    )


def _read_details(data: dict[str, Any]) -> Details:
    return Details(data["clientCount"], data["groupCount"], data["roleCount"], data["changeIndex"])


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: it must be a str, not {type(value).__name__}")
    if "\0" in value:
        # The plugin takes what is before it for the whole.
        raise ValueError(f"{name}: it must not have the character NUL")
    return value


def _text_or_none(name: str, value: Any) -> str | None:
    return None if value is None else _text(name, value)


def _name(name: str, value: Any) -> str:
    if not _text(name, value):
        raise ValueError(f"{name}: it must not be empty")
    return str(value)


def _password(value: Any) -> str | None:
    return None if value is None else _name("password", value)


def _number(name: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: it must be an int, not {type(value).__name__}")
    return value


def _described(textname: Any, textdescription: Any) -> dict[str, str | None]:
    return {
        "textname": _text_or_none("textname", textname),
        "textdescription": _text_or_none("textdescription", textdescription),
    }


def _ranking(argument: str, key: str, names: Names | None) -> list[dict[str, Any]] | None:
    if names is None:
        return None
    if isinstance(names, str):
        raise TypeError(f"{argument} {names!r:.100}: it must be a list of names, not a str")
    ranked = [Ranked(name) if isinstance(name, str) else Ranked(*name) for name in names]
    return [
        {key: _name(argument, name), "priority": _number(f"priority in {argument}", priority)}
        for name, priority in ranked
    ]


def _acls(acls: Iterable[Acl] | None) -> list[dict[str, Any]] | None:
    return None if acls is None else [_acl(acl) for acl in acls]


def _acl(acl: Acl) -> dict[str, Any]:
    if not isinstance(acl, Acl):
        raise TypeError(f"acls: each must be an Acl, not {type(acl).__name__}")
    return {
        "acltype": AclType(acl.acltype).value,
        "topic": _name("topic", acl.topic),
        "priority": _number("priority", acl.priority),
        "allow": bool(acl.allow),
    }
