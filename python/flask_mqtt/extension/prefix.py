"""``MQTT_PREFIX``: levels that topics have at the broker, and not in the application."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..config import Config

_SHARED = "$share/"


class TopicPrefix:
    """Puts a prefix before topics, and takes it away again, level by level as it is written.

    Without one it returns topics as they are. Topics that begin with ``$`` never have it, so one
    whose plain topic would begin so counts as a topic without the prefix.
    """

    def __init__(self, prefix: str | None) -> None:
        """Take a prefix.

        Args:
            prefix: One or more levels, with or without a slash at the end; None for none.
        """
        #: With the slash before the plain topic.
        self._head = "" if not prefix else prefix if prefix.endswith("/") else f"{prefix}/"

    def __bool__(self) -> bool:
        """Whether there is one."""
        return bool(self._head)

    def __eq__(self, other: object) -> bool:
        """Whether another one does the same."""
        return isinstance(other, TopicPrefix) and self._head == other._head

    def __hash__(self) -> int:
        """Return the hash of the prefix."""
        return hash(self._head)

    def add(self, topic: Any) -> Any:
        """Return a topic with the prefix.

        Args:
            topic: A topic name. What is none is returned as it is: an empty one stands for a topic
                alias (MQTT 5.0, 3.3.2.3.4), and everything else the client refuses.
        """
        if not isinstance(topic, str) or not topic or topic.startswith("$"):
            return topic
        return self._head + topic

    def add_to_filters(self, topic: Any) -> Any:
        """Return what `subscribe` takes, with the prefix before each filter.

        Args:
            topic: A filter, a pair of one and how it is subscribed to, or a list of either. Of a
                shared subscription the prefix goes before its filter.
        """
        if isinstance(topic, tuple):
            return tuple(self.add_to_filters(item) for item in topic)
        if isinstance(topic, list):
            return [self.add_to_filters(item) for item in topic]
        if isinstance(topic, str) and topic.startswith(_SHARED):
            group, slash, sub = topic[len(_SHARED) :].partition("/")
            return f"{_SHARED}{group}{slash}{self.add(sub)}"
        return self.add(topic)

    def strip(self, topic: str) -> str | None:
        """Return the plain topic, or None for a topic without the prefix."""
        if not topic.startswith(self._head):
            return None
        plain = topic[len(self._head) :]
        return None if not plain or plain.startswith("$") else plain


def for_client(values: Config) -> Config:
    """Return the values as a client gets them, which knows no prefix: the will has it."""
    topic = TopicPrefix(values.prefix).add(values.last_will_topic)
    return values if topic == values.last_will_topic else replace(values, last_will_topic=topic)
