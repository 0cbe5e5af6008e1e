"""What all commands have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ..objects import Page
from .arguments import check_number, check_text

T = TypeVar("T")

#: What names the objects of a command, in its arguments.
_NAMES = ("groupname", "username", "rolename")


@dataclass(frozen=True, repr=False)
class Command(Generic[T]):
    """A command that has not been sent. The functions of this package make it.

    Attributes:
        name: The plugin's name for it, such as ``createClient``.
        reads: Whether it only reads, and so may be sent again.
    """

    name: str
    _arguments: dict[str, Any]
    _read: Callable[[dict[str, Any]], T]
    reads: bool = field(default=False, kw_only=True)

    @property
    def title(self) -> str:
        """Its name, and of what: ``addClientRole 'sensor' 'reader'``."""
        names = [self._arguments[key] for key in _NAMES if key in self._arguments]
        return " ".join([self.name, *(f"{name!r:.100}" for name in names)])

    def __repr__(self) -> str:
        """Show it without its arguments, among which is a password."""
        return f"<Command {self.title}>"

    def to_json(self, correlation_data: str) -> dict[str, Any]:
        """Return what is sent.

        Args:
            correlation_data: What the response has as well.
        """
        return {**self._arguments, "command": self.name, "correlationData": correlation_data}

    def result(self, data: dict[str, Any]) -> T:
        """Return what the data of a response says.

        Raises:
            LookupError: Something is missing there. So with the others.
            TypeError: It is something else.
            ValueError: It has a value that nobody knows.
        """
        return self._read(data)


def other(command: str, /, **arguments: Any) -> Command[dict[str, Any]]:
    """Make a command without a function of its own, for example of a newer plugin.

    Args:
        command: Its name, as the plugin has it.
        arguments: Its arguments by the plugin's names: values that JSON can represent.

    Returns:
        The data of the response.
    """
    return Command(check_text("command", command), arguments, dict)


def change(name: str, /, **arguments: Any) -> Command[None]:
    """Make a command that changes something. Arguments that are None are left out."""
    given = {key: value for key, value in arguments.items() if value is not None}
    return Command(name, given, lambda _: None)


def listing(
    name: str, key: str, read: Callable[[Any], T], count: int, offset: int
) -> Command[Page[T]]:
    """Make a command that lists objects.

    Args:
        name: Its name.
        key: What the list is called in the response.
        read: Makes an object of an item; `str` where only names are wanted.
        count: How many at most; -1 for all.
        offset: How many to skip.
    """
    arguments = {
        "verbose": read is not str,
        "count": check_number("count", count),
        "offset": check_number("offset", offset),
    }

    def page(data: dict[str, Any]) -> Page[T]:
        items = tuple(read(item) for item in data[key])
        return Page(items, data.get("totalCount", len(items)))

    return Command(name, arguments, page, reads=True)
