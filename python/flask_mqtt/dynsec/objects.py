"""The plugin's clients, groups and roles, as it describes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from .access import Acl, read_acl

T = TypeVar("T")

#: That of roles and groups which were given none. The plugin leaves it out.
NO_PRIORITY = -1


class Ranked(NamedTuple):
    """A role, group or client that belongs to another object.

    Attributes:
        name: Its name.
        priority: The plugin checks the one with the highest priority first.
    """

    name: str
    priority: int = NO_PRIORITY


@dataclass(frozen=True)
class ClientInfo:
    """A client of the plugin, which logs in with a user name.

    Attributes:
        username: The user name.
        clientid: The only client identifier that may use it, or empty for any.
        textname: A name for people.
        textdescription: A description for people.
        disabled: Whether it may not log in.
        roles: Its own roles.
        groups: The groups that it is in.
        connections: The addresses of its connections (mosquitto 2.1).
    """

    username: str
    clientid: str
    textname: str
    textdescription: str
    disabled: bool
    roles: tuple[Ranked, ...]
    groups: tuple[Ranked, ...]
    connections: tuple[str, ...]


@dataclass(frozen=True)
class GroupInfo:
    """A group of clients, which all have its roles.

    Attributes:
        groupname: Its name.
        textname: A name for people.
        textdescription: A description for people.
        roles: Its roles.
        clients: The user names of its clients.
    """

    groupname: str
    textname: str
    textdescription: str
    roles: tuple[Ranked, ...]
    clients: tuple[Ranked, ...]


@dataclass(frozen=True)
class RoleInfo:
    """A role: a list of ACLs that clients and groups can have.

    Attributes:
        rolename: Its name.
        textname: A name for people.
        textdescription: A description for people.
        acls: Its ACLs.
        allow_wildcard_subs: Whether it allows subscriptions with wildcards (mosquitto 2.1; None
            before).
    """

    rolename: str
    textname: str
    textdescription: str
    acls: tuple[Acl, ...]
    allow_wildcard_subs: bool | None


@dataclass(frozen=True)
class Details:
    """How much the plugin has (mosquitto 2.1).

    Attributes:
        client_count: How many clients.
        group_count: How many groups.
        role_count: How many roles.
        change_index: A number that grows with each change.
    """

    client_count: int
    group_count: int
    role_count: int
    change_index: int


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list, which can be gone through as a tuple.

    Attributes:
        items: What was asked for.
        total: How many there are in all.
    """

    items: tuple[T, ...]
    total: int

    def __iter__(self) -> Iterator[T]:
        """Go through the items."""
        return iter(self.items)

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.items)

    def __getitem__(self, index: int) -> T:
        """Return an item."""
        return self.items[index]


def read_client(value: dict[str, Any]) -> ClientInfo:
    """Make a client of the plugin's JSON."""
    return ClientInfo(
        value["username"],
        value.get("clientid", ""),
        *_texts(value),
        bool(value.get("disabled", False)),
        _ranked(value, "roles", "rolename"),
        _ranked(value, "groups", "groupname"),
        tuple(one.get("address", "") for one in value.get("connections", ())),
    )


def read_group(value: dict[str, Any]) -> GroupInfo:
    """Make a group of the plugin's JSON."""
    return GroupInfo(
        value["groupname"],
        *_texts(value),
        _ranked(value, "roles", "rolename"),
        _ranked(value, "clients", "username"),
    )


def read_role(value: dict[str, Any]) -> RoleInfo:
    """Make a role of the plugin's JSON."""
    acls = tuple(read_acl(acl) for acl in value.get("acls", ()))
    return RoleInfo(value["rolename"], *_texts(value), acls, value.get("allowwildcardsubs"))


def _texts(value: dict[str, Any]) -> tuple[str, str]:
    return value.get("textname", ""), value.get("textdescription", "")


def _ranked(value: dict[str, Any], key: str, name: str) -> tuple[Ranked, ...]:
    return tuple(Ranked(one[name], one.get("priority", NO_PRIORITY)) for one in value.get(key, ()))
