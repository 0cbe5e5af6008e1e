"""docs/api.md has every public name."""

from __future__ import annotations

import re
from enum import Enum, IntEnum
from pathlib import Path

import flask_mqtt
import flask_multimqtt

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
NAMES = set(re.findall(r"\w+", PAGE))


def is_told(name: str) -> bool:
    """Whether the page has a name, or what it is one of."""
    value = getattr(flask_mqtt, name)
    enumeration = type(value).__name__ if isinstance(value, Enum) else ""
    # CallbackOnConnect_v1_mqtt3 is said to be one of CallbackOnConnect.
    handler = name.partition("_v")[0] if name.startswith("CallbackOn") else ""
    return not NAMES.isdisjoint({name, enumeration, handler})


def test_every_public_name_is_on_the_page() -> None:
    assert [name for name in flask_mqtt.__all__ if not is_told(name)] == []


def test_what_the_page_shows_is_public() -> None:
    shown = set(re.findall(r"^\.\. auto\w+:: flask_mqtt\.(\w+)$", PAGE, re.MULTILINE))
    assert {"Mqtt", "Client", "MQTTMessageInfo"} < shown <= set(flask_mqtt.__all__)


def test_the_other_module_is_shown_too() -> None:
    shown = re.findall(r"^\.\. autoclass:: flask_multimqtt\.(\w+)$", PAGE, re.MULTILINE)
    assert shown == flask_multimqtt.__all__


def test_the_members_of_an_enumeration_are_shown_with_it() -> None:
    public = [getattr(flask_mqtt, name) for name in flask_mqtt.__all__]
    enumerations = {kind.__name__ for kind in map(type, public) if issubclass(kind, IntEnum)}
    blocks = re.findall(r"flask_mqtt\.(\w+)\n   :members:", PAGE)
    listed = {name for name in enumerations if all(member in NAMES for member in members(name))}
    assert enumerations <= listed.union(blocks)


def members(enumeration: str) -> list[str]:
    return [member.name for member in getattr(flask_mqtt, enumeration)]
