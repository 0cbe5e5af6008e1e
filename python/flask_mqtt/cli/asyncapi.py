"""``flask mqtt asyncapi``: a document of what the application receives and sends."""

from __future__ import annotations

import json
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from ..asyncapi import document


@click.command("asyncapi", short_help="Write the AsyncAPI document.")
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="The file; by default the document is printed.",
)
@click.option("--title", help="The title of the document; by default the application's name.")
@click.option("--version", default="1.0.0", show_default=True, help="The application's version.")
@with_appcontext
def asyncapi(output: Path | None, title: str | None, version: str) -> None:
    """Write an AsyncAPI 3.0 document of what the application receives and sends, as JSON."""
    made = document(current_app, title, version)
    text = json.dumps(made, indent=2, ensure_ascii=False)
    if output is None:
        click.echo(text)
        return
    try:
        output.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
