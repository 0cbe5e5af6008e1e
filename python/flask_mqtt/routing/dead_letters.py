"""Dead letters: messages that a route could not handle, published on another topic."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from .._core import MQTTMatcher, validate_topic
from ..payloads import one_line
from .lines import Lines
from .sending import send

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from .._core import MQTTMessage
    from .counts import Counts
    from .sending import Publishing

#: Where a template has the topic of the message.
_TOPIC = "{topic}"

#: The user properties that say where a dead letter comes from, and why it is one.
FROM = "dead-letter-topic"
REASON = "dead-letter-reason"


def check_template(template: object) -> None:
    """Look at what an application says is the topic of dead letters.

    Args:
        template: A topic; a level of it may be ``{topic}``, for that of the message.

    Raises:
        TypeError: It is no text.
        ValueError: It makes no topic.
    """
    if not isinstance(template, str):
        raise TypeError(f"dead_letter {template!r}: it must be a str, as in 'errors/{_TOPIC}'")
    if template.count(_TOPIC) != template.split("/").count(_TOPIC):
        raise ValueError(f"dead_letter {template!r}: {_TOPIC} must be a level of its own")
    if template.count(_TOPIC) > 1:
        raise ValueError(f"dead_letter {template!r}: it contains {_TOPIC} more than once")
    plain = template.replace(_TOPIC, "topic")
    if "{" in plain or "}" in plain:
        raise ValueError(f"dead_letter {template!r}: the only placeholder is {_TOPIC}")
    try:
        validate_topic(plain)
    except ValueError as error:
        raise ValueError(f"dead_letter {template!r}: {error}") from error


class DeadLetters:
    """Publishes dead letters, but never one of a dead letter: that could go on without end."""

    def __init__(self, host: Publishing, counts: Counts) -> None:
        """Start without any.

        Args:
            host: What publishes.
            counts: Where they are counted.
        """
        self._host = host
        self._counts = counts
        text = "The message on %.100r was not published on %.100r as a dead letter: %.200s"
        self._lines = Lines(logging.ERROR, text, "dead_letters_lost")
        #: The filters of all topics that dead letters of these routes have.
        self._topics = MQTTMatcher()

    def expect(self, rule: str, filter_: str, template: str) -> None:
        """Know the dead letters of a route.

        Args:
            rule: The route's, for the error.
            filter_: Its filter.
            template: The topic of its dead letters: see `check_template`.

        Raises:
            ValueError: The route would get its own dead letters.
        """
        topics = template.replace(_TOPIC, filter_).split("/")
        if _overlap(topics, filter_.split("/")):
            raise ValueError(
                f"dead_letter {template!r} of the route {rule!r}: the route would get its own dead "
                "letters; choose a topic that its rule does not match"
            )
        if "#" in topics:
            # What follows it is of the template. It may match too much.
            del topics[topics.index("#") + 1 :]
        self._topics["/".join(topics)] = True

    def send(
        self,
        core: CoreClient | None,
        message: MQTTMessage,
        template: str,
        reason: str,
        *,
        no_prefix: bool = False,
    ) -> None:
        """Publish a message on the topic for dead letters, with its payload and QoS.

        With MQTT 5 it has the content type and the user properties of the message, and two more:
        ``dead-letter-topic`` and ``dead-letter-reason``.

        Args:
            core: The client's, for log records.
            message: The message.
            template: The topic of dead letters.
            reason: Why it is one.
            no_prefix: Whether the topic of the message is a full one, and so that of dead letters.
        """
        topic = template.replace(_TOPIC, message.topic)
        failure: str | None = "it is a dead letter already"
        if not self._is_dead_letter(message):
            properties = _properties(message, reason)
            failure = send(
                self._host, topic, message.payload, message.qos, properties, no_prefix=no_prefix
            )
        if failure is None:
            self._counts.add("dead_letters")
            return
        self._counts.add("dead_letters_lost")
        values = {"topic": message.topic, "dead_letter": topic, "error": failure}
        arguments = message.topic, topic, failure
        self._lines.write(core, "dead_letter_lost", *arguments, **values)

    def _is_dead_letter(self, message: MQTTMessage) -> bool:
        pairs = getattr(message.properties, "UserProperty", ())
        if any(name == FROM for name, _ in pairs):
            return True
        return next(self._topics.iter_match(message.topic), False)


def _properties(message: MQTTMessage, reason: str) -> dict[str, Any] | None:
    given = message.properties
    if given is None:
        return None
    pairs = [*getattr(given, "UserProperty", ()), (FROM, message.topic), (REASON, one_line(reason))]
    properties: dict[str, Any] = {"UserProperty": pairs}
    for name in ("ContentType", "PayloadFormatIndicator"):
        if hasattr(given, name):
            properties[name] = getattr(given, name)
    return properties


def _overlap(one: list[str], other: list[str]) -> bool:
    """Whether a topic can match both of two filters. In these, ``#`` may also be in the middle."""
    if "#" in (one[:1] + other[:1]):
        if one[:1] != ["#"]:
            one, other = other, one
        return any(_overlap(one[1:], other[start:]) for start in range(len(other) + 1))
    if not one or not other:
        return one == other
    return (one[0] == other[0] or "+" in (one[0], other[0])) and _overlap(one[1:], other[1:])
