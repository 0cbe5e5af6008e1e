"""docs/configuration.md says what the package does: each key, default, example and error."""

from __future__ import annotations

import pathlib
import re
import ssl
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from flask_mqtt import MQTTv5, config

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


class Key(NamedTuple):
    """A section of the page."""

    name: str
    default: str
    example: str
    bad: list[tuple[str, str]]


def sections() -> list[Key]:
    keys = []
    for section in re.findall(
        r"^### (MQTT_.+?)(?=^##)", PAGE.read_text(), re.MULTILINE | re.DOTALL
    ):
        default = re.search(r"^- Default: `(.+)`$", section, re.MULTILINE)
        example = re.search(r"^- Example: `(.+)`$", section, re.MULTILINE)
        assert default, section
        assert example, section
        bad = re.findall(r"^\| `(.+)` \| `(.+)` \|$", section, re.MULTILINE)
        keys.append(Key(section.split("\n", 1)[0], default[1], example[1], bad))
    return keys


def bad_combinations() -> list[tuple[str, str]]:
    section = PAGE.read_text().split("\n## Conflicting keys\n")[1]
    found = re.findall(r"^\| `({.+})` \| `(.+)` \|$", section, re.MULTILINE)
    assert found
    return found


NAMES = {"ssl": ssl, "pathlib": pathlib, "MQTTv5": MQTTv5}
KEYS = sections()
BAD = [(key.name, value, error) for key in KEYS for value, error in key.bad]


def evaluate(expression: str) -> Any:
    return eval(expression, dict(NAMES))


def attribute(key: str) -> str:
    return key.removeprefix("MQTT_").lower()


def test_the_page_has_every_key_and_no_other() -> None:
    assert sorted(key.name for key in KEYS) == sorted(
        f"MQTT_{name.upper()}" for name in config.KEYS
    )


@pytest.mark.slow
def test_the_page_follows_from_the_table_of_keys() -> None:
    command = [sys.executable, "scripts/keys.py", "--check"]
    subprocess.run(command, cwd=PAGE.parent.parent, timeout=60, check=True)


def test_the_overview_links_to_every_key() -> None:
    overview = PAGE.read_text().split("\n## ")[0]
    links = re.findall(r"\[`(\w+)`\]\(#(\w+)\)", overview)
    assert links == [(key.name, key.name.lower()) for key in KEYS]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_default_is_what_an_empty_configuration_gives(key: Key) -> None:
    assert getattr(config.read({}, "MQTT"), attribute(key.name)) == evaluate(key.default)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_example_is_accepted(key: Key) -> None:
    app = SimpleNamespace(config={})
    exec(key.example, {"app": app, **NAMES})
    assert next(iter(app.config)) == key.name
    config.read(app.config, "MQTT")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_page_says_what_bad_input_gets(key: Key) -> None:
    assert key.bad


@pytest.mark.parametrize(("key", "value", "error"), BAD)
def test_a_bad_value_gets_the_error_of_the_page(key: str, value: str, error: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        config.read({key: evaluate(value)}, "MQTT")
    assert f"{caught.type.__name__}: {caught.value}" == error


@pytest.mark.parametrize(("keys", "error"), bad_combinations())
def test_keys_that_do_not_go_together_get_the_error_of_the_page(keys: str, error: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the page has the whole message
        config.read(evaluate(keys), "MQTT")
    assert f"{caught.type.__name__}: {caught.value}" == error
