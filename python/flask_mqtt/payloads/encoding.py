"""Values as JSON payloads, by the application's own provider."""

from __future__ import annotations

import copy
import dataclasses
import enum
import json
from datetime import time
from typing import Any

from .._core import Properties
from . import models

CONTENT_TYPE = "application/json"


def provider_of(app: Any) -> Any:
    """Return what writes the JSON of an application. One that is none of Flask's has Python's."""
    return getattr(app, "json", json)


def is_json(value: Any) -> bool:
    """Whether a value is sent as JSON: a dict, a list, an object of a dataclass or of a model."""
    return isinstance(value, (dict, list)) or _is_record(value)


def encode(value: Any, provider: Any) -> Any:
    """Return the JSON of a value.

    What the provider cannot write is made plain first: models by their own rules, other dataclasses
    by their fields, members of enumerations by their values, sets and tuples as lists.

    Args:
        value: The value.
        provider: ``app.json``, or what else has its ``dumps``.

    Raises:
        TypeError: The provider cannot write a part of it even so.
        ValueError: The provider refuses it, since it contains itself for example.
    """
    try:
        return provider.dumps(value)
    except TypeError:
        return provider.dumps(_plain(value))


def with_content_type(properties: Any) -> Any:
    """Return the properties of a message with the content type of JSON, if they have none.

    Args:
        properties: For MQTT 5: `Properties`, a dict, or None. They stay as they are.
    """
    if properties is None:
        return {"ContentType": CONTENT_TYPE}
    if isinstance(properties, dict):
        return {"ContentType": CONTENT_TYPE, **properties}
    if isinstance(properties, Properties) and not hasattr(properties, "ContentType"):
        properties = copy.copy(properties)
        properties.ContentType = CONTENT_TYPE
    return properties


def _plain(value: Any) -> Any:
    kind = type(value)
    if models.is_model(kind):
        value = models.to_builtins(value)
    elif isinstance(value, enum.Enum):
        value = value.value
    elif dataclasses.is_dataclass(kind):
        fields = dataclasses.fields(kind)
        value = {field.name: _plain(getattr(value, field.name)) for field in fields}
    elif isinstance(value, dict):
        value = {_plain(key): _plain(item) for key, item in value.items()}
    elif isinstance(value, (list, tuple, set, frozenset)):
        value = [_plain(item) for item in value]
    elif isinstance(value, time):
        value = value.isoformat()
    return value


def _is_record(value: Any) -> bool:
    kind = type(value)
    return models.is_model(kind) or dataclasses.is_dataclass(kind)
