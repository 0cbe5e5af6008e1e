"""What is called before and after the handlers of messages, and for their errors."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ..handlers.coroutines import finished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._core import MQTTMessage
    from .invoke import Invoke

    Hook = Callable[..., Any]


class Hooks:
    """Those of an extension or of a blueprint."""

    def __init__(self) -> None:
        """Start without any."""
        #: Called as ``(client, message)``, in the order of registration and in the reverse one.
        self.before: list[Hook] = []
        self.after: list[Hook] = []
        #: By the class of the errors, called as ``(client, message, error)``.
        self.errors: dict[type[Exception], Hook] = {}
        #: Called as ``(client, message, error)`` for a message with an invalid payload, or None.
        self.invalid: Hook | None = None

    def __bool__(self) -> bool:
        """Whether there is any that is called around the others' stages."""
        return bool(self.before or self.after or self.errors)


def with_hooks(invoke: Invoke, scopes: Sequence[Hooks], *, of_batch: bool = False) -> Invoke:
    """Put hooks around a stage, as Flask does with a view.

    Args:
        invoke: The stage.
        scopes: The hooks of the extension, and of the blueprints that lead to the route.
        of_batch: Whether the route's handler gets messages later, as the hooks have left them. Its
            failure is none of one message, so there are no handlers of errors. A message that is
            handled at once has its own payload again at the end, since a hook would change that of
            another route, or of another attempt, once more.
    """
    if not any(scopes):
        return invoke
    attempt = _begun(invoke, scopes)
    if not of_batch:
        attempt = _handled(attempt, scopes)
    after = [hook for scope in scopes for hook in scope.after]

    def end(client: Any, message: MQTTMessage) -> None:
        if not after:
            return
        # The last one first; each of them, even if another one raises an exception.
        with ExitStack() as stack:
            for hook in after:
                stack.callback(_call, hook, client, message)

    def hooked(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        try:
            result = attempt(client, message, values)
        except BaseException:
            end(client, message)
            raise
        end(client, message)
        return result

    begins = any(scope.before for scope in scopes)
    return _with_own_payload(hooked) if begins and not of_batch else hooked


def _call(hook: Hook, client: Any, message: MQTTMessage) -> None:
    finished(hook(client, message))


def _with_own_payload(invoke: Invoke) -> Invoke:
    def restored(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        payload = message.payload
        try:
            return invoke(client, message, values)
        finally:
            if message.payload is not payload:
                message.payload = payload

    return restored


def _begun(invoke: Invoke, scopes: Sequence[Hooks]) -> Invoke:
    before = [hook for scope in scopes for hook in scope.before]

    def begin(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        for hook in before:
            result = finished(hook(client, message))
            if result is not None:
                # In the place of what the handler would have returned.
                return result
        return invoke(client, message, values)

    return begin


def _handled(invoke: Invoke, scopes: Sequence[Hooks]) -> Invoke:
    tables = [scope.errors for scope in reversed(scopes)]

    def handle(client: Any, message: MQTTMessage, values: dict[str, Any]) -> Any:
        try:
            return invoke(client, message, values)
        except Exception as error:
            handler = _handler_of(error, tables)
            if handler is None:
                raise
            return finished(handler(client, message, error))

    return handle


def _handler_of(error: Exception, tables: Sequence[dict[type[Exception], Hook]]) -> Hook | None:
    """Return the handler for the nearest class of an error, of the innermost that has one."""
    for table in tables:
        for kind in type(error).__mro__:
            if kind in table:
                return table[kind]
    return None
