"""Dead letters: their topics, what they say, and that they come back to nobody."""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_mqtt import (
    MQTT_ERR_NO_CONN,
    MQTT_ERR_QUEUE_SIZE,
    MQTTMessage,
    MQTTv5,
    Properties,
    topic_matches_sub,
)
from flask_mqtt.routing.counts import Counts
from flask_mqtt.routing.dead_letters import DeadLetters, check_template
from support.apps import make_app
from support.running import connected

if TYPE_CHECKING:
    from support.scripted import ScriptedBroker


class Host:
    """Records what is published."""

    def __init__(self, rc: int = 0) -> None:
        self.rc = rc
        self.published: list[tuple[Any, ...]] = []

    def publish(
        self,
        topic: str,
        payload: Any = None,
        qos: int = 0,
        retain: bool = False,
        properties: Any = None,
        *,
        no_prefix: bool = False,
    ) -> Any:
        assert not no_prefix
        if "\0" in topic:
            raise ValueError("the topic has a NUL")
        self.published.append((topic, payload, qos, retain, properties))
        return self.rc, 1


def message(topic: str, payload: bytes = b"{", qos: int = 0, **properties: Any) -> MQTTMessage:
    made = MQTTMessage(1, topic.encode())
    made.payload, made.qos = payload, qos
    if properties:
        made.properties = Properties(3, **properties)
    return made


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def letters(host: Host, counts: Counts) -> DeadLetters:
    return DeadLetters(host, counts)


def test_a_dead_letter_has_the_payload_and_the_qos_of_the_message(
    host: Host, counts: Counts, letters: DeadLetters
) -> None:
    letters.send(None, message("a/b", b"\xff", 1), "errors/{topic}", "why")
    letters.send(None, message("a/b", b"\xff", 2), "errors", "why")
    assert host.published == [
        ("errors/a/b", b"\xff", 1, False, None),
        ("errors", b"\xff", 2, False, None),
    ]
    assert counts.shown()["dead_letters"] == 2


def test_with_mqtt_5_it_says_where_it_comes_from_and_why(host: Host, letters: DeadLetters) -> None:
    letters.send(
        None,
        message(
            "a",
            ContentType="application/json",
            PayloadFormatIndicator=1,
            UserProperty=[("unit", "C")],
            ResponseTopic="not/for/others",
            MessageExpiryInterval=5,
        ),
        "{topic}/bad",
        "$.value: missing",
    )
    [(topic, _, _, _, properties)] = host.published
    assert topic == "a/bad"
    assert properties == {
        "ContentType": "application/json",
        "PayloadFormatIndicator": 1,
        "UserProperty": [
            ("unit", "C"),
            ("dead-letter-topic", "a"),
            ("dead-letter-reason", "$.value: missing"),
        ],
    }


def test_any_reason_fits_into_a_user_property(scripted5: ScriptedBroker) -> None:
    reason = "\0\ud800\n\x1b[31m" + "x" * 100_000
    with connected(make_app(scripted5.port, protocol_version=MQTTv5)) as mqtt:
        letters = DeadLetters(mqtt, Counts())
        letters.send(None, message("a", qos=1, ContentType="x"), "errors", reason)
        [_, (name, told)] = dict_of(scripted5.wait_for("PUBLISH").properties)["UserProperty"]
    assert name == "dead-letter-reason"
    assert told.startswith(r"\x00\ud800 \x1b[31mxxx")
    assert len(told) < 400


def dict_of(properties: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for name, value in properties:
        found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("filter_", "template", "topic"),
    [
        ("a/+", "errors/{topic}", "errors/a/b"),
        ("a/#", "errors/{topic}/bad", "errors/a/b/c/bad"),
        ("a/#", "errors/{topic}", "errors/a"),
        ("a", "b", "b"),
    ],
)
def test_there_is_no_dead_letter_of_a_dead_letter(
    host: Host,
    counts: Counts,
    letters: DeadLetters,
    caplog: pytest.LogCaptureFixture,
    filter_: str,
    template: str,
    topic: str,
) -> None:
    letters.expect("rule", filter_, template)
    letters.send(None, message(topic), "others/{topic}", "why")
    letters.send(None, message("x", UserProperty=[("dead-letter-topic", "y")]), "z", "why")
    assert host.published == []
    assert counts.shown()["dead_letters_lost"] == 2
    assert caplog.messages[0] == (
        f"The message on {topic!r} was not published on 'others/{topic}' as a dead letter: "
        "it is a dead letter already"
    )
    letters.send(None, message("others"), template, "why")
    assert len(host.published) == 1


