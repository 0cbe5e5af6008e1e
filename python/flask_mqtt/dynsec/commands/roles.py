"""Commands for roles and their ACLs."""

from __future__ import annotations

from collections.abc import Iterable

from ..access import Acl, AclType
from ..objects import Page, RoleInfo, read_role
from .arguments import acl_json, acls_json, check_name, described
from .command import Command, change, listing


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
    return change(
        "createRole",
        rolename=check_name("rolename", rolename),
        **described(textname, textdescription),
        acls=acls_json(acls),
        allowwildcardsubs=allow_wildcard_subs,
    )


def delete_role(rolename: str) -> Command[None]:
    """Delete a role, and end the connections of the clients that have it.

    Args:
        rolename: Its name.
    """
    return change("deleteRole", rolename=check_name("rolename", rolename))


def get_role(rolename: str) -> Command[RoleInfo]:
    """Return all that the plugin knows about a role.

    Args:
        rolename: Its name.
    """
    arguments = {"rolename": check_name("rolename", rolename)}
    return Command("getRole", arguments, lambda data: read_role(data["role"]), reads=True)


def list_roles(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the names of roles.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listRoles", "roles", str, count, offset)


def list_roles_verbose(count: int = -1, offset: int = 0) -> Command[Page[RoleInfo]]:
    """Return roles, with all that the plugin knows about them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listRoles", "roles", read_role, count, offset)


def modify_role(
    rolename: str,
    *,
    acls: Iterable[Acl] | None = None,
    textname: str | None = None,
    textdescription: str | None = None,
    allow_wildcard_subs: bool | None = None,
) -> Command[None]:
    """Change a role, and end the connections of the clients that have it.

    None leaves a value as it is.

    Args:
        rolename: Its name.
        acls: ACLs that replace its present ones.
        textname: A new name for people.
        textdescription: A new description for people.
        allow_wildcard_subs: Whether it allows subscriptions with wildcards (mosquitto 2.1).
    """
    return change(
        "modifyRole",
        rolename=check_name("rolename", rolename),
        **described(textname, textdescription),
        acls=acls_json(acls),
        allowwildcardsubs=allow_wildcard_subs,
    )


def add_role_acl(
    rolename: str, acltype: AclType | str, topic: str, allow: bool = True, priority: int = 0
) -> Command[None]:
    """Add an ACL to a role, and end the connections of the clients that have it.

    Args:
        rolename: The role.
        acltype: The kind of the ACL: an :class:`AclType`, or its value.
        topic: A topic filter. A level ``%u`` stands for the user name and ``%c`` for the client
            identifier, from mosquitto 2.1 on.
        allow: Whether it allows or forbids.
        priority: Of several matching ACLs, the one with the highest priority counts.
    """
    names = {"rolename": check_name("rolename", rolename)}
    acl = Acl(AclType(acltype), topic, allow, priority)
    return change("addRoleACL", **names, **acl_json(acl))


def remove_role_acl(rolename: str, acltype: AclType | str, topic: str) -> Command[None]:
    """Remove an ACL from a role, and end the connections of the clients that have it.

    Args:
        rolename: The role.
        acltype: The kind of the ACL: an :class:`AclType`, or its value.
        topic: Its topic filter.
    """
    names = {"rolename": check_name("rolename", rolename)}
    return change(
        "removeRoleACL", **names, acltype=AclType(acltype).value, topic=check_name("topic", topic)
    )
