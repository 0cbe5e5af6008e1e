"""docs/configuration.md says what the package does: each key, default, example and error."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

import flask_mqtt
from flask_mqtt import config

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


class Key(NamedTuple):
    """A section of the page."""

    name: str
    default: str
    example: str
    bad: list[tuple[str, str]]


def sections() -> list[Key]:
    keys = []
    for section in re.split(r"^### ", PAGE.read_text(), flags=re.MULTILINE)[1:]:
        default = re.search(r"^- Default: `(.+)`$", section, re.MULTILINE)
        example = re.search(r"^- Example: `(.+)`$", section, re.MULTILINE)
        assert default, section
        assert example, section
        bad = re.findall(r"^\| `(.+)` \| `(.+)` \|$", section, re.MULTILINE)
        keys.append(Key(section.split("\n", 1)[0], default[1], example[1], bad))
    return keys


KEYS = sections()
BAD = [(key.name, value, error) for key in KEYS for value, error in key.bad]


def evaluate(expression: str) -> Any:
    return eval(expression, {})


def attribute(key: str) -> str:
    return key.removeprefix("MQTT_").lower()


def test_the_page_has_every_key_and_no_other() -> None:
    assert sorted(key.name for key in KEYS) == sorted(
        f"MQTT_{name.upper()}" for name in config._CHECKS
    )


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_default_is_what_an_empty_configuration_gives(key: Key) -> None:
    assert getattr(config.read({}, "MQTT"), attribute(key.name)) == evaluate(key.default)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_example_is_accepted(key: Key) -> None:
    app = SimpleNamespace(config={})
    exec(key.example, {"app": app, "MQTTv311": flask_mqtt.MQTTv311})
    assert list(app.config) == [key.name]
    config.read(app.config, "MQTT")


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_page_says_what_bad_input_gets(key: Key) -> None:
    assert key.bad


@pytest.mark.parametrize(("key", "value", "error"), BAD)
def test_a_bad_value_gets_the_error_of_the_page(key: str, value: str, error: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        config.read({key: evaluate(value)}, "MQTT")
    assert f"{caught.type.__name__}: {caught.value}" == error
