"""Values of the configuration that are attributes of the extension, though not Flask-MQTT's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config


class FurtherValue:
    """A value of the configuration that Flask-MQTT has no attribute for.

    What a subclass has under its name comes first. `__getattr__` is no alternative: with it,
    CPython no longer specialises access to the other attributes.
    """

    # Declared, so that `typing.get_type_hints` takes it too.
    _name: str

    def __init__(
        self, extension: type, name: str, values_of: Callable[[Any], Config | None]
    ) -> None:
        """Read a value.

        Args:
            extension: The class that has this.
            name: Of the value.
            values_of: Returns the values of an object of that class, if it has some already.
        """
        self._extension = extension
        self._name = name
        self._values_of = values_of

    def __get__(self, instance: Any, owner: type) -> Any:
        """Return the value."""
        try:
            # Of a class that stands behind the extension's among the bases of a subclass.
            behind = super(self._extension, owner if instance is None else instance)
            return getattr(behind, self._name)
        except AttributeError:
            if instance is None:
                return self
        values = self._values_of(instance)
        if values is None:
            kind = type(instance).__name__
            raise AttributeError(f"{kind!r} object has no attribute {self._name!r}")
        return getattr(values, self._name)
