"""What a role allows, and what is allowed without a matching ACL."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any


class AclType(str, Enum):
    """The kinds of ACLs. The value is the plugin's name."""

    #: Messages that the client publishes.
    PUBLISH_CLIENT_SEND = "publishClientSend"
    #: Messages that the broker sends to the client.
    PUBLISH_CLIENT_RECEIVE = "publishClientReceive"
    #: Subscriptions to exactly this filter: wildcards are compared as characters.
    SUBSCRIBE_LITERAL = "subscribeLiteral"
    #: Subscriptions to every filter that this one covers.
    SUBSCRIBE_PATTERN = "subscribePattern"
    #: As with subscriptions.
    UNSUBSCRIBE_LITERAL = "unsubscribeLiteral"
    #: As with subscriptions.
    UNSUBSCRIBE_PATTERN = "unsubscribePattern"

    @classmethod
    def _missing_(cls, value: object) -> AclType:
        names = ", ".join(repr(member.value) for member in cls)
        raise ValueError(f"acltype {value!r:.100}: it must be one of {names}")


@dataclass(frozen=True)
class Acl:
    """One rule of a role.

    Attributes:
        acltype: Its kind.
        topic: A topic filter. A level ``%u`` stands for the user name and ``%c`` for the client
            identifier, from mosquitto 2.1 on.
        allow: Whether it allows or forbids.
        priority: The rule with the highest one that matches counts.
    """

    acltype: AclType
    topic: str
    allow: bool = True
    priority: int = 0


@dataclass(frozen=True)
class DefaultAccess:
    """What is allowed if no ACL matches.

    Attributes:
        publish_client_send: Whether clients may publish.
        publish_client_receive: Whether the broker sends them messages.
        subscribe: Whether they may subscribe.
        unsubscribe: Whether they may unsubscribe.
    """

    publish_client_send: bool
    publish_client_receive: bool
    subscribe: bool
    unsubscribe: bool


#: The fields of `DefaultAccess`, by the plugin's names.
DEFAULT_FIELDS = {
    "publishClientSend": "publish_client_send",
    "publishClientReceive": "publish_client_receive",
    "subscribe": "subscribe",
    "unsubscribe": "unsubscribe",
}


def read_acl(value: dict[str, Any]) -> Acl:
    """Make an ACL of the plugin's JSON."""
    allow, priority = bool(value.get("allow", False)), value.get("priority", 0)
    return Acl(AclType(value["acltype"]), value["topic"], allow, priority)
