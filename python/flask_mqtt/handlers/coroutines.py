"""Runs what the call of an ``async def`` handler has only made, as Flask runs such a view."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app

from .scope import clients_here, handling_in_task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .._core import Client as CoreClient


def is_coroutine(result: Any) -> bool:
    """Whether what a handler has returned is to be run."""
    return inspect.iscoroutine(result) or (
        inspect.isgenerator(result)
        and bool(result.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE)
    )


def run(coroutine: Any, app: Flask | None, clients: Iterable[CoreClient]) -> Any:
    """Run the coroutine of a handler, and return what it returns.

    Args:
        coroutine: What the call has returned.
        app: The application, or None without one.
        clients: Those whose handler it is.
    """

    async def finish() -> Any:
        # The event loop may be one that others use too, as that of a server.
        with handling_in_task(clients):
            return await coroutine

    try:
        if app is None:
            import asyncio  # noqa: PLC0415 - it takes a while, and few applications need it

            return asyncio.run(finish())
        return app.ensure_sync(finish)()
    finally:
        # Where Flask's extra `async` is missing, it was not awaited.
        coroutine.close()


def finished(result: Any) -> Any:
    """Return what a handler has returned in the thread that calls it, once a coroutine has ended.

    Args:
        result: What its call has returned.
    """
    if result is None or not is_coroutine(result):
        return result
    proxy: Any = current_app
    # The name is Werkzeug's, for everybody.
    app = proxy._get_current_object() if proxy else None  # noqa: SLF001
    return run(result, app, clients_here())
