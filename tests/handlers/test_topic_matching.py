"""Topic filters: what matches, held against paho's own matcher, and what it costs."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import timeit
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_mqtt._core import MQTTMatcher, Routes, topic_matches_sub
from support.matching import Cases, Outcomes, play, random_cases

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.alone

#: More levels than a filter can have, which is 65,535 bytes long at most.
DEEP = 100_000


@pytest.fixture(scope="module")
def cases() -> Cases:
    """Random cases; FLASK_MQTT_SEED makes the same ones again."""
    seed = int(os.environ.get("FLASK_MQTT_SEED") or random.randrange(1 << 32))
    print(f"FLASK_MQTT_SEED={seed}")
    return random_cases(random.Random(seed), pairs=50_000, lives=1_000)


@pytest.fixture(scope="module")
def original(cases: Cases, original_python: Path) -> Outcomes:
    """What paho gives for them."""
    done = subprocess.run(
        [str(original_python), "-m", "support.matching"],
        cwd=Path(__file__).parents[1],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Outcomes(*json.loads(done.stdout))


@pytest.fixture(scope="module")
def ours(cases: Cases) -> Outcomes:
    """What the package gives for them."""
    return play(cases, MQTTMatcher, topic_matches_sub)


@pytest.mark.slow
def test_a_filter_matches_as_in_paho(cases: Cases, original: Outcomes, ours: Outcomes) -> None:
    assert len(ours.pairs) == len(original.pairs) == len(cases.pairs)
    for pair, mine, theirs in zip(cases.pairs, ours.pairs, original.pairs, strict=True):
        assert mine == theirs, pair
    # Enough of both kinds to mean something.
    assert len(cases.pairs) / 50 < sum(ours.pairs) < len(cases.pairs) / 2


def test_a_matcher_keeps_finds_and_orders_as_paho_does(
    cases: Cases, original: Outcomes, ours: Outcomes
) -> None:
    found = 0
    for operations, mine, theirs in zip(cases.lives, ours.lives, original.lives, strict=True):
        for operation, my_answer, their_answer in zip(operations, mine, theirs, strict=True):
            kind, key, _ = operation
            expected = their_answer
            if kind == "match":
                found += len(my_answer)
                if {"+", "#"} & set(key.split("/")):
                    # No topic: paho finds a wildcard's values as those of the exact level too.
                    expected = list(dict.fromkeys(their_answer))
            assert my_answer == expected, (operation, operations)
    assert found > len(cases.lives)


@pytest.mark.smoke
def test_a_matcher_holds_any_value_but_none() -> None:
    matcher = MQTTMatcher()
    value = object()
    for filter_, kept in (("a", value), ("+", 0), ("#", "")):
        matcher[filter_] = kept
    matcher["a/#"] = None
    assert matcher["a"] is value
    matches = matcher.iter_match("a")
    assert next(matches) is value
    # What was found stays found.
    del matcher["+"]
    assert list(matches) == [0, ""]
    for missing in ("a/#", "b", "+", "a/b"):
        with pytest.raises(KeyError) as error:
            matcher[missing]
        assert error.value.args == (missing,)
        with pytest.raises(KeyError):
            del matcher[missing]


def test_a_filter_is_a_string() -> None:
    matcher: Any = MQTTMatcher()
    for wrong in (None, 1, b"a"):
        with pytest.raises(TypeError):
            matcher[wrong] = 1
        with pytest.raises(TypeError):
            matcher.iter_match(wrong)


def test_a_value_may_use_the_matcher_when_it_goes() -> None:
    matcher = MQTTMatcher()
    seen: list[list[object]] = []

    class Value:
        def __del__(self) -> None:
            matcher["b"] = len(seen)
            seen.append(list(matcher.iter_match("b")))

    matcher["a"] = Value()
    matcher["a"] = Value()  # replaces
    matcher["a"] = None  # removes
    matcher["a"] = Value()
    del matcher["a"]
    assert seen == [[0], [1], [2]]


def test_a_handler_may_use_the_routes_when_it_goes() -> None:
    routes = Routes()
    found: list[int] = []

    class Handler:
        def __call__(self) -> None: ...

        def __del__(self) -> None:
            found.append(len(routes.handlers("a")))

    routes.set("a", Handler())
    routes.set("a", Handler())  # replaces
    routes.remove("a")
    assert found == [1, 0]


@pytest.mark.parametrize("keep", [MQTTMatcher.__setitem__, Routes.set, Routes.add])
def test_what_refers_to_itself_is_collected(keep: Callable[[Any, str, Any], None]) -> None:
    class Handler:
        owner: object

        def __call__(self) -> None: ...

    handler = Handler()
    handler.owner = MQTTMatcher() if keep is MQTTMatcher.__setitem__ else Routes()
    keep(handler.owner, "a", handler)
    gone = weakref.ref(handler)
    del handler
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("level", ["", "a", "+"])
def test_levels_beyond_number_do_no_harm(level: str) -> None:
    topic = "/".join([level] * DEEP)
    assert topic_matches_sub(topic, topic)
    assert topic_matches_sub("#", topic)
    matcher = MQTTMatcher()
    matcher[topic] = 1
    assert list(matcher.iter_match(topic)) == [1]
    assert list(matcher.iter_match(topic + "/b")) == []
    del matcher[topic]
    assert list(matcher.iter_match(topic)) == []


def routes_of(filters: int) -> Routes:
    """Return routes with so many filters, some of which match `home/1/lamp`."""
    routes = Routes()
    for number in range(filters):
        routes.add(
            ("home/{}/lamp", "+/{}/door", "home/{}/#")[number % 3].format(number // 3), print
        )
    return routes


def test_ten_thousand_filters_cost_what_ten_cost() -> None:
    few, many = routes_of(10), routes_of(10_000)
    assert len(few.handlers("home/1/lamp")) == len(many.handlers("home/1/lamp")) == 2

    def seconds(routes: Routes) -> float:
        return min(timeit.repeat(lambda: routes.handlers("home/1/lamp"), number=500, repeat=7))

    # One by one they would cost a thousand times as much.
    assert seconds(many) < 20 * seconds(few)


def test_a_filter_more_costs_the_same_however_many_there_are() -> None:
    def seconds(routes: Routes) -> float:
        names = iter(range(10_000))
        return min(
            timeit.repeat(lambda: routes.add(f"more/{next(names)}", print), number=200, repeat=7)
        )

    assert seconds(routes_of(50_000)) < 20 * seconds(routes_of(10))
