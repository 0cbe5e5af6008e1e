"""Topics of routes, by the names of these: what `topic_for` does."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .route import Route


class BuildError(ValueError):
    """There is no topic for what `topic_for` was given. The text says why."""


def unknown(name: object, names: Sequence[str]) -> BuildError:
    """Return the error of a name that no route has.

    Args:
        name: The name.
        names: Those of the routes.
    """
    return BuildError(f"topic_for({name!r}): there is no such route{_near(name, names)}")


def build(name: str, routes: Sequence[Route], values: Mapping[str, Any]) -> tuple[Route, str]:
    """Return the route that has these values, and its topic for them.

    Args:
        name: The route's.
        routes: Those of that name: the first is taken that has exactly these placeholders.
        values: By the names of the placeholders. As with `url_for`, None is no value.

    Raises:
        BuildError: A value is missing, unknown, or none for a topic, or several handlers are called
            so.
    """
    values = {key: value for key, value in values.items() if value is not None}
    given = [route for route in routes if route.is_named] or routes
    if len({id(route.handler) for route in given}) > 1:
        rules = ", ".join(repr(route.pattern.rule) for route in given)
        raise BuildError(
            f"topic_for({name!r}): several routes have a handler of this name ({rules}): give "
            "each route its own name="
        )
    fitting = [route for route in given if set(route.pattern.names) == values.keys()]
    if not fitting:
        raise BuildError(f"topic_for({name!r}): {_difference(given[0], values)}")
    try:
        return fitting[0], fitting[0].pattern.build(values)
    except ValueError as error:
        raise BuildError(f"topic_for({name!r}): {error}") from error


def _difference(route: Route, values: Mapping[str, Any]) -> str:
    names = route.pattern.names
    missing = [one for one in names if one not in values]
    unknown = [one for one in values if one not in names]
    said = [f"no value for {', '.join(repr(one) for one in missing)}"] if missing else []
    said += [f"no placeholder {one!r}{_near(one, missing or names)}" for one in unknown]
    return f"{', and '.join(said)}; its rule is {route.pattern.rule!r}"


def _near(name: object, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names) if isinstance(name, str) else []
    return f", did you mean {' or '.join(repr(one) for one in near)}?" if near else ""
