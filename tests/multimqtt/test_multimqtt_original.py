"""Applications of Flask-MultiMQTT do the same here as with it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flask_multimqtt import MultiMQTT, Topic

if TYPE_CHECKING:
    from support.mosquitto import Mosquitto

pytestmark = pytest.mark.slow

SCENARIOS = Path(__file__).with_name("multimqtt_scenarios.py")

SIGNATURES = """
import inspect, json
from flask_multimqtt import MultiMQTT
from flask_multimqtt.topic import Topic
found = {}
for cls in (MultiMQTT, Topic):
    methods = {name: one for name, one in vars(cls).items() if callable(one)}
    parameters = {
        name: inspect.signature(one).parameters.values()
        for name, one in methods.items() if not name.startswith("_")
    }
    found[cls.__name__] = {
        name: [[one.name, repr(one.default)] for one in them] for name, them in parameters.items()
    }
found["attributes"] = [name for name in vars(MultiMQTT()) if not name.startswith("_")]
print(json.dumps(found))
"""

#: What only its way of having one client for the whole process needs.
NOT_HERE = {"main_thread", "route_name"}

#: What this package has seen of each.
EXPECTED: dict[str, list[Any]] = {
    "readme": [
        ["first", "home/sensor/a", "1"],
        ["my_topic", "my_topic/a/b", "2"],
        ["The number is", 42, "scenario"],
        ["example", {"hello": "world"}],
        ["example", [1, "two", None]],
        ["number/42"],
        ["myprefix/number/42"],
    ],
    "threads": [[[f"worker {number}" for number in range(8)]]],
    "placeholders": [
        ["int", 42],
        ["int", -7],
        ["float", 2.5],
        ["float", 3.0],
        ["float", -1000.0],
        ["uuid", "8bd3a1b6-2ad2-4f0c-8f3e-5b4fd2a7a3f3", "UUID"],
        ["uuid", "8bd3a1b6-2ad2-4f0c-8f3e-5b4fd2a7a3f3", "UUID"],
        ["str", "ü", "дом"],
        ["c/8bd3a1b6-2ad2-4f0c-8f3e-5b4fd2a7a3f3/y", "d/x/y"],
    ],
    "separate_keys": [
        ["x/y"],
        ["127.0.0.1", "username", "password", "mine"],
        ["mine/x/+"],
    ],
    "handlers": [
        ["connected", True],
        ["one"],
        ["other"],
        ["myprefix/t", 0, False, ["myprefix/t", "myprefix/probe"]],
    ],
}


#: What differs: what this package sees, and what Flask-MultiMQTT does.
DIFFERENT: dict[str, tuple[list[Any], list[Any]]] = {
    "differences": (
        [
            ["path", "a/b"],
            ["first", 1],
            ["second", {"y": "1"}],
            ["publish returns None", False],
            ["slashes", "myprefix//slashes/"],
            ["a value is missing", "ValueError"],
            ["a wildcard", "ValueError"],
            ["an unknown name", "ValueError"],
            ["topics", 4],
        ],
        [
            ["path", "a"],
            ["first", 1],
            ["second", {"x": 1}],
            ["publish returns None", True],
            ["slashes", "myprefix/slashes"],
            ["a value is missing", "KeyError"],
            ["a wildcard", "wild/+"],
            ["an unknown name", "ValueError"],
            ["topics", 4],
        ],
    ),
    "a_handler_fails": ([["works"]], []),
}


def run(python: str | Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(whose: str, name: str, broker: Mosquitto, request: pytest.FixtureRequest) -> Any:
    python = sys.executable
    if whose == "original":
        python = request.getfixturevalue("original_python")
    return json.loads(run(python, str(SCENARIOS), name, str(broker.port)))


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("whose", ["ours", "original"])
def test_it_sees_the_same(
    name: str, whose: str, broker: Mosquitto, request: pytest.FixtureRequest
) -> None:
    assert seen(whose, name, broker, request) == EXPECTED[name]


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("whose", ["ours", "original"])
def test_what_differs_is_on_the_page(
    name: str, whose: str, broker: Mosquitto, request: pytest.FixtureRequest
) -> None:
    assert seen(whose, name, broker, request) == DIFFERENT[name][whose == "original"]


def test_its_methods_and_attributes_are_here(original_python: Path) -> None:
    theirs = json.loads(run(original_python, "-W", "ignore", "-c", SIGNATURES))
    for cls in (MultiMQTT, Topic):
        for name, parameters in theirs[cls.__name__].items():
            ours = inspect.signature(getattr(cls, name)).parameters.values()
            named = [[one.name, repr(one.default)] for one in ours]
            if named[-1][0] == "values":
                # They call it otherwise: **kwargs.
                named[-1][0] = parameters[-1][0]
            assert named == parameters, name
    missing = {name for name in theirs["attributes"] if not hasattr(MultiMQTT, name)}
    assert missing == NOT_HERE