@pytest.mark.parametrize(
    ("rc", "qos", "lost"),
    [
        (0, 0, None),
        (MQTT_ERR_NO_CONN, 1, None),
        (MQTT_ERR_NO_CONN, 0, "MQTT_ERR_NO_CONN"),
        (MQTT_ERR_QUEUE_SIZE, 1, "MQTT_ERR_QUEUE_SIZE"),
    ],
)
def test_one_that_is_not_sent_is_told(
    caplog: pytest.LogCaptureFixture, counts: Counts, rc: int, qos: int, lost: str | None
) -> None:
    DeadLetters(Host(rc), counts).send(None, message("a", qos=qos), "errors/{topic}", "why")
    shown = counts.shown()
    assert (shown["dead_letters"], shown["dead_letters_lost"]) == ((0, 1) if lost else (1, 0))
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * bool(lost)
    assert all(str(lost) in text for text in caplog.messages)


def test_a_topic_that_cannot_be_is_told(
    caplog: pytest.LogCaptureFixture, letters: DeadLetters
) -> None:
    letters.send(None, message("a\0"), "errors/{topic}", "why")
    [text] = caplog.messages
    assert text.endswith(r"on 'errors/a\x00' as a dead letter: the topic has a NUL")


@pytest.mark.parametrize(
    ("template", "error", "text"),
    [
        (1, TypeError, "dead_letter 1: it must be a str, as in 'errors/{topic}'"),
        ("", ValueError, "dead_letter ''"),
        ("errors/#", ValueError, "dead_letter 'errors/#'"),
        ("errors-{topic}", ValueError, "{topic} must be a level of its own"),
        ("{topic}/{topic}", ValueError, "more than once"),
        ("errors/{name}", ValueError, "the only placeholder is {topic}"),
    ],
)
def test_a_topic_of_dead_letters_is_looked_at_when_it_is_given(
    template: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error) as caught:
        check_template(template)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("filter_", "template"),
    [
        ("#", "errors/{topic}"),
        ("+/#", "errors"),
        ("errors/#", "errors/{topic}"),
        ("errors/+", "errors/bad"),
        ("a/b", "a/b"),
        ("a", "{topic}"),
        ("a/#", "{topic}/bad"),
        ("+/+", "a/b"),
    ],
)
def test_a_route_never_gets_its_own_dead_letters(
    letters: DeadLetters, filter_: str, template: str
) -> None:
    with pytest.raises(ValueError, match="the route would get its own dead letters"):
        letters.expect("rule", filter_, template)


#: All topics and filters of up to three levels of two names.
LEVELS = ("a", "b")
TOPICS = [
    "/".join(levels) for n in (1, 2, 3, 4, 5) for levels in itertools.product(LEVELS, repeat=n)
]
FILTERS = st.lists(st.sampled_from([*LEVELS, "+"]), max_size=2).flatmap(
    lambda levels: st.sampled_from(["a", "+", "#"]).map(lambda last: "/".join([*levels, last]))
)
TEMPLATES = st.sampled_from(["a", "a/b", "a/{topic}", "{topic}/a", "b/{topic}/a", "{topic}"])


@settings(deadline=None, database=None)
@given(FILTERS, TEMPLATES)
def test_what_is_refused_would_come_back(filter_: str, template: str) -> None:
    host = Host()
    letters = DeadLetters(host, Counts())
    dead = {
        template.replace("{topic}", topic) for topic in TOPICS if topic_matches_sub(filter_, topic)
    }
    comes_back = any(topic_matches_sub(filter_, topic) for topic in dead)
    try:
        letters.expect("rule", filter_, template)
        refused = False
    except ValueError:
        refused = True
    assert refused == comes_back
    if not refused:
        for topic in dead:
            letters.send(None, message(topic), "c", "why")
        assert host.published == []
