"""What `publish` changes about a message before the client gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .prefix import TopicPrefix

if TYPE_CHECKING:
    from ..config import Config


class Outgoing:
    """Makes of what the application publishes what the client is to send."""

    def __init__(self, prefix: TopicPrefix) -> None:
        """Take what is to be done.

        Args:
            prefix: What goes before topics.
        """
        self._prefix = prefix

    def topic(self, topic: Any, *, no_prefix: bool) -> Any:
        """Return a topic as it is sent."""
        return topic if no_prefix else self._prefix.add(topic)


def outgoing(values: Config) -> Outgoing | None:
    """Return what these values want to be done, or None if messages are sent as they are given."""
    prefix = TopicPrefix(values.prefix)
    return Outgoing(prefix) if prefix else None
