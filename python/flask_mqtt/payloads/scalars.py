"""Types whose values are no containers: numbers, texts, moments, enumerations."""

from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID

from .errors import Mismatch, expected, shown
from .shape import Shape


def _anything(value: Any) -> Any:
    return value


def _null(value: Any) -> None:
    if value is not None:
        raise expected("null", value)


def _boolean(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise expected("true or false", value)


def _integer(value: Any) -> Any:
    if type(value) is int:
        return value
    # JSON has one kind of number: many devices write 3.0 for 3.
    if type(value) is float and value.is_integer():
        return int(value)
    raise expected("an integer", value)


def _number(value: Any) -> Any:
    if type(value) is float:
        return value
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            raise Mismatch("the number is too large") from None
    raise expected("a number", value)


def _text(value: Any) -> Any:
    if type(value) is str:
        return value
    raise expected("a string", value)


def _decimal(value: Any) -> Decimal:
    # `bool` is an `int` too.
    if type(value) in (str, int, float):
        try:
            made = Decimal(str(value) if type(value) is float else value)
        except InvalidOperation:
            pass
        else:
            if made.is_finite():
                return made
    raise expected("a decimal number", value)


def _uuid(value: Any) -> UUID:
    if type(value) is str:
        try:
            return UUID(value)
        except ValueError:
            pass
    raise expected("a UUID", value)


def _moment(value: str) -> datetime:
    try:
        # Python 3.10 has no `Z`.
        return datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "Zz" else value)
    except ValueError:
        # As `app.json` writes it by default.
        return parsedate_to_datetime(value)


def _day(value: str) -> date:
    try:
        return date.fromisoformat(value)
    except ValueError:
        return parsedate_to_datetime(value).date()


def _of_time(what: str, parse: Callable[[str], Any]) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        if type(value) is str:
            try:
                return parse(value)
            # `email.utils` raises more than it says for dates that do not exist.
            except (ValueError, TypeError, IndexError, OverflowError):
                pass
        raise expected(what, value)

    return convert


def _shape(convert: Callable[[Any], Any], **schema: Any) -> Shape:
    return Shape(convert, lambda _: dict(schema))


#: The types that need no arguments.
SCALARS: dict[Any, Shape] = {
    Any: _shape(_anything),
    object: _shape(_anything),
    None: _shape(_null, type="null"),
    type(None): _shape(_null, type="null"),
    bool: _shape(_boolean, type="boolean"),
    int: _shape(_integer, type="integer"),
    float: _shape(_number, type="number"),
    str: _shape(_text, type="string"),
    Decimal: _shape(_decimal, type=["number", "string"]),
    UUID: _shape(_uuid, type="string", format="uuid"),
    datetime: _shape(
        _of_time("a date and time, as 2026-01-31T12:00:00Z", _moment),
        type="string",
        format="date-time",
    ),
    date: _shape(_of_time("a date, as 2026-01-31", _day), type="string", format="date"),
    time: _shape(_of_time("a time, as 12:00:00", time.fromisoformat), type="string", format="time"),
}


def of_values(values: tuple[Any, ...]) -> Shape:
    """Return the shape of a `Literal`.

    Args:
        values: Texts, integers, booleans and None.

    Raises:
        TypeError: JSON has no such value.
    """
    kinds = (str, int, bool, type(None))
    others = [value for value in values if type(value) not in kinds]
    if others:
        raise TypeError(f"Literal[{others[0]!r}]: JSON has no such value")
    # True is equal to 1.
    allowed = {(type(value), value) for value in values}
    what = _one_of(values)

    def convert(value: Any) -> Any:
        if type(value) in kinds and (type(value), value) in allowed:
            return value
        raise expected(what, value)

    return _shape(convert, enum=list(values))


def of_enum(kind: type[enum.Enum]) -> Shape:
    """Return the shape of an enumeration: JSON has the members' values.

    Raises:
        TypeError: JSON has no such value.
    """
    values = [member.value for member in kind]
    if not values or any(type(value) not in (str, int) for value in values):
        raise TypeError(f"{kind.__qualname__}: its values must be texts or integers")
    kinds = {type(value) for value in values}
    what = _one_of(values)

    def convert(value: Any) -> Any:
        if type(value) in kinds:
            try:
                return kind(value)
            except ValueError:
                pass
        raise expected(what, value)

    return Shape(
        convert,
        lambda definitions: definitions.reference(
            kind, kind.__name__, lambda: {"title": kind.__name__, "enum": values}
        ),
    )


def _one_of(values: Any) -> str:
    return " or ".join(map(shown, values))
