"""The arguments of commands, checked, in the form in which the plugin takes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..access import Acl, AclType
from ..objects import Ranked

#: Roles, groups or clients: names, or pairs of a name and a priority.
Names = Iterable[str | tuple[str, int]]


def check_text(name: str, value: Any) -> str:
    """Return a text.

    Raises:
        TypeError: It is none.
        ValueError: It has the character NUL.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: it must be a str, not {type(value).__name__}")
    if "\0" in value:
        # The plugin takes what is before it for the whole.
        raise ValueError(f"{name}: it must not have the character NUL")
    return value


def check_optional_text(name: str, value: Any) -> str | None:
    """Return a text, or None for None: `check_text`."""
    return None if value is None else check_text(name, value)


def check_name(name: str, value: Any) -> str:
    """Return a text that is not empty: `check_text`."""
    if not check_text(name, value):
        raise ValueError(f"{name}: it must not be empty")
    return str(value)


def check_password(value: Any) -> str | None:
    """Return a password, or None for None."""
    return None if value is None else check_name("password", value)


def check_number(name: str, value: Any) -> int:
    """Return an int.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: it must be an int, not {type(value).__name__}")
    return value


def described(textname: Any, textdescription: Any) -> dict[str, str | None]:
    """Return the two texts for people."""
    return {
        "textname": check_optional_text("textname", textname),
        "textdescription": check_optional_text("textdescription", textdescription),
    }


def ranking(argument: str, key: str, names: Names | None) -> list[dict[str, Any]] | None:
    """Return names with their priorities.

    Args:
        argument: What errors call them.
        key: What the plugin calls such a name.
        names: The names, or None for None.
    """
    if names is None:
        return None
    if isinstance(names, str):
        raise TypeError(f"{argument} {names!r:.100}: it must be a list of names, not a str")
    ranked = [Ranked(name) if isinstance(name, str) else Ranked(*name) for name in names]
    return [
        {
            key: check_name(argument, name),
            "priority": check_number(f"priority in {argument}", priority),
        }
        for name, priority in ranked
    ]


def acls_json(acls: Iterable[Acl] | None) -> list[dict[str, Any]] | None:
    """Return ACLs, or None for None."""
    return None if acls is None else [acl_json(acl) for acl in acls]


def acl_json(acl: Acl) -> dict[str, Any]:
    """Return an ACL."""
    if not isinstance(acl, Acl):
        raise TypeError(f"acls: each must be an Acl, not {type(acl).__name__}")
    return {
        "acltype": AclType(acl.acltype).value,
        "topic": check_name("topic", acl.topic),
        "priority": check_number("priority", acl.priority),
        "allow": bool(acl.allow),
    }
