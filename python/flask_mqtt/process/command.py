"""What the `flask` command was called for: to serve, or for something else."""

from __future__ import annotations

import os

import click
from flask.cli import FlaskGroup, ScriptInfo, run_command
from flask.helpers import get_debug_flag
from werkzeug.serving import is_running_from_reloader

from . import handover


def serves() -> bool:
    """Whether this process serves the application, as far as its command line says.

    Asked while the application is made, in the thread that makes it.

    Returns:
        False in a command of ``flask`` other than ``run``, such as ``flask shell``, and in the
        process of ``flask run`` that only starts another one again and again: the reloader's
        parent. True everywhere else, also without any command.
    """
    context = click.get_current_context(silent=True)
    # Celery and uvicorn use click too, without Flask's object.
    if context is None or context.find_object(ScriptInfo) is None:
        return True
    run = _run(context)
    return run is not None and (is_running_from_reloader() or not _reloads(run))


def take_over(identity: str) -> None:
    """Have the parent of the reloader let go of its connection, where this is the reloader's child.

    With ``app.run`` and ``socketio.run`` the parent has connected, as it could not know that it
    would not serve the application.

    Args:
        identity: What `slots.identity` returns for the connection.
    """
    if is_running_from_reloader():
        handover.ask(os.getppid(), identity)


def _run(context: click.Context) -> click.Context | None:
    """Return the context of `run`, or of a command of that name in place of Flask's."""
    current: click.Context | None = context
    while current is not None:
        above = current.parent
        is_own = above is not None and isinstance(above.command, FlaskGroup)
        if current.command is run_command or (is_own and current.info_name == "run"):
            return current
        current = above
    return None


def _reloads(run: click.Context) -> bool:
    """Whether `run` will start another process that serves.

    A `run` that is not Flask's does not say.
    """
    if "reload" not in run.params:
        return False
    reload: bool | None = run.params["reload"]
    return get_debug_flag() if reload is None else reload
