"""What is wrong with a payload, and where in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

#: Characters of a value, or of a key, that a text about it shows.
_SHOWN = 60

#: Characters of a path.
_PATH = 200

#: Characters of a reason: that of an application's own check may have the value in it.
_REASON = 300


class InvalidPayload(ValueError):  # noqa: N818 - the name says it: it is the payload's error
    """A payload is not JSON, or does not match the type that a handler is annotated with.

    Attributes:
        path: The place: ``$`` is the whole payload, ``$.reading.values[2]`` a part of it.
        reason: What was expected there, and what was found. One line, safe to log.
    """

    def __init__(self, reason: str, path: str = "$") -> None:
        """Make the error.

        Args:
            reason: What was expected, and what was found.
            path: Where in the payload.
        """
        # A type that refers to itself may lead far down.
        self.path = path if len(path) <= _PATH else f"{path[: _PATH // 2]}…{path[-_PATH // 2 :]}"
        self.reason = one_line(reason)
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Copy and pickle by what it was made of."""
        return type(self), (self.reason, self.path)


class Mismatch(Exception):  # noqa: N818 - never leaves the package
    """A value does not fit. Its path grows on the way out of the value's containers."""

    def __init__(self, reason: str, within: str = "") -> None:
        """Make the error, for a value whose place is not known yet.

        Args:
            reason: What was expected, and what was found.
            within: The path from the value to the part of it that does not fit.
        """
        super().__init__(reason)
        self.reason = reason
        self._within = within
        self._inner: list[str | int] = []

    def inside(self, part: str | int) -> Mismatch:
        """Note that this is about a part of a container. Returns itself.

        Args:
            part: The key in an object, or the index in an array.
        """
        self._inner.append(part)
        return self

    def as_invalid(self) -> InvalidPayload:
        """Return the error that applications get."""
        return InvalidPayload(self.reason, path_of(reversed(self._inner)) + self._within)


def path_of(parts: Iterable[str | int]) -> str:
    """Return the path of a value in a payload.

    Args:
        parts: Keys and indexes, from the outermost to the innermost.
    """
    return "$" + "".join(map(_step, parts))


def expected(what: str, value: Any) -> Mismatch:
    """Return the error of a value that is something else.

    Args:
        what: What would be right, as in ``a number``.
        value: The value, as JSON has it.
    """
    return Mismatch(f"expected {what}, got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value of JSON in a few printable characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, int) and abs(value) >= 10**_SHOWN:
        # Python writes out no number of more than 4300 digits.
        return "a very large number"
    # `repr` leaves nothing that a terminal or a log would take for more than a character.
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _step(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if part.isidentifier() and len(part) <= _SHOWN else f"[{shown(part)}]"


def one_line(text: str) -> str:
    """Return a text as one line of printable characters, and not many of them.

    Args:
        text: It may have something of a payload in it.
    """
    line = " ".join(text[: 2 * _REASON].split())
    if len(line) > _REASON:
        line = f"{line[: _REASON - 1]}…"
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in line)
