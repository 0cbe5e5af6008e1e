"""The application that an extension is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.local import LocalProxy


def itself(app: Any) -> Any:
    """Return the application that `current_app` stands for: other threads have no such thing."""
    # The name is werkzeug's, for everybody.
    return app._get_current_object() if isinstance(app, LocalProxy) else app  # noqa: SLF001


def check_app(app: Any) -> None:
    """Raise TypeError for what is no application, nor a mock of one."""
    if hasattr(app, "config"):
        return
    instead = "the Flask application, as in Mqtt(app) where app = Flask(__name__)"
    if callable(app):
        instead = f"{instead}, or what a factory returns, as in Mqtt(create_app())"
    # A configuration has secrets.
    given = type(app).__name__ if isinstance(app, Mapping) and app else repr(app)
    raise TypeError(f"app {given}: it must be {instead}")


class Registry(dict[str, Any]):
    """``app.extensions["mqtt"]``: the extensions of an application by their prefix."""


def register(app: Any, prefix: str, extension: object) -> None:
    """Register an extension with its application, where nothing else stands in its place.

    Args:
        app: The application.
        prefix: What the extension's keys begin with.
        extension: The extension.
    """
    if not isinstance(getattr(app, "extensions", None), dict):
        app.extensions = {}
    extensions = app.extensions.setdefault("mqtt", Registry())
    if isinstance(extensions, Registry):
        extensions[prefix] = extension


def extensions_of(app: Any) -> dict[str, Any]:
    """Return the extensions that are registered with an application, by their prefix."""
    registered = app.extensions.get("mqtt")
    return dict(registered) if isinstance(registered, Registry) else {}
