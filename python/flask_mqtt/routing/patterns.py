"""Topics with placeholders: ``sensors/<int:id>/temperature``."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from .._core import validate_filter, validate_topic

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .converters import Converter, Converters

#: A level of a rule: what is between `<` and `>` may have a '/', as an argument of a converter.
_LEVEL = re.compile(r"""(?:<(?:"[^"]*"|'[^']*'|[^"'<>])*>|[^/<>])*""")

_PLACEHOLDER = re.compile(
    r"<(?:(?P<converter>[A-Za-z_]\w*)(?:\((?P<arguments>.*)\))?:)?(?P<name>[A-Za-z_]\w*)>",
    re.ASCII | re.DOTALL,
)

#: So many characters of a value are shown in an error.
_MOST_SHOWN = 120

#: `topic_for` has this for itself.
_RESERVED = "absolute"


class Placeholder(NamedTuple):
    """A level of a rule that stands for a value."""

    #: Which level it is.
    place: int
    name: str
    #: The converter's name, and its arguments as they are written.
    converter: str
    arguments: str

    @property
    def shown(self) -> str:
        """The converter as it is written; that of a text has a name here too."""
        name = "str" if self.converter == "default" else self.converter
        return f"{name}({self.arguments})" if self.arguments else name


#: Which level it is, its name, and the converter's functions.
_Value = tuple[int, str, "Callable[[str], object]", "Callable[[str], Any]"]


class Pattern:
    """A rule: the filter to subscribe to, the values in a topic, and the topic of values.

    Its converters are found by `bind`, which the filter, `match` and `build` need.
    """

    #: With 10,000 patterns, each message finds another one: the fewer places in memory, the better.
    __slots__ = (
        "_converters",
        "_count",
        "_is_open",
        "_splits",
        "_takes_parent",
        "_template",
        "_values",
        "_wildcards",
        "filter",
        "levels",
        "names",
        "placeholders",
        "rule",
    )

    def __init__(self, rule: str) -> None:
        """Parse a rule.

        Args:
            rule: A filter in which a level may be ``<name>`` or ``<converter:name>``.

        Raises:
            TypeError: It is no text.
            ValueError: It is malformed.
        """
        if not isinstance(rule, str):
            raise TypeError(f"rule {rule!r}: it must be a str, as in 'sensors/<int:id>'")
        self.rule = rule
        #: The levels, with the placeholders among them.
        self.levels = _levels(rule)
        self.placeholders = [one for one in self.levels if isinstance(one, Placeholder)]
        self.names = tuple(one.name for one in self.placeholders)
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"rule {rule!r}: two placeholders are called {name!r}")
            if name == _RESERVED:
                raise ValueError(
                    f"rule {rule!r}: no placeholder can be called {name!r}, as topic_for has an "
                    "argument of that name"
                )
        if self.levels[0] == "$share":
            raise ValueError(f"rule {rule!r}: name the group of a shared subscription by share=")
        # What is wrong without looking at any converter is said at once.
        self._check_filter(["+" if isinstance(one, Placeholder) else one for one in self.levels])
        self.filter = ""
        self._converters: list[Converter] = []
        #: For `match`: how often to split a topic, how many levels it is to have then, and whether
        #: the one above them is a topic too; whether no wildcard may stand for the first level;
        #: what the levels are to be, None where they may be anything; which these are; and the
        #: levels that are values.
        self._splits = -1
        self._count = 0
        self._takes_parent = False
        self._is_open = False
        self._template: list[str | None] = []
        self._wildcards: tuple[int, ...] = ()
        self._values: tuple[_Value, ...] = ()

    @property
    def is_bound(self) -> bool:
        """Whether the converters were found."""
        return bool(self.filter)

    def is_known(self, converters: Converters) -> bool:
        """Whether all converters are among these."""
        return all(converters.find(one.converter) for one in self.placeholders)

    def bind(self, converters: Converters) -> None:
        """Find the converters.

        Args:
            converters: Those that there are.

        Raises:
            ValueError: One is unknown, has wrong arguments, or stands where it cannot.
        """
        bound: list[Converter] = []
        filter_ = ["+" if isinstance(one, Placeholder) else one for one in self.levels]
        for one in self.placeholders:
            kind = converters.find(one.converter)
            if kind is None:
                raise ValueError(
                    f"rule {self.rule!r}: there is no converter {one.converter!r}; there are "
                    f"{', '.join(converters.names)}"
                )
            try:
                converter = converters.make(kind, one.arguments)
            except ValueError as error:
                raise ValueError(f"rule {self.rule!r}: <{one.name}>: {error}") from error
            if not converter.is_one_level:
                if one.place != len(self.levels) - 1:
                    raise ValueError(
                        f"rule {self.rule!r}: <{one.converter}:{one.name}> stands for all "
                        "levels that follow, so it must be the last one"
                    )
                filter_[-1] = "#"
            bound.append(converter)
        self._check_filter(filter_)
        # The same for all rules of one form, which a message then finds in the processor's cache.
        self._values = converters.same(
            tuple(
                (one.place, one.name, converter.fullmatch, converter.to_python)
                for one, converter in zip(self.placeholders, bound, strict=True)
            )
        )
        self._converters = bound
        self._use(filter_)

    def _use(self, filter_: list[str]) -> None:
        last = len(self.levels) - 1
        is_rest = filter_[-1] == "#"
        self._splits = last if is_rest else -1
        self._count = last + 1
        # MQTT 3.1.1, section 4.7.1.2.
        self._takes_parent = self.levels[-1] == "#"
        # MQTT 3.1.1, section 4.7.2.
        self._is_open = filter_[0] in ("+", "#")
        self._template = [None if one in ("+", "#") else one for one in filter_]
        self._wildcards = tuple(place for place, one in enumerate(self.levels) if one in ("+", "#"))
        # What comes last says that the rest is there.
        self.filter = "/".join(filter_)

    def match(self, topic: str) -> dict[str, Any] | None:
        """Return the values in a topic, or None where it is no topic of the rule.

        Args:
            topic: The topic.
        """
        levels: list[str | None] = topic.split("/", self._splits)  # type: ignore[assignment]
        if self._takes_parent and len(levels) == self._count - 1:
            levels.append(None)
        if len(levels) != self._count or (self._is_open and topic[:1] == "$"):
            return None
        values: dict[str, Any] = {}
        try:
            for place, name, fullmatch, to_python in self._values:
                level: Any = levels[place]
                if fullmatch(level) is None:
                    return None
                values[name] = to_python(level)
                levels[place] = None
        except ValueError:
            return None
        for place in self._wildcards:
            levels[place] = None
        # All others at once.
        return values if levels == self._template else None

    def build(self, values: Mapping[str, Any]) -> str:
        """Return the topic of values: `match` finds these in it.

        Args:
            values: By the names of the placeholders; more of them do not matter.

        Raises:
            KeyError: One is missing.
            ValueError: One cannot be in a topic, or the rule has a wildcard.
        """
        levels: list[str] = []
        converters = iter(self._converters)
        for level in self.levels:
            if not isinstance(level, Placeholder):
                if level in ("+", "#"):
                    raise ValueError(f"the rule {self.rule!r} has the wildcard {level!r}")
                levels.append(level)
                continue
            value = values[level.name]
            try:
                levels.append(next(converters).write(value))
            except ValueError as error:
                raise ValueError(
                    f"<{level.shown}:{level.name}> {_shown(value)}: {error}"
                ) from error
        topic = "/".join(levels)
        if topic.startswith("$") and isinstance(self.levels[0], Placeholder):
            name = self.levels[0].name
            raise ValueError(
                f"<{name}> {_shown(levels[0])}: a topic with '$' is not one of the rule"
            )
        validate_topic(topic)
        return topic

    def _check_filter(self, levels: list[str]) -> None:
        try:
            validate_filter("/".join(levels))
        except ValueError as error:
            raise ValueError(f"rule {self.rule!r}: {error}") from error


