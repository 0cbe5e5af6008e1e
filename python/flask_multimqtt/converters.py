"""Placeholders as Flask-MultiMQTT reads them: by Python's types, and not by what URLs have."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from werkzeug.routing import BaseConverter, ValidationError

#: Raised by the types for what is none of theirs.
_NONE = (TypeError, ValueError, OverflowError)


class _Converter(BaseConverter):
    """Takes what a type takes, of one level."""

    regex = "[^/]+"
    part_isolating = True
    type: ClassVar[Callable[[str], Any]]

    def to_python(self, value: str) -> Any:
        """Return the value of a text."""
        try:
            return type(self).type(value)
        except _NONE as error:
            raise ValidationError(str(error)) from error

    def to_url(self, value: Any) -> str:
        """Return the text of a value, which `to_python` takes again."""
        return str(value)


class IntConverter(_Converter):
    """``<int:name>``: negative ones too."""

    type = int


class FloatConverter(_Converter):
    """``<float:name>``: whole numbers and negative ones too."""

    type = float


class UUIDConverter(_Converter):
    """``<uuid:name>``: without hyphens too."""

    type = uuid.UUID


#: By the names that rules have for them.
CONVERTERS: dict[str, type[BaseConverter]] = {
    "int": IntConverter,
    "float": FloatConverter,
    "uuid": UUIDConverter,
}
