"""The table of keys: what follows from an entry, and what an entry must not forget."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

import pytest

from flask_mqtt import Mqtt
from flask_mqtt.config import ATTRIBUTES, KEYS, MAX_PACKET_SIZE, Config, read, suggestions
from flask_mqtt.config.base import Settings, key
from flask_mqtt.config.checks import integer, text
from flask_mqtt.config.keys import CORE_NAMES, Keys
from flask_mqtt.config.options import ConnectOptions
from flask_mqtt.config.shown import hidden

pytestmark = pytest.mark.smoke

#: Shown in errors, where a secret would be another key's, and not in a `repr`.
SHOWN_IN_ERRORS = {"username", "tls_context"}

#: Values of other types than the default, that the core takes too.
OTHERS: dict[str, Any] = {
    "persistence": "/tmp/messages", "proxy": "http://proxy", "bind_address": "127.0.0.1",
    "connect_properties": {"ReceiveMaximum": 3}, "incoming_overflow": "drop-newest",
    "persistence_fsync": "always", "protocol_version": 5, "client_id": "me", "gather_time": 0.002,
}  # fmt: skip


@dataclass
class Few(Settings):
    """A table with two keys."""

    size: int = key(3, integer(1, 9))
    token: str = key("", text, show=hidden, needs="size")


def test_an_entry_says_what_a_key_is_called_and_what_is_shown_of_it() -> None:
    few = Few(key_prefix="MQTT", token="hunter2")
    assert (few.size, few.token) == (3, "hunter2")
    assert (few.key("size"), Few().key("size")) == ("MQTT_SIZE", "size")
    assert "hunter2" not in repr(few)
    with pytest.raises(ValueError, match=r"^MQTT_TOKEN = <hidden>: a string in MQTT has no null"):
        text(few.key("token"), "hunter2\0")


def test_what_is_declared_twice_for_type_checkers_is_the_same() -> None:
    declared, known = get_type_hints(Mqtt), get_type_hints(Keys)
    assert {name: declared.get(name) for name in ATTRIBUTES} == {
        name: known[name] for name in ATTRIBUTES
    }
    assert set(Mqtt.__annotations__) == set(ATTRIBUTES)


@pytest.mark.parametrize("name", CORE_NAMES)
def test_what_the_core_takes_as_it_is_gets_there(name: str) -> None:
    default = getattr(Config(), name)
    other = OTHERS.get(name, default is not True and 2)
    values = replace(Config(), **{"protocol_version": 5, "reconnect_delay_max": 100, name: other})
    assert getattr(values.connect_options(), name) == other != default


def test_options_have_no_default_of_their_own() -> None:
    inherited = {field.name: field.default for field in fields(Keys)}
    options = {item.name: item.default for item in fields(ConnectOptions)}
    assert {name: options[name] for name in CORE_NAMES} == {
        name: inherited[name] for name in CORE_NAMES
    }


@pytest.mark.parametrize("name", KEYS)
def test_what_is_no_secret_in_errors_is_none_in_a_repr(name: str) -> None:
    [in_repr] = [field.repr for field in fields(Config) if field.name == name]
    shown = KEYS[name].show is repr
    assert in_repr == (shown and name not in SHOWN_IN_ERRORS)
    if not shown:
        assert "hunter2" not in KEYS[name].show("host?hunter2-----\n")


def test_entries_and_suggestions_name_keys_that_there_are() -> None:
    named = {other for entry in KEYS.values() for other in (entry.needs, entry.group) if other}
    assert named | set(suggestions._OTHER_NAMES) <= set(KEYS)


def test_a_default_is_a_value_that_its_check_accepts() -> None:
    for name in KEYS:
        default = getattr(Config(), name)
        assert Config().checked(name, default) == default
    assert read({"MQTT_MAX_PACKET_SIZE": MAX_PACKET_SIZE}, "MQTT") == Config()
