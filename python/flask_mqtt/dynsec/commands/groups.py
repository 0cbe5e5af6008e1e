"""Commands for groups of clients."""

from __future__ import annotations

from ..objects import NO_PRIORITY, GroupInfo, Page, read_group
from .arguments import Names, check_name, check_number, described, ranking
from .command import Command, change, listing


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
        roles: Existing roles: names, or pairs of a name and a priority.
    """
    return change(
        "createGroup",
        groupname=check_name("groupname", groupname),
        **described(textname, textdescription),
        roles=ranking("roles", "rolename", roles),
    )


def delete_group(groupname: str) -> Command[None]:
    """Delete a group. Its clients stay, without its roles.

    Args:
        groupname: Its name.
    """
    return change("deleteGroup", groupname=check_name("groupname", groupname))


def get_group(groupname: str) -> Command[GroupInfo]:
    """Return all that the plugin knows about a group.

    Args:
        groupname: Its name.
    """
    arguments = {"groupname": check_name("groupname", groupname)}
    return Command("getGroup", arguments, lambda data: read_group(data["group"]), reads=True)


def list_groups(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the names of groups.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listGroups", "groups", str, count, offset)


def list_groups_verbose(count: int = -1, offset: int = 0) -> Command[Page[GroupInfo]]:
    """Return groups, with all that the plugin knows about them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listGroups", "groups", read_group, count, offset)


def modify_group(
    groupname: str,
    *,
    textname: str | None = None,
    textdescription: str | None = None,
    roles: Names | None = None,
    clients: Names | None = None,
) -> Command[None]:
    """Change a group. None leaves a value as it is.

    Args:
        groupname: Its name.
        textname: A new name for people.
        textdescription: A new description for people.
        roles: Roles that replace its present ones: names, or pairs of a name and a priority.
        clients: The user names of its clients, in the same form.
    """
    return change(
        "modifyGroup",
        groupname=check_name("groupname", groupname),
        **described(textname, textdescription),
        roles=ranking("roles", "rolename", roles),
        clients=ranking("clients", "username", clients),
    )


def add_group_client(groupname: str, username: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Put a client into a group, and end its connections.

    Args:
        groupname: The group.
        username: The client's user name.
        priority: The plugin checks the client's group with the highest priority first.
    """
    names = {
        "groupname": check_name("groupname", groupname),
        "username": check_name("username", username),
    }
    return change("addGroupClient", **names, priority=check_number("priority", priority))


def remove_group_client(groupname: str, username: str) -> Command[None]:
    """Take a client out of a group, and end its connections.

    Args:
        groupname: The group.
        username: The client's user name.
    """
    names = {
        "groupname": check_name("groupname", groupname),
        "username": check_name("username", username),
    }
    return change("removeGroupClient", **names)


def add_group_role(groupname: str, rolename: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Give a role to a group, and end the connections of its clients.

    Args:
        groupname: The group.
        rolename: The role.
        priority: The plugin checks the role with the highest priority first.
    """
    names = {
        "groupname": check_name("groupname", groupname),
        "rolename": check_name("rolename", rolename),
    }
    return change("addGroupRole", **names, priority=check_number("priority", priority))


def remove_group_role(groupname: str, rolename: str) -> Command[None]:
    """Take a role from a group, and end the connections of its clients.

    Args:
        groupname: The group.
        rolename: The role.
    """
    names = {
        "groupname": check_name("groupname", groupname),
        "rolename": check_name("rolename", rolename),
    }
    return change("removeGroupRole", **names)


def set_anonymous_group(groupname: str) -> Command[None]:
    """Put clients that connect without a user name into a group.

    Args:
        groupname: The group.
    """
    return change("setAnonymousGroup", groupname=check_name("groupname", groupname))


def get_anonymous_group() -> Command[str | None]:
    """Return the name of the group of clients without a user name, or None."""
    return Command(
        "getAnonymousGroup", {}, lambda data: data["group"]["groupname"] or None, reads=True
    )
