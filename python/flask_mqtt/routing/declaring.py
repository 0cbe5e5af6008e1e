"""The decorators for routes, which an extension and a blueprint have."""

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

        A value that its converter does not take makes the message none of the route's.

        Args:
            rule: A filter in which levels may be placeholders: ``<name>`` or ``<converter:name>``,
                as in Flask's rules. ``<path:name>`` stands for all levels that follow.
            name: What `topic_for` finds the route by; by default the name of the handler.
            qos: The highest QoS wanted: 0, 1 or 2. Routes with the same filter share a
                subscription, with the highest.
            no_local: For MQTT 5: leave out what this client publishes.
            retain_as_published: For MQTT 5: keep the retain flag of messages.
            retain_handling: For MQTT 5: whether retained messages are sent: 0 always, 1 for a new
                subscription, 2 never.
            share: The group of a shared subscription.
            json: Whether a parameter annotated with dict or list gets the decoded payload.
            no_prefix: The rule is one of full topics, without ``MQTT_PREFIX``.
            retry: Whether, and how often, the handler is called again when it has failed. Later
                messages on the same topic wait for that, and others do not.
            dead_letter: The topic on which messages are published that the route cannot handle:
                those with an invalid payload, and those for which the handler has failed in the
                end; ``{topic}`` in it is the message's topic.
            timeout: After how many seconds a call of the handler is reported, which goes on.
            response: For MQTT 5: whether what the handler returns is published on the response
                topic of the message, if there is one, with its correlation data and QoS. None is
                no response.

        Raises:
            TypeError: The decorator was used without parentheses, an option has a wrong type, or
                the handler lacks a parameter for a value, or has one that nothing gives a value to.
            ValueError: The rule is malformed, an option is not allowed, or another route has the
                name, or the same filter with other options.
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

        The messages are acknowledged together when it has returned. If its list is annotated with
        what a payload is decoded as, ``list[Reading]`` for example, it gets these.

        Args:
            rule: As with `topic`. The values of placeholders are not passed.
            max: Most messages at once. A batch with 4 MiB of payloads is complete too.
            wait: For how many seconds the first message of a batch waits for others. It does not
                wait where the broker sends no more before an acknowledgement.
            name: As with `topic`, and so on.
            qos: See there.
            no_local: See there.
            retain_as_published: See there.
            retain_handling: See there.
            share: See there.
            json: Whether the list may be one of dicts or lists, decoded from JSON.
            no_prefix: See there.
            retry: Whether, and how often, the handler is called again with the same list when it
                has failed. Later messages wait for that.
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
        """Say what the application publishes, for ``flask mqtt asyncapi``. It changes nothing else.

        Args:
            rule: The topics, as in the rule of a route.
            payload: The type of the payload, as a route's handler would be annotated with; None
                for anything.
            name: What the document calls it.
            qos: The QoS.
            retain: Whether the messages are retained.
            no_prefix: Whether the topics have no ``MQTT_PREFIX``.
            summary: What it is, in a sentence.

        Raises:
            TypeError: JSON has no form for the payload, or an argument has a wrong type.
            ValueError: The rule is malformed, or there is no such QoS.
        """
        told = {"qos": qos, "retain": retain, "no_prefix": no_prefix}
        self._rs_add_sent(Sent.of(rule, payload, name=name, summary=summary, **told))

    @with_parentheses("mqtt.before_message()")
    def before_message(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message)`` that is called before each route's handler.

        If it returns something else than None, the handler is not called, and that is the result.
        """
        return self._rs_hook("before_message", lambda hooks: hooks.before.append)

    @with_parentheses("mqtt.after_message()")
    def after_message(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message)`` that is called after each route's handler.

        It is called where the handler has raised an exception too. The last one registered is
        called first.
        """
        return self._rs_hook("after_message", lambda hooks: hooks.after.append)

    @with_parentheses("mqtt.on_invalid()")
    def on_invalid(self) -> Callable[[HandlerT], HandlerT]:
        """Decorate a handler ``(client, message, error)`` of messages with an invalid payload.

        It is called in the place of the line in the log. The error is an :class:`InvalidPayload`.
        The handler of a blueprint comes before that of the extension, and the last one registered
        is the one.
        """

        def put(hooks: Hooks) -> Callable[[Any], None]:
            return lambda handler: setattr(hooks, "invalid", handler)

        return self._rs_hook("on_invalid", put, _ERROR_HOOK, 3)

    def errorhandler(self, error: type[Exception]) -> Callable[[HandlerT], HandlerT]:
        """Decorate a function ``(client, message, error)`` for an exception of routes' handlers.

        The exception counts as handled then. The handler for the nearest class is called, that of
        a blueprint before that of the extension.

        Args:
            error: A class of exceptions.

        Raises:
            TypeError: It is none.
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
