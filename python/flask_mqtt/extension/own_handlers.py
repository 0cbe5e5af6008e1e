"""The handlers of connections that the extension has besides its client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, has_app_context

from . import driving

if TYPE_CHECKING:
    from ..client import Client
    from ..handlers.slots import Handler


class OwnHandlers:
    """`on_connect` and `on_disconnect`: a client calls them, or the application in its tests."""

    def __init__(self) -> None:
        """Start without any."""
        self._handlers: dict[str, Handler | None] = {}

    def get(self, name: str) -> Handler | None:
        """Return a handler, by its attribute's name."""
        return self._handlers.get(name)

    def set(self, client: Client, name: str, handler: Handler | None) -> None:
        """Set a handler, here and on the client.

        Args:
            client: The client. One that is none of ours has the extension itself as its handler.
            name: Of the attribute, as in ``on_connect``.
            handler: The handler, or None for none.

        Raises:
            TypeError: It cannot be called for the event.
        """
        parts = driving.parts(client)
        if parts is not None:
            setattr(client, name, handler)
            shown = {} if parts.registry.hooks is None else parts.registry.hooks.shown
            if name in shown:
                shown[name] = (shown[name][0], handler)
        self._handlers[name] = handler

    def call(self, app: Any, name: str, *arguments: Any) -> None:
        """Call a handler, if there is one, in a context of the application.

        Args:
            app: The application. One that is none of Flask's has no contexts.
            name: Of the attribute.
            arguments: What the event brings; a handler gets as many as it takes.
        """
        handler = self._handlers.get(name)
        if handler is None:
            return
        if not isinstance(app, Flask) or has_app_context():
            driving.call_directly(name, handler, *arguments)
        else:
            with app.app_context():
                driving.call_directly(name, handler, *arguments)
