"""Rules: which topics they match, the values in these, and the topics of values."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from werkzeug.routing import BaseConverter, ValidationError

from flask_mqtt import MQTTMatcher, topic_matches_sub
from flask_mqtt.routing.converters import Converters, parse_arguments
from flask_mqtt.routing.patterns import Pattern, joined

if TYPE_CHECKING:
    from collections.abc import Callable


class Even(BaseConverter):
    regex = r"\d+"

    def to_python(self, value: str) -> int:
        if int(value) % 2:
            raise ValidationError
        return int(value)


class Words(BaseConverter):
    """Several levels."""

    regex = r"\w+(?:/\w+)*"

    def to_python(self, value: str) -> list[str]:
        return value.split("/")

    def to_url(self, value: list[str]) -> str:
        return "/".join(value)


def _converter(expression: str) -> type[BaseConverter]:
    return type("Own", (BaseConverter,), {"regex": expression})


class Broken(BaseConverter):
    regex = "("


CONVERTERS = Converters()
CONVERTERS.own.update(even=Even, words=Words, broken=Broken)


def pattern(rule: str) -> Pattern:
    made = Pattern(rule)
    made.bind(CONVERTERS)
    return made


U = uuid.UUID("12345678-1234-5678-1234-567812345678")


@pytest.mark.parametrize(
    ("rule", "filter_", "topics"),
    [
        ("a/b", "a/b", {"a/b": {}, "a/c": None, "a": None, "a/b/": None}),
        ("<x>", "+", {"a": {"x": "a"}, "ü b": {"x": "ü b"}, "": None, "a/b": None, "$SYS": None}),
        ("/<x>/", "/+/", {"/a/": {"x": "a"}, "a/": None, "/a": None, "//": None}),
        ("$SYS/<x>", "$SYS/+", {"$SYS/a": {"x": "a"}, "$S/a": None}),
        ("a/<int:x>", "a/+", {"a/007": {"x": 7}, "a/-1": None, "a/1.0": None, "a/x": None}),
        ("<int(signed=True):x>", "+", {"-5": {"x": -5}, "+5": None}),
        ("<int(fixed_digits=3):x>", "+", {"042": {"x": 42}, "42": None}),
        ("<int(min=2, max=4):x>", "+", {"2": {"x": 2}, "1": None, "5": None}),
        ("<float:x>", "+", {"1.5": {"x": 1.5}, "1": None, "nan": None}),
        ("<uuid:x>", "+", {str(U): {"x": U}, str(U).upper(): {"x": U}, "1-2": None}),
        ("<any(on, 'o f', \"x\"):x>", "+", {"on": {"x": "on"}, "o f": {"x": "o f"}, "y": None}),
        ("<str(length=2):x>", "+", {"ab": {"x": "ab"}, "a": None, "abc": None}),
        ("<string(minlength=2):x>", "+", {"ab": {"x": "ab"}, "a": None}),
        ("<str(minlength=0):x>/a", "+/a", {"/a": {"x": ""}}),
        ("<even:x>/<x2>", "+/+", {"2/a": {"x": 2, "x2": "a"}, "3/a": None}),
        ("a/<path:p>", "a/#", {"a/b": {"p": "b"}, "a/b/c": {"p": "b/c"}, "a": None, "a/": None}),
        ("<path:p>", "#", {"a/b": {"p": "a/b"}, "$SYS/a": None, "/a": None}),
        ("a/<words:p>", "a/#", {"a/b/c": {"p": ["b", "c"]}, "a/b//c": None}),
        ("+/<x>/#", "+/+/#", {"a/b": {"x": "b"}, "a/b/c/d": {"x": "b"}, "a": None, "$/b": None}),
        ("a/#", "a/#", {"a": {}, "a/": {}, "a/b/c": {}, "b": None}),
        ("#", "#", {"a": {}, "a/b": {}, "$SYS/a": None}),
        ("+", "+", {"": {}, "a": {}, "a/b": None, "$a": None}),
    ],
)
def test_what_a_rule_matches(
    rule: str, filter_: str, topics: dict[str, dict[str, Any] | None]
) -> None:
    made = pattern(rule)
    assert made.filter == filter_
    for topic, values in topics.items():
        assert made.match(topic) == values, topic
        if values is not None:
            # Nothing comes that is not subscribed to.
            assert topic == "" or topic_matches_sub(filter_, topic)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("", "rule ''"),
        ("a/<int:x", r"rule 'a/<int:x': malformed placeholder at '<int:x'"),
        ("a>b", "malformed placeholder at '>b'"),
        ("a/<x>b/c", "malformed level '<x>b'"),
        ("a/b<x>", "malformed level 'b<x>'"),
        ("<>", "malformed level '<>'"),
        ("<1x>", "malformed level '<1x>'"),
        ("<int:>", "malformed level '<int:>'"),
        ("<int(:x>", r"malformed level '<int\(:x>'"),
        ("<x>/<int:x>", "two placeholders are called 'x'"),
        ("<absolute>", "no placeholder can be called 'absolute'"),
        ("a/#/<x>", "'#' must be the last level"),
        ("a+/<x>", "rule 'a\\+/<x>'"),
        ("a\0/<x>", "rule 'a"),
        ("$share/g/a", "by share="),
        ("x" * 70_000, "rule 'xxx"),
        ("a/<path:p>/b", "<path:p> stands for all levels that follow"),
        ("<words:p>/b", "<words:p> stands for all levels that follow"),
        ("<nothing:x>", "there is no converter 'nothing'; there are any, "),
        ("<int(least=1):x>", r"<x>: IntegerConverter\(least=1\): .*'least'"),
        ("<int(min=1 2):x>", r"arguments 'min=1 2': malformed at 'min=1 2'"),
        ("<str(length=a):x>", r"UnicodeConverter\(length=a\)"),
        ("<broken:x>", r"rule '<broken:x>': <x>: Broken\(\)"),
    ],
)
def test_a_malformed_rule_says_what_is_wrong(rule: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        pattern(rule)


@pytest.mark.parametrize(
    ("expression", "is_one_level"),
    [
        (r"[^/]+", True),
        (r"[^/,]+(?:,[^/,]+)*\.json", True),
        (r"[^]/]{1,3}|[a-z.]?", True),
        (r"[^\]/]+", True),
        (r"\d{4}-\d\d", True),
        # Werkzeug's own are about one part, whatever they match.
        (r".+", True),
        (r"[^/].*", False),
        (r"[^/][^,]*", False),
        (r"[^/]+/[^/]+", False),
        (r"[^/]\S+", False),
        (r"[+-9/]+", False),
        (r"\d+(?:\/\d+)*", False),
    ],
)
def test_a_converter_of_no_slash_is_of_one_level(expression: str, is_one_level: bool) -> None:
    converters = Converters()
    converters.own["own"] = _converter(expression)
    rest = Pattern("a/<own:x>")
    rest.bind(converters)
    assert rest.filter == ("a/+" if is_one_level else "a/#")
    middle = Pattern("a/<own:x>/b")
    if is_one_level:
        middle.bind(converters)
        assert middle.filter == "a/+/b"
    else:
        with pytest.raises(ValueError, match="stands for all levels that follow"):
            middle.bind(converters)


def test_a_rule_is_a_text() -> None:
    with pytest.raises(TypeError, match="rule 5: it must be a str"):
        Pattern(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "positional", "by_name"),
    [
        ("", [], {}),
        ("1, -2, 1.5, -1.", [1, -2, 1.5, -1.0], {}),
        ("True, False, None", [True, False, None], {}),
        ("a, b-c, 1.2.3, 12ab", ["a", "b-c", "1.2.3", "12ab"], {}),
        ("\"a, b=c\", 'd)', x = 'e'", ["a, b=c", "d)"], {"x": "e"}),
        ("a=1, b=word", [], {"a": 1, "b": "word"}),
    ],
)
def test_arguments_are_as_in_flask_s_rules(
    text: str, positional: list[Any], by_name: dict[str, Any]
) -> None:
    found = parse_arguments(text)
    assert found == (positional, by_name)
    assert [type(one) for one in found[0]] == [type(one) for one in positional]


@pytest.mark.parametrize(
    ("rule", "values", "said"),
    [
        ("a/<x>", {"x": "b/c"}, r"<str:x> 'b/c': it has a '/'"),
        ("a/<x>", {"x": "+"}, "'\\+' and '#' are wildcards"),
        ("a/<x>", {"x": "a#"}, "'\\+' and '#' are wildcards"),
        ("a/<path:x>", {"x": "b/+/c"}, "'\\+' and '#' are wildcards"),
        ("a/<x>", {"x": ""}, "<str:x> '': it does not fit the converter"),
        ("a/<x>", {"x": "\0"}, "the null character"),
        ("a/<x>", {"x": "\ud800"}, "surrogates"),
        ("a/<x>", {"x": "x" * 65_534}, "65,?535"),
        ("<x>/a", {"x": "$SYS"}, r"<x> '\$SYS': a topic with '\$' is not one of the rule"),
        ("<int:x>", {"x": "y"}, "<int:x> 'y': invalid literal"),
        ("<int:x>", {"x": -1}, "<int:x> -1: it does not fit"),
        ("<int:x>", {"x": None}, "<int:x> None: "),
        ("<int(max=3):x>", {"x": 4}, "<int\\(max=3\\):x> 4: it does not fit"),
        ("<int:x>", {"x": 10**5_000}, "<int:x> of type int: Exceeds the limit"),
        ("<any(a):x>", {"x": "y" * 500}, "<any\\(a\\):x> 'y{100,200}…: "),
        ("<float:x>", {"x": 1e30}, "<float:x> 1e"),
        ("<float:x>", {"x": float("nan")}, "<float:x> nan: it does not fit"),
        ("<any(a, b):x>", {"x": "c"}, "<any\\(a, b\\):x> 'c': 'c' is not one of 'a', 'b'"),
        ("<even:x>", {"x": 3}, "<even:x> 3: it does not fit"),
        ("<path:x>", {"x": "/a"}, "<path:x> '/a': it does not fit"),
        ("<uuid:x>", {"x": 5}, "<uuid:x> 5: it does not fit"),
        ("a/+/<x>", {"x": "b"}, r"the rule 'a/\+/<x>' has the wildcard '\+'"),
        ("<x>/#", {"x": "b"}, "has the wildcard '#'"),
    ],
)
def test_a_value_that_would_break_the_topic_is_an_error(
    rule: str, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        pattern(rule).build(values)


def test_what_would_be_escaped_in_a_url_is_itself() -> None:
    made = pattern("<x>/<any('50%25', 'a b'):y>/<path:p>")
    for y in ("50%25", "a b"):
        values = {"x": "100%41 ?&ü", "y": y, "p": "a%2Fb/c d"}
        topic = made.build(values)
        assert topic == f"100%41 ?&ü/{y}/a%2Fb/c d"
        assert made.match(topic) == values


@pytest.mark.parametrize(
    ("prefix", "rule", "whole"),
    [
        ("", "a", "a"),
        ("p", "a", "p/a"),
        ("p/", "a", "p/a"),
        ("p", "/a", "p/a"),
        ("p/", "/a", "p/a"),
        ("p", "//a", "p//a"),
        ("p//", "a", "p//a"),
        ("/", "a", "/a"),
        ("/p", "", "/p"),
        ("p/", "", "p"),
        ("p/<x>", "<y>", "p/<x>/<y>"),
    ],
)
def test_prefixes_of_blueprints(prefix: str, rule: str, whole: str) -> None:
    assert joined(prefix, rule) == whole


#: Texts that may be in a topic, levels that may be in a rule, and values of each converter. Few
#: characters, but all that mean something somewhere.
ALPHABET = "aZ09-_.,:;% $&<>=()'\"?\t\nüß漢😀"
CHARACTERS = st.sampled_from(ALPHABET)
LEVELS = st.text(st.sampled_from(ALPHABET.replace("<", "").replace(">", "")))
TEXTS = st.text(CHARACTERS, min_size=1)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "": TEXTS,
    "str(minlength=0):": st.text(CHARACTERS),
    "int:": st.integers(min_value=0),
    "int(signed=True):": st.integers(),
    "int(fixed_digits=5):": st.integers(0, 99_999),
    "float:": st.floats(min_value=1e-4, max_value=1e15, exclude_max=True),
    "float(signed=True):": st.floats(-1e15, 1e15).filter(lambda value: "e" not in str(value)),
    "uuid:": st.uuids(),
    "any(on, off, 'a b'):": st.sampled_from(["on", "off", "a b"]),
    "words:": st.lists(st.text("aZ09_üß漢", min_size=1), min_size=1),
    "path:": st.lists(st.text(CHARACTERS))
    .map("/".join)
    .filter(lambda value: re.fullmatch("[^/].*", value) is not None),
}


@st.composite
def rules(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[str, dict[str, Any]]:
    """Make a rule, and values for it."""
    levels, values = [], {}
    for place in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from([None, *list(VALUES)[:-2]]))
        if kind is None:
            levels.append(draw(LEVELS))
        else:
            levels.append(f"<{kind}v{place}>")
            values[f"v{place}"] = draw(VALUES[kind])
    if draw(st.booleans()):
        kind = draw(st.sampled_from(["words:", "path:"]))
        levels.append(f"<{kind}rest>")
        values["rest"] = draw(VALUES[kind])
    rule = "/".join(levels)
    assume(rule and not rule.startswith("$share"))
    return rule, values


@settings(deadline=None, database=None)
@given(rules())
def test_build_and_match_are_inverse(case: tuple[str, dict[str, Any]]) -> None:
    rule, values = case
    made = pattern(rule)
    try:
        topic = made.build(values)
    except ValueError as error:
        assert "'$'" in str(error) or not "".join(map(str, values.values()))  # noqa: PT017
        return
    assert made.match(topic) == values
    assert topic_matches_sub(made.filter, topic)


@settings(deadline=None, database=None)
@given(rules(), st.lists(st.text(CHARACTERS), min_size=1, max_size=6).map("/".join))
def test_match_and_build_are_inverse(case: tuple[str, dict[str, Any]], topic: str) -> None:
    """Also for a topic that no values have made, but for other ways to write a number."""
    assume(topic)
    rule, _ = case
    made = pattern(rule)
    values = made.match(topic)
    if values is not None:
        assert made.match(made.build(values)) == values


@settings(deadline=None, database=None)
@given(st.lists(st.sampled_from(["a", "b", "", "+", "<x>"]), min_size=1, max_size=4), st.data())
def test_a_pattern_of_texts_matches_what_its_filter_matches(
    levels: list[str], data: st.DataObject
) -> None:
    assume(levels.count("<x>") <= 1)
    rest = data.draw(st.sampled_from([[], ["#"]]))
    rule = "/".join([*levels, *rest])
    assume(rule)
    made = pattern(rule.replace("<x>", "<str(minlength=0):x>"))
    matcher = MQTTMatcher()
    matcher[made.filter] = True
    topic = "/".join(data.draw(st.lists(st.sampled_from(["a", "b", "", "$"]), min_size=1)))
    assume(topic)
    assert (made.match(topic) is not None) == any(matcher.iter_match(topic))
