"""Commands for clients."""

from __future__ import annotations

from ..objects import NO_PRIORITY, ClientInfo, Page, read_client
from .arguments import (
    Names,
    check_name,
    check_number,
    check_optional_text,
    check_password,
    check_text,
    described,
    ranking,
)
from .command import Command, change, listing


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
        password: Its password. Without one, it cannot log in before `set_client_password`.
        clientid: The only client identifier that it may use; by default any.
        textname: A name for people.
        textdescription: A description for people.
        roles: Existing roles: names, or pairs of a name and a priority.
        groups: Existing groups, in the same form.
    """
    return change(
        "createClient",
        username=check_name("username", username),
        password=check_password(password),
        clientid=check_optional_text("clientid", clientid),
        **described(textname, textdescription),
        roles=ranking("roles", "rolename", roles),
        groups=ranking("groups", "groupname", groups),
    )


def delete_client(username: str) -> Command[None]:
    """Delete a client, and end its connections.

    Args:
        username: Its user name.
    """
    return change("deleteClient", username=check_name("username", username))


def enable_client(username: str) -> Command[None]:
    """Allow a disabled client to log in again.

    Args:
        username: Its user name.
    """
    return change("enableClient", username=check_name("username", username))


def disable_client(username: str) -> Command[None]:
    """Forbid a client to log in, and end its connections.

    Args:
        username: Its user name.
    """
    return change("disableClient", username=check_name("username", username))


def get_client(username: str) -> Command[ClientInfo]:
    """Return all that the plugin knows about a client.

    Args:
        username: Its user name.
    """
    arguments = {"username": check_name("username", username)}
    return Command("getClient", arguments, lambda data: read_client(data["client"]), reads=True)


def list_clients(count: int = -1, offset: int = 0) -> Command[Page[str]]:
    """Return the user names of clients.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listClients", "clients", str, count, offset)


def list_clients_verbose(count: int = -1, offset: int = 0) -> Command[Page[ClientInfo]]:
    """Return clients, with all that the plugin knows about them.

    Args:
        count: How many at most; -1 for all.
        offset: How many to skip first.
    """
    return listing("listClients", "clients", read_client, count, offset)


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
    """Change a client, and end its connections. None leaves a value as it is.

    Args:
        username: Its user name.
        password: A new password.
        clientid: A new client identifier; empty for any.
        textname: A new name for people.
        textdescription: A new description for people.
        roles: Roles that replace its present ones: names, or pairs of a name and a priority.
        groups: Its groups, in the same form.
    """
    return change(
        "modifyClient",
        username=check_name("username", username),
        password=check_password(password),
        clientid=check_optional_text("clientid", clientid),
        **described(textname, textdescription),
        roles=ranking("roles", "rolename", roles),
        groups=ranking("groups", "groupname", groups),
    )


def set_client_id(username: str, clientid: str = "") -> Command[None]:
    """Allow a client only one client identifier, and end its connections.

    Args:
        username: Its user name.
        clientid: The client identifier; empty for any.
    """
    names = {"username": check_name("username", username)}
    return change("setClientId", **names, clientid=check_text("clientid", clientid))


def set_client_password(username: str, password: str) -> Command[None]:
    """Give a client a new password, and end its connections.

    Args:
        username: Its user name.
        password: The password.
    """
    names = {"username": check_name("username", username)}
    return change(
        "setClientPassword", **names, password=check_password(check_text("password", password))
    )


def add_client_role(username: str, rolename: str, priority: int = NO_PRIORITY) -> Command[None]:
    """Give a role to a client, and end its connections.

    Args:
        username: The client's user name.
        rolename: The role.
        priority: The plugin checks the role with the highest priority first.
    """
    names = {
        "username": check_name("username", username),
        "rolename": check_name("rolename", rolename),
    }
    return change("addClientRole", **names, priority=check_number("priority", priority))


def remove_client_role(username: str, rolename: str) -> Command[None]:
    """Take a role from a client, and end its connections.

    Args:
        username: The client's user name.
        rolename: The role.
    """
    names = {
        "username": check_name("username", username),
        "rolename": check_name("rolename", rolename),
    }
    return change("removeClientRole", **names)
