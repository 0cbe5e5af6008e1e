"""``flask mqtt routes``: a table of the routes, as ``flask routes`` has one of URLs."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

import click
from flask import current_app
from flask.cli import with_appcontext

from ..extension.application import extensions_of
from ..extension.routes import routes_of
from ..handlers.naming import name_of

if TYPE_CHECKING:
    from ..routing.route import Route

_HEADERS = ("Topic", "QoS", "Converters", "Payload", "Handler", "Name")
_SORTS = {"topic": 0, "qos": 1, "handler": 4, "name": 5}


@click.command("routes", short_help="Show the routes of messages.")
@click.option(
    "--sort",
    "-s",
    type=click.Choice((*_SORTS, "registration")),
    default="topic",
    help="Column to sort routes by. 'registration' is the order of registration.",
)
@with_appcontext
def routes(sort: str) -> None:
    """Show the routes of messages: topics, handlers, QoS, converters and payload types."""
    # They have to be asked in the application's context, and current_app stands for others too.
    extensions = extensions_of(current_app)
    several = len(extensions) > 1
    rows = [
        [*_row(route), *([prefix] if several else [])]
        for prefix, extension in extensions.items()
        for route in routes_of(extension)
    ]
    if not rows:
        click.echo("No routes were registered.")
        return
    if sort in _SORTS:
        rows.sort(key=itemgetter(_SORTS[sort]))
    table = [[*_HEADERS, *(["Keys"] if several else [])], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


def _row(route: Route) -> list[str]:
    share, pattern = route.options.share, route.pattern
    return [
        pattern.rule if share is None else f"$share/{share}/{pattern.rule}",
        str(route.options.qos) if route.options.subscribes else "",
        ", ".join(f"{one.name}: {one.shown}" for one in pattern.placeholders),
        _payload(route),
        name_of(route.handler),
        route.name or "",
    ]


def _payload(route: Route) -> str:
    if route.payload is None:
        return ""
    name = route.payload.decoder.name
    return name if route.options.batching is None else f"list[{name}]"
