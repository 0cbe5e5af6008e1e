"""`typing.get_type_hints` works on everything that is public."""

from __future__ import annotations

import inspect
import typing
from typing import TYPE_CHECKING, Any

import pytest

import flask_mqtt
from flask_mqtt import Client, Mqtt, MQTTErrorCode, MQTTMessageInfo

if TYPE_CHECKING:
    from collections.abc import Iterator


def members(name: str, owner: Any) -> Iterator[tuple[str, Any]]:
    """List an object, and what is public in a class, by their names."""
    yield name, owner
    if not inspect.isclass(owner):
        return
    for member in dir(owner):
        if member.startswith("_") and member not in (
            "__init__",
            "__new__",
            "__enter__",
            "__exit__",
        ):
            continue
        static = inspect.getattr_static(owner, member)
        if isinstance(static, property):
            yield from ((f"{name}.{member}", way) for way in (static.fget, static.fset) if way)
        elif inspect.isroutine(value := getattr(owner, member)):
            yield f"{name}.{member}", value


def public() -> dict[str, Any]:
    found: dict[str, Any] = {"flask_mqtt": flask_mqtt}
    for name in flask_mqtt.__all__:
        value = getattr(flask_mqtt, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            found.update(members(name, value))
    return found


PUBLIC = public()


def test_the_list_is_not_empty() -> None:
    assert {"Mqtt.init_app", "Client.tls_set", "Client.on_message", "error_string"} < PUBLIC.keys()


@pytest.mark.smoke
def test_type_hints_of_everything_public_are_found() -> None:
    for name, value in PUBLIC.items():
        assert isinstance(typing.get_type_hints(value), dict), name


def test_a_signature_with_its_annotations_is_found() -> None:
    for name, value in PUBLIC.items():
        if inspect.isfunction(value):
            assert inspect.signature(value, eval_str=True), name


def test_type_hints_are_the_classes() -> None:
    assert typing.get_type_hints(Client.connect)["return"] is MQTTErrorCode
    assert typing.get_type_hints(Mqtt.publish)["return"] is MQTTMessageInfo
    assert "flask.app.Flask" in str(typing.get_type_hints(Mqtt.init_app)["app"])
    callback = typing.get_type_hints(Client.message_callback_add)["callback"]
    assert typing.get_args(callback)[0][0] is Client
