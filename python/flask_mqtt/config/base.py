"""What a configuration key is, and what groups of their values have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Flag, auto
from functools import cache
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from .shown import Name, Show

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_KEY = "key"


class Check(Protocol[T_co]):
    """Takes what a key is called, and a value; returns the value as it is used, or raises."""

    def __call__(self, key: str, value: Any, /) -> T_co:
        """Check."""


class Told(Flag):
    """With which calls of Flask-MQTT's a client is told a value. `configure` takes all others."""

    #: Once, by `init_app`, and no more when it connects again.
    ONCE = auto()
    #: By every call of `connect`.
    CONNECT = auto()
    #: By a method of its own: `username_pw_set`, `tls_set` and so on.
    METHOD = auto()
    #: By none: the extension uses it itself, and the client knows nothing of it.
    NEVER = auto()


#: What Flask-MQTT has no call for.
CONFIGURE = Told(0)


@dataclass(frozen=True)
class Key:
    """What holds for a key, beside its name, its type and its default."""

    check: Check[Any]
    #: Whether Flask-MQTT has an attribute of `Mqtt` for it, which applications assign.
    attribute: bool
    told: Told
    show: Show
    #: Whether an empty text is a value, or an error; otherwise it is as if the key was not set.
    empty_counts: bool
    #: Whether None is as if the key was not set.
    none_is_unset: bool
    #: Whether it means the default, wherever it comes from.
    none_is_default: bool
    #: The key without which it has no effect.
    needs: str | None
    #: The key that decides whose values are used, where some belong together.
    group: str | None
    #: With TLS it must not be empty, since this would hold: a variable may have got lost.
    lost: str | None


def key(
    default: T,
    check: Check[T],
    *,
    attribute: bool = False,
    told: Told = CONFIGURE,
    show: Show = repr,
    in_repr: bool | None = None,
    empty_counts: bool = False,
    none_is_default: bool = False,
    needs: str | None = None,
    group: str | None = None,
    lost: str | None = None,
) -> T:
    """Declare a key: a field of a dataclass, with the key's name in lower case and without prefix.

    Args:
        default: The value without the key.
        check: As that of :class:`Key`, and so on.
        attribute: See there.
        told: See there.
        show: See there; what is not shown as it is, is not in the `repr` of the values either.
        in_repr: Where that is not so.
        empty_counts: See there.
        none_is_default: See there.
        needs: See there.
        group: See there.
        lost: See there.
    """
    entry = Key(
        check=check,
        attribute=attribute,
        told=told,
        show=show,
        empty_counts=empty_counts,
        # A variable that is not there must not switch off what is on. Flask-MQTT has one of those.
        none_is_unset=default is True and not attribute,
        none_is_default=none_is_default,
        needs=needs,
        group=group,
        lost=lost,
    )
    in_repr = show is repr if in_repr is None else in_repr
    declared: T = field(default=default, repr=in_repr, metadata={_KEY: entry})
    return declared


@cache
def keys_of(values: type) -> Mapping[str, Key]:
    """Return the keys that a dataclass of values declares, by their names there."""
    return MappingProxyType(
        {item.name: item.metadata[_KEY] for item in fields(values) if _KEY in item.metadata}
    )


@dataclass
class Settings:
    """Values that were read from keys with a prefix, or given as arguments."""

    #: What the keys begin with; None where the values are arguments.
    key_prefix: str | None = field(default=None, compare=False, kw_only=True)
    #: The names of the values that were set, also where they equal the default.
    given: frozenset[str] = field(default=frozenset(), repr=False, compare=False, kw_only=True)

    def key(self, name: str) -> Name:
        """Return what a value is called in messages: ``MQTT_BROKER_URL`` or ``broker_url``."""
        return called(type(self), name, self.key_prefix)

    def is_set(self, name: str) -> bool:
        """Return whether a value was set."""
        return name in self.given or self.is_changed(name)

    def is_changed(self, name: str) -> bool:
        """Return whether a value is another than the default."""
        return bool(getattr(self, name) != getattr(type(self), name))


def called(values: type, name: str, prefix: str | None) -> Name:
    """Return what a value is called in messages.

    Args:
        values: The dataclass that declares the key.
        name: The key's name there.
        prefix: What the keys begin with; None where the values are arguments.
    """
    text = name if prefix is None else f"{prefix}_{name.upper()}"
    return Name(text, keys_of(values)[name].show)
