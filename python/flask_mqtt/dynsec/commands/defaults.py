"""Commands for what holds without an ACL, and for the plugin as a whole."""

from __future__ import annotations

from typing import Any

from ..access import DEFAULT_FIELDS, DefaultAccess
from ..objects import Details
from .command import Command, change


def set_default_acl_access(
    *,
    publish_client_send: bool | None = None,
    publish_client_receive: bool | None = None,
    subscribe: bool | None = None,
    unsubscribe: bool | None = None,
) -> Command[None]:
    """Set what is allowed if no ACL matches. None leaves a value as it is.

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
    return change("setDefaultACLAccess", acls=acls)


def get_default_acl_access() -> Command[DefaultAccess]:
    """Return what is allowed if no ACL matches."""
    return Command("getDefaultACLAccess", {}, _read_default_access, reads=True)


def get_details() -> Command[Details]:
    """Return how many clients, groups and roles there are (mosquitto 2.1)."""
    return Command("getDetails", {}, _read_details, reads=True)


def _read_default_access(data: dict[str, Any]) -> DefaultAccess:
    return DefaultAccess(
        **{DEFAULT_FIELDS[acl["acltype"]]: bool(acl["allow"]) for acl in data["acls"]}
    )


def _read_details(data: dict[str, Any]) -> Details:
    return Details(data["clientCount"], data["groupCount"], data["roleCount"], data["changeIndex"])
