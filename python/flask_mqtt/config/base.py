"""What groups of configuration values have in common."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Settings:
    """Values that were read from keys with a prefix, or given as arguments."""

    #: What the keys begin with; None where the values are arguments.
    prefix: str | None = field(default=None, compare=False, kw_only=True)
    #: The names of the values that were set, also where they equal the default.
    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False, kw_only=True)

    def key(self, name: str) -> str:
        """Return what a value is called in messages: ``MQTT_BROKER_URL`` or ``broker_url``."""
        return name if self.prefix is None else f"{self.prefix}_{name.upper()}"

    def is_set(self, name: str) -> bool:
        """Return whether a value was set."""
        return name in self.given or self.is_changed(name)

    def is_changed(self, name: str) -> bool:
        """Return whether a value is another than the default."""
        return bool(getattr(self, name) != getattr(type(self), name))
