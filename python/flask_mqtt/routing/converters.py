"""The converters of placeholders: Werkzeug's classes, which an application knows from its URLs."""

from __future__ import annotations

import re
from typing import Any, TypeVar
from urllib.parse import unquote

from werkzeug.routing import (
    AnyConverter,
    BaseConverter,
    FloatConverter,
    IntegerConverter,
    Map,
    PathConverter,
    UnicodeConverter,
    UUIDConverter,
)

T = TypeVar("T")

#: By the names that Flask's rules have for them, and Python's for a text.
DEFAULTS: dict[str, type[BaseConverter]] = {
    "default": UnicodeConverter,
    "string": UnicodeConverter,
    "str": UnicodeConverter,
    "int": IntegerConverter,
    "float": FloatConverter,
    "uuid": UUIDConverter,
    "path": PathConverter,
    "any": AnyConverter,
}

_ARGUMENT = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_]\w*)\s*=\s*)?
    (?:(?P<text>"[^"]*"|'[^']*')|(?P<number>-?\d+(?:\.\d*)?)(?=\s*(?:,|$))|(?P<word>[\w.-]+))
    \s*(?:,|$)""",
    re.VERBOSE,
)

#: A part of a regular expression that matches a character: a class, an escape or the character.
_ATOM = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]|\\.|.", re.DOTALL)

_WORDS = {"True": True, "False": False, "None": None}


class Converter:
    """One placeholder's converter: reads a text of a topic, and writes one."""

    def __init__(self, kind: type[BaseConverter], arguments: str, url_map: Map) -> None:
        """Make one.

        Args:
            kind: Its class.
            arguments: As in Flask's rules: ``minlength=2``.
            url_map: What the class wants besides.

        Raises:
            ValueError: The arguments are malformed, or not those of the class.
        """
        positional, by_name = parse_arguments(arguments)
        try:
            made = kind(url_map, *positional, **by_name)
            self.fullmatch = re.compile(made.regex).fullmatch
        except (TypeError, ValueError, re.error) as error:
            raise ValueError(f"{kind.__name__}({arguments}): {error}") from error
        #: May raise ValueError, as Werkzeug's ValidationError is one.
        self.to_python = made.to_python
        #: It escapes what a URL cannot have; but for this class, which gives back what it has got.
        self._to_url = made.to_url
        self._escapes = not isinstance(made, AnyConverter)
        #: Whether it stands for one level of a topic, and not for all that follow.
        self.is_one_level = bool(made.part_isolating) or not _takes_slash(made.regex)

    def write(self, value: Any) -> str:
        """Return the text of a value.

        Raises:
            ValueError: The value has none, or one that would not be read again.
        """
        try:
            text = self._to_url(value)
            if self._escapes:
                text = unquote(text, errors="strict")
        except (TypeError, ValueError) as error:
            raise ValueError(str(error) or type(error).__name__) from error
        if self.is_one_level and "/" in text:
            raise ValueError("it has a '/', which would begin another level of the topic")
        if "+" in text or "#" in text:
            raise ValueError("'+' and '#' are wildcards of filters, and no topic has them")
        if self.fullmatch(text) is None:
            raise ValueError("it does not fit the converter")
        try:
            self.to_python(text)
        except ValueError as error:
            raise ValueError(str(error) or "it does not fit the converter") from error
        return text


class Converters:
    """The converters of an extension's routes: those that it has, and those that were made."""

    def __init__(self) -> None:
        """Start with Werkzeug's."""
        #: By name. The application may put others in.
        self.own: dict[str, type[BaseConverter]] = dict(DEFAULTS)
        self._url_map = Map()
        self._made: dict[tuple[type[BaseConverter], str], Converter] = {}
        self._same: dict[Any, Any] = {}

    def use(self, url_map: Map) -> None:
        """Have what an application has for its URLs too, after those that are there."""
        if url_map is not self._url_map:
            self._url_map, self._made = url_map, {}

    def find(self, name: str) -> type[BaseConverter] | None:
        """Return the class of a name, or None."""
        return self.own.get(name) or self._url_map.converters.get(name)

    @property
    def names(self) -> list[str]:
        """The names, in their order."""
        return sorted({*self.own, *self._url_map.converters})

    def make(self, kind: type[BaseConverter], arguments: str) -> Converter:
        """Return a converter, the same one for all rules that have the same.

        Args:
            kind: Its class.
            arguments: As they are written.

        Raises:
            ValueError: See `Converter`.
        """
        made = self._made.get((kind, arguments))
        if made is None:
            made = self._made[kind, arguments] = Converter(kind, arguments, self._url_map)
        return made

    def same(self, value: T) -> T:
        """Return the first of all equal values that this was given."""
        found: T = self._same.setdefault(value, value)
        return found


def _takes_slash(regex: str) -> bool:
    """Whether a text that an expression matches may have a '/'.

    Werkzeug's `part_isolating` is False for every class whose expression has one: ``[^/]+``, too.
    """
    return any(_matches_slash(atom) for atom in _ATOM.findall(regex))


def _matches_slash(atom: str) -> bool:
    try:
        return re.fullmatch(atom, "/") is not None
    except re.error:
        # A bracket, or what says how often something comes.
        return False


def parse_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a converter: those without a name, and the others.

    Args:
        text: As in Flask's rules: numbers, True, False, None, quoted texts and plain words.

    Raises:
        ValueError: It is malformed.
    """
    positional: list[Any] = []
    by_name: dict[str, Any] = {}
    place = 0
    while place < len(text):
        found = _ARGUMENT.match(text, place)
        if found is None:
            raise ValueError(f"arguments {text!r}: malformed at {text[place:]!r}")
        place = found.end()
        value = _value(found)
        name = found["name"]
        if name is None:
            positional.append(value)
        else:
            by_name[name] = value
    return positional, by_name


def _value(found: re.Match[str]) -> Any:
    if found["text"] is not None:
        return found["text"][1:-1]
    number = found["number"]
    if number is not None:
        return float(number) if "." in number else int(number)
    return _WORDS.get(found["word"], found["word"])
