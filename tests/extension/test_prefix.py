"""`TopicPrefix`: add and strip are inverse, whatever levels there are."""

from __future__ import annotations

import os
import random

import pytest

from flask_mqtt import Mqtt
from flask_mqtt.config import Config, read
from flask_mqtt.extension.prefix import TopicPrefix, for_client

pytestmark = pytest.mark.smoke

#: Levels of topics: empty ones, some of other alphabets, and such as prefixes are made of.
LEVELS = ["", "p", "q", "ü", "дом", "家", "🌡", " ", "p/p", "a$b", "$x", "π"]


@pytest.fixture(scope="module")
def random_() -> random.Random:
    """Random choices; FLASK_MQTT_SEED makes the same ones again."""
    seed = int(os.environ.get("FLASK_MQTT_SEED") or random.randrange(1 << 32))
    print(f"FLASK_MQTT_SEED={seed}")
    return random.Random(seed)


def levels(random_: random.Random, most: int) -> str:
    return "/".join(random_.choices(LEVELS, k=random_.randint(1, most)))


def test_add_and_strip_are_inverse(random_: random.Random) -> None:
    kept = 0
    for _ in range(20_000):
        text, topic = levels(random_, 3), levels(random_, 4)
        if not text or text.startswith("$") or not topic:
            continue
        prefix = TopicPrefix(text)
        full = prefix.add(topic)
        if topic.startswith("$"):
            assert full == topic
            continue
        kept += 1
        assert prefix.strip(full) == topic
        # The prefix may be there twice: one of them is the application's.
        assert prefix.strip(prefix.add(full)) == full
        assert full.startswith(text)
        assert full.split("/")[-len(topic.split("/")) :] == topic.split("/")
    assert kept > 5_000


def test_strip_and_add_are_inverse(random_: random.Random) -> None:
    kept = 0
    for _ in range(20_000):
        text, full = levels(random_, 2), levels(random_, 5)
        if not text or text.startswith("$"):
            continue
        prefix = TopicPrefix(text)
        plain = prefix.strip(full)
        if plain is not None:
            kept += 1
            assert prefix.add(plain) == full
    assert kept > 500


@pytest.mark.parametrize(
    ("prefix", "topic", "full"),
    [
        ("p", "x", "p/x"),
        ("p/", "x", "p/x"),
        ("p", "/x", "p//x"),
        ("/p", "x", "/p/x"),
        ("/", "x", "/x"),
        ("p//", "x", "p//x"),
        ("a//b", "x/", "a//b/x/"),
        ("p", "p/p/x", "p/p/p/x"),
        ("дом", "ü", "дом/ü"),
    ],
)
def test_levels_stay_as_they_are_written(prefix: str, topic: str, full: str) -> None:
    assert TopicPrefix(prefix).add(topic) == full
    assert TopicPrefix(prefix).strip(full) == topic


@pytest.mark.parametrize("topic", ["p", "p/", "pp/x", "P/x", "x", "/p/x", "p/$SYS/x", "$SYS/p/x"])
def test_other_topics_are_not_under_the_prefix(topic: str) -> None:
    assert TopicPrefix("p").strip(topic) is None


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("#", "p/#"),
        ("+/x", "p/+/x"),
        ("$SYS/#", "$SYS/#"),
        ("$share/g/x/#", "$share/g/p/x/#"),
        ("$share/g//x", "$share/g/p//x"),
        ("$share/g/$SYS/#", "$share/g/$SYS/#"),
        ("$share/g", "$share/g"),
        (("x", 1), ("p/x", 1)),
        (["x", 1], ["p/x", 1]),
        (["x", ("y", 2), ["z", 1]], ["p/x", ("p/y", 2), ["p/z", 1]]),
        ([], []),
        (None, None),
        (b"x", b"x"),
        ("", ""),
    ],
)
def test_every_filter_that_subscribe_takes_gets_it(given: object, full: object) -> None:
    assert TopicPrefix("p").add_to_filters(given) == full
    assert TopicPrefix(None).add_to_filters(given) == given


def test_prefixes_that_do_the_same_are_equal() -> None:
    assert TopicPrefix("p") == TopicPrefix("p/")
    assert hash(TopicPrefix("p")) == hash(TopicPrefix("p/"))
    assert TopicPrefix("p") != TopicPrefix("q")
    assert TopicPrefix(None) == TopicPrefix("") != "p"
    assert not TopicPrefix("")
    assert TopicPrefix("/")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("a/+", ValueError),
        ("#", ValueError),
        ("a\0", ValueError),
        ("$SYS", ValueError),
        ("$share/g", ValueError),
        ("\ud800", ValueError),
        ("x" * 65_534, ValueError),
        (True, TypeError),
        (["a"], TypeError),
    ],
)
def test_what_cannot_be_a_prefix_is_refused(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^MQTT_PREFIX"):
        read({"MQTT_PREFIX": value}, "MQTT")


def test_the_longest_prefix_leaves_room_for_a_topic() -> None:
    prefix = read({"MQTT_PREFIX": "x" * 65_533}, "MQTT").prefix
    assert len(TopicPrefix(prefix).add("y")) == 65_535


@pytest.mark.parametrize("value", [None, "", " "])
def test_an_empty_one_is_none(value: str | None) -> None:
    assert read({"MQTT_PREFIX": value}, "MQTT").prefix is None


def test_the_will_of_the_client_has_it() -> None:
    values = Config(prefix="p", last_will_topic="gone")
    assert for_client(values).last_will_topic == "p/gone"
    assert values.last_will_topic == "gone"
    for other in (Config(prefix="p"), Config(last_will_topic="gone"), Config()):
        assert for_client(other) is other


def test_the_client_has_no_such_setting() -> None:
    with pytest.raises(TypeError, match="configure\\(\\) has no setting 'prefix'"):
        Mqtt().client.configure(prefix="p")
