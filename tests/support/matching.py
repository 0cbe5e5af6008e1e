"""Cases of topic matching, made at random, and what a matcher in paho's shape gives for them.

`python -m support.matching`, in the folder of the tests, reads cases from its input and prints what
paho gives; the interpreter has to have it.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

_NAMES = ["", "a", "b", "ab", "ü", "日本", "$", "$SYS", "$share", "a+", "#b"]
_WILDCARDS = ["+", "+", "+", "#", "#"]
_LEVELS = 5

#: What is done with a matcher: "set", "get", "del" or "match", a filter or a topic, and the value.
Operation = tuple[str, str, Any]


class Matcher(Protocol):
    """The interface of paho's `MQTTMatcher`."""

    def __setitem__(self, key: str, value: Any, /) -> None: ...
    def __getitem__(self, key: str, /) -> Any: ...
    def __delitem__(self, key: str, /) -> None: ...
    def iter_match(self, topic: str) -> Iterator[Any]: ...


class Cases(NamedTuple):
    """Pairs of a filter and a topic, and the lives of some matchers."""

    pairs: list[tuple[str, str]]
    lives: list[list[Operation]]


class Outcomes(NamedTuple):
    """Whether each pair matches, and what each operation of each life gave."""

    pairs: list[bool]
    lives: list[list[Any]]


def random_cases(source: random.Random, pairs: int, lives: int) -> Cases:
    """Make cases of names that are few enough to meet."""

    def filter_() -> str:
        return _levels(source, _NAMES + _WILDCARDS)

    def topic() -> str:
        # One in ten has wildcards, which no topic should.
        return _levels(source, _NAMES + _WILDCARDS if source.random() < 0.1 else _NAMES)

    def life() -> list[Operation]:
        filters = [filter_() for _ in range(source.randint(1, 40))]
        operations: list[Operation] = []
        for number in range(100):
            kind = source.choice(["set", "set", "set", "del", "get", "match", "match"])
            key = topic() if kind == "match" else source.choice(filters)
            value = None if kind != "set" or source.random() < 0.1 else number
            operations.append((kind, key, value))
        return operations

    return Cases([(filter_(), topic()) for _ in range(pairs)], [life() for _ in range(lives)])


def _levels(source: random.Random, levels: list[str]) -> str:
    return "/".join(source.choices(levels, k=source.randint(1, _LEVELS)))


def play(
    cases: Cases, matcher: Callable[[], Matcher], matches: Callable[[str, str], bool]
) -> Outcomes:
    """Play cases with `MQTTMatcher` and `topic_matches_sub`."""
    return Outcomes(
        [matches(filter_, topic) for filter_, topic in cases.pairs],
        [_live(matcher(), operations) for operations in cases.lives],
    )


def _live(matcher: Matcher, operations: list[Operation]) -> list[Any]:
    return [_do(matcher, *operation) for operation in operations]


def _do(matcher: Matcher, kind: str, key: str, value: Any) -> Any:
    if kind == "match":
        return list(matcher.iter_match(key))
    try:
        if kind == "get":
            return matcher[key]
        if kind == "del":
            del matcher[key]
        else:
            matcher[key] = value
    except KeyError as error:
        return repr(error)
    return None


def main() -> None:
    """Play the cases of the input with paho."""
    paho = importlib.import_module("paho.mqtt.client")
    outcomes = play(Cases(*json.load(sys.stdin)), paho.MQTTMatcher, paho.topic_matches_sub)
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