def _shown(value: object) -> str:
    """Return a value for an error. It may have no repr, and one that is as long as it likes."""
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - the application's
        return f"of type {type(value).__name__}"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def joined(prefix: str, rule: str) -> str:
    """Return a rule with a prefix before it. A '/' at the end of the prefix is that between both.

    Args:
        prefix: The prefix, which may be empty.
        rule: The rule. One that is empty is the prefix alone; one that begins with '/' needs no
            other between both.
    """
    if not prefix or not isinstance(rule, str):
        return rule
    prefix = prefix.removesuffix("/")
    return prefix + (rule if not rule or rule.startswith("/") else f"/{rule}")


def _levels(rule: str) -> list[str | Placeholder]:
    levels: list[str | Placeholder] = []
    place = 0
    while True:
        found = _LEVEL.match(rule, place)
        assert found is not None, "it matches nothing, too"  # noqa: S101
        level, place = found[0], found.end()
        if place < len(rule) and rule[place] != "/":
            raise ValueError(f"rule {rule!r}: malformed placeholder at {rule[place:]!r}")
        if "<" in level:
            levels.append(_placeholder(rule, level, len(levels)))
        else:
            # As most rules have the same levels, they are compared by their places in memory.
            levels.append(sys.intern(level))
        if place == len(rule):
            return levels
        place += 1


def _placeholder(rule: str, level: str, index: int) -> Placeholder:
    found = _PLACEHOLDER.fullmatch(level)
    if found is None:
        raise ValueError(
            f"rule {rule!r}: malformed level {level!r}: it must be <name> or <converter:name> and "
            "nothing else, as a wildcard of MQTT stands for a whole level"
        )
    return Placeholder(
        index, sys.intern(found["name"]), found["converter"] or "default", found["arguments"] or ""
    )
