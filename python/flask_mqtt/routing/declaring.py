"""The decorators for routes, which the extension and blueprints share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..handlers.slots import check_handler, with_parentheses
from .batches import Batching
from .hooks import Hooks
from .retries import Retry
from .route import RouteOptions
from .sent import Sent

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])

_HOOK = "(client, message)"
_ERROR_HOOK = "(client, message, error)"


class Declarations:
    """Each method returns a decorator, which registers a handler and returns it as it is."""

    @with_parentheses("mqtt.topic('sensors/<int:id>')")
    def topic(
        self,
        rule: str,
        *,
        name: str | None = None,
        qos: int = 0,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        share: str | None = None,
        json: bool = False,
        no_prefix: bool = False,
        retry: Retry | None = None,
        dead_letter: str | None = None,
        timeout: float | None = None,
        response: bool = False,
    ) -> Callable[[HandlerT], HandlerT]:
        """Subscribe, and decorate a handler ``(client, message, **values)`` of the messages.

        If a value in the topic does not fit its converter, the handler is not called.

        Args:
            rule: A filter in which levels may be placeholders: ``<name>`` or ``<converter:name>``,
                as in Flask's rules. ``<path:name>`` stands for all levels that follow.
            name: The name for `topic_for`; by default the name of the handler.
            qos: The highest QoS wanted: 0, 1 or 2. Routes with the same filter share one
                subscription, with the highest QoS of them.
            no_local: For MQTT 5: leave out messages that this client publishes.
            retain_as_published: For MQTT 5: keep the retain flag of messages.
            retain_handling: For MQTT 5: whether retained messages are sent: 0 always, 1 for a new
                subscription, 2 never.
            share: The group of a shared subscription.
            json: Whether a parameter annotated with dict or list gets the decoded payload.
            no_prefix: The rule is for full topics, without ``MQTT_PREFIX``.
            retry: How often, and when, the handler is called again after a failure; None for never.
                Later messages on the same topic wait for that; other messages do not.
            dead_letter: The topic on which the messages are published that the route cannot
                handle: messages with an invalid payload, and messages for which all attempts have
                failed. ``{topic}`` in it stands for the topic of the message.
            timeout: Seconds after which a call of the handler is reported. The call goes on.
            response: For MQTT 5: whether the return value of the handler is published on the
                response topic of the message, if it has one, with its correlation data and QoS.
                Nothing is published for None.

        Raises:
            TypeError: The decorator was used without parentheses, an option has a wrong type, or
                the parameters of the handler do not match the rule.
            ValueError: The rule is malformed, an option is not allowed, another route has the same
                name, or another route has the same filter with other options.
        """
        options = RouteOptions(
            qos=qos,
            no_local=no_local,
            retain_as_published=retain_as_published,
            retain_handling=retain_handling,
            share=share,
            json=json,
            no_prefix=no_prefix,
            response=response,
            retry=retry,
            dead_letter=dead_letter,
            timeout=timeout,
        )
        return self._rs_registrar(rule, name, options)

    @with_parentheses("mqtt.batch('sensors/+/temperature')")
    def batch(
        self,
        rule: str,
        *,
        max: int = 1000,  # noqa: A002 - the word for it
        wait: float = 0.1,
        name: str | None = None,
        qos: int = 0,
        no_local: bool = False,
        retain_as_published: bool = False,
        retain_handling: int = 0,
        share: str | None = None,
        json: bool = False,
        no_prefix: bool = False,
        retry: Retry | None = None,
        dead_letter: str | None = None,
        timeout: float | None = None,
    ) -> Callable[[HandlerT], HandlerT]:
        """Subscribe, and decorate a handler ``(client, messages)`` of many messages at once.

        The messages are acknowledged together when the handler has returned. If the annotation is
        a list of a payload type, such as ``list[Reading]``, the handler gets decoded payloads.

        Args:
            rule: As with `topic`. The values of placeholders are not passed.
            max: The most messages of a batch. A batch with 4 MiB of payloads is also complete.
            wait: Seconds for which the first message of a batch waits for others. It does not wait
                if the broker sends no more messages before an acknowledgement.
            name: As with `topic`.
            qos: As with `topic`.
            no_local: As with `topic`.
            retain_as_published: As with `topic`.
            retain_handling: As with `topic`.
            share: As with `topic`.
            json: Whether the list may contain dicts or lists, decoded from JSON.
            no_prefix: As with `topic`.
            retry: How often, and when, the handler is called again with the same list after a
                failure; None for never. Later messages wait for that.
            dead_letter: As with `topic`, for each message.
            timeout: As with `topic`.

        Raises:
            TypeError: The decorator was used without parentheses, an option has a wrong type, or
                the handler does not take two arguments.
            ValueError: See `topic`.
        """
        options = RouteOptions(
            qos=qos,
            no_local=no_local,
            retain_as_published=retain_as_published,
            retain_handling=retain_handling,
            share=share,
            json=json,
            no_prefix=no_prefix,
            batching=Batching(max, wait),
            retry=retry,
            dead_letter=dead_letter,
            timeout=timeout,
        )
        return self._rs_registrar(rule, name, options)

    def sends(
        self,
        rule: str,
        payload: Any = None,
        *,
        name: str | None = None,
        qos: int = 0,
        retain: bool = False,
        no_prefix: bool = False,
        summary: str | None = None,
    ) -> None:
        """Declare what the application publishes, for ``flask mqtt asyncapi`` only.

        Args:
            rule: The topics, as in the rule of a route.
            payload: The type of the payload, as in the annotation of a route's handler; None for
                any payload.
            name: The name in the document.
            qos: The QoS.
            retain: Whether the messages are retained.
            no_prefix: Whether the topics have no ``MQTT_PREFIX``.
            summary: A sentence about the messages.

        Raises:
            TypeError: The type cannot be sent as JSON, or an argument has a wrong type.
            ValueError: The rule is malformed, or the QoS is not 0, 1 or 2.
        """
        fields = {"qos": qos, "retain": retain, "no_prefix": no_prefix}
        self._rs_add_sent(Sent.of(rule, payload, name=name, summary=summary, **fields))

    @with_parentheses("mqtt.before_message()")
    def before_message(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message)`` that is called before each route's handler.

        If it returns anything but None, the handler is not called, and this value is the result.
        """
        return self._rs_hook("before_message", lambda hooks: hooks.before.append)

    @with_parentheses("mqtt.after_message()")
    def after_message(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message)`` that is called after each route's handler.

        It is also called after an exception of the handler. The last one registered is called
        first.
        """
        return self._rs_hook("after_message", lambda hooks: hooks.after.append)

    @with_parentheses("mqtt.on_invalid()")
    def on_invalid(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, message, error)`` of messages with an invalid payload.

        It is called instead of logging a warning. The error is an :class:`InvalidPayload`. A
        blueprint's handler is called instead of the extension's. A later registration replaces an
        earlier one.
        """

        def put(hooks: Hooks) -> Callable[[Any], None]:
            return lambda handler: setattr(hooks, "invalid", handler)

        return self._rs_hook("on_invalid", put, _ERROR_HOOK, 3)

    def errorhandler(self, error: type[Exception]) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message, error)`` for exceptions of routes' handlers.

        The exception then counts as handled. The function for the nearest class is called; a
        blueprint's is called instead of the extension's.

        Args:
            error: The class of the exceptions.

        Raises:
            TypeError: It is not a class of exceptions.
        """
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise TypeError(f"errorhandler {error!r}: it must be a class of exceptions")

        def put(hooks: Hooks) -> Callable[[Any], None]:
            return lambda handler: hooks.errors.__setitem__(error, handler)

        return self._rs_hook("errorhandler", put, _ERROR_HOOK, 3)

    def _rs_hook(
        self,
        name: str,
        put: Callable[[Hooks], Callable[[Any], None]],
        arguments: str = _HOOK,
        count: int = 2,
    ) -> Callable[[HandlerT], HandlerT]:
        def decorator(handler: HandlerT) -> HandlerT:
            check_handler(name, handler, arguments, [count])
            self._rs_put_hook(name, lambda hooks: put(hooks)(handler))
            return handler

        return decorator

    def _rs_registrar(
        self, rule: str, name: str | None, options: RouteOptions
    ) -> Callable[[HandlerT], HandlerT]:
        def decorator(handler: HandlerT) -> HandlerT:
            self._rs_add_route(rule, handler, name, options)
            return handler

        return decorator

    def _rs_add_route(
        self, rule: str, handler: Callable[..., Any], name: str | None, options: RouteOptions
    ) -> None:
        raise NotImplementedError

    def _rs_add_sent(self, sent: Sent) -> None:
        raise NotImplementedError

    def _rs_put_hook(self, name: str, put: Callable[[Hooks], None]) -> None:
        raise NotImplementedError
