"""The plugin's commands: what each is sent with, and what its response means.

`DynamicSecurity` has a method for each. To send several in one request, make them here and give
them to `DynamicSecurity.execute`.
"""

from .arguments import Names
from .clients import (
    add_client_role,
    create_client,
    delete_client,
    disable_client,
    enable_client,
    get_client,
    list_clients,
    list_clients_verbose,
    modify_client,
    remove_client_role,
    set_client_id,
    set_client_password,
)
from .command import Command, other
from .defaults import get_default_acl_access, get_details, set_default_acl_access
from .groups import (
    add_group_client,
    add_group_role,
    create_group,
    delete_group,
    get_anonymous_group,
    get_group,
    list_groups,
    list_groups_verbose,
    modify_group,
    remove_group_client,
    remove_group_role,
    set_anonymous_group,
)
from .roles import (
    add_role_acl,
    create_role,
    delete_role,
    get_role,
    list_roles,
    list_roles_verbose,
    modify_role,
    remove_role_acl,
)

__all__ = [
    "Command",
    "Names",
    "add_client_role",
    "add_group_client",
    "add_group_role",
    "add_role_acl",
    "create_client",
    "create_group",
    "create_role",
    "delete_client",
    "delete_group",
    "delete_role",
    "disable_client",
    "enable_client",
    "get_anonymous_group",
    "get_client",
    "get_default_acl_access",
    "get_details",
    "get_group",
    "get_role",
    "list_clients",
    "list_clients_verbose",
    "list_groups",
    "list_groups_verbose",
    "list_roles",
    "list_roles_verbose",
    "modify_client",
    "modify_group",
    "modify_role",
    "other",
    "remove_client_role",
    "remove_group_client",
    "remove_group_role",
    "remove_role_acl",
    "set_anonymous_group",
    "set_client_id",
    "set_client_password",
    "set_default_acl_access",
]
