"""Clients, groups, roles and ACLs of mosquitto's dynamic security plugin."""

from . import commands
from .access import Acl, AclType, DefaultAccess
from .commands import Command
from .errors import DynsecError, DynsecTimeoutError, DynsecUnavailableError
from .objects import ClientInfo, Details, GroupInfo, Page, Ranked, RoleInfo
from .security import AsyncDynamicSecurity, DynamicSecurity

__all__ = [
    "Acl",
    "AclType",
    "AsyncDynamicSecurity",
    "ClientInfo",
    "Command",
    "DefaultAccess",
    "Details",
    "DynamicSecurity",
    "DynsecError",
    "DynsecTimeoutError",
    "DynsecUnavailableError",
    "GroupInfo",
    "Page",
    "Ranked",
    "RoleInfo",
    "commands",
]
