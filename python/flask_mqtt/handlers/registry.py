"""Which handlers a client has, and what else hears of its events."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..paho.enums import CallbackAPIVersion
from .slots import MESSAGE, SLOTS, Fitted, Handler, check_handler

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping


@dataclass
class Hooks:
    """What the extension has called for each connection."""

    #: In the place of `on_connect` and `on_disconnect`, with the same arguments; they are expected
    #: to call `Events.call_on_connect` and `Events.call_on_disconnect`.
    connected: Handler
    disconnected: Handler
    #: Where a connection has ended and `on_disconnect` is not called.
    gone: Callable[[], None]
    #: In a forked child, with whether the parent had a connection. Returns whether the child waits
    #: for its first use.
    forked: Callable[[bool], bool]
    #: Where the client is used for the first time, in a process where it waits for that.
    first_use: Callable[[Any], bool]
    #: By name: what the attribute shows instead of a handler, and that handler.
    shown: dict[str, tuple[Handler, Handler | None]] = field(default_factory=dict)


class HandlerRegistry:
    """The handlers of a client but those of messages, which are the dispatcher's.

    A handler is what was set, or a method of a subclass, which paho's calls too.
    """

    def __init__(
        self, client: Any, version: CallbackAPIVersion, attributes: Mapping[str, Any]
    ) -> None:
        """Start with the methods of the client's class.

        Args:
            client: The client.
            version: Which arguments handlers get.
            attributes: What the ``on_*`` attributes are in a class that has no such methods.

        Raises:
            TypeError: A method cannot be called for its event.
        """
        self.version_1 = version is CallbackAPIVersion.VERSION1
        #: The handlers that were set, by the names of the attributes.
        self.fitted: dict[str, Fitted | None] = dict.fromkeys(SLOTS)
        #: What gets the lines of `on_log` too.
        self.logger: logging.Logger | None = None
        self.hooks: Hooks | None = None
        self._client = client
        kind = type(client)
        self._methods = [name for name, own in attributes.items() if getattr(kind, name) is not own]
        for name in self._methods:
            self._check_method(name)

    def _check_method(self, name: str) -> None:
        written = inspect.getattr_static(type(self._client), name)
        if not isinstance(written, FunctionType):
            # A property may need what the subclass has not made yet.
            return
        method = written.__get__(self._client)
        if name in SLOTS:
            SLOTS[name].check(method, version_1=self.version_1)
        else:
            check_handler(name, method, MESSAGE, [3])

    @property
    def version(self) -> CallbackAPIVersion:
        """Which arguments handlers get."""
        return CallbackAPIVersion.VERSION1 if self.version_1 else CallbackAPIVersion.VERSION2

    def set(self, name: str, handler: Handler | None) -> None:
        """Look at a handler, and keep it.

        Args:
            name: Of the attribute, as in ``on_connect``.
            handler: The handler, or None for none.

        Raises:
            TypeError: It cannot be called for the event.
        """
        fitted = None
        if handler is not None:
            SLOTS[name].check(handler, version_1=self.version_1)
            fitted = SLOTS[name].fit(handler)
        self.fitted[name] = fitted

    def shown(self, name: str) -> Handler | None:
        """Return a handler as the attribute shows it, which may be the extension's hook."""
        fitted = self.fitted[name]
        handler = None if fitted is None else fitted.handler
        shown = {} if self.hooks is None else self.hooks.shown
        hook, own = shown.get(name, (handler, handler))
        return hook if handler is own else handler

    def current(self, name: str) -> Fitted | None:
        """Return a handler, which may be a method of a subclass, by its attribute's name."""
        if name not in self._methods:
            return self.fitted[name]
        handler = getattr(self._client, name)
        return None if handler is None else SLOTS[name].fit(handler)

    def forget(self) -> None:
        """Be without all handlers that were set."""
        self.fitted.update(dict.fromkeys(SLOTS))
        # An object's own handler hides the method.
        for name in self._methods:
            vars(self._client).pop(name, None)

    @property
    def on_message(self) -> Handler | None:
        """The method that takes messages without a topic's handler, or what hides it; or None."""
        return self._call_on_message if "on_message" in self._methods else None

    def _call_on_message(self, client: Any, userdata: Any, message: Any) -> Any:
        """Call the method `on_message` of a subclass, or what was assigned since."""
        handler = self._client.on_message
        return None if handler is None else handler(client, userdata, message)
