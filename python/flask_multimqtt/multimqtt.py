"""`MultiMQTT`, the extension."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, TypeVar

from flask import Flask

from flask_mqtt import Mqtt, MQTTMessageInfo
from flask_mqtt.discretion import discreet
from flask_mqtt.dynsec import commands
from flask_mqtt.extension.routes import router_of
from flask_mqtt.handlers.slots import check_handler, with_parentheses
from flask_mqtt.routing.route import RouteOptions

from .inside import Handlers, Inside
from .topic import Topic

HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
MultiMQTTT = TypeVar("MultiMQTTT", bound="MultiMQTT")

_DYNSEC_REQUESTS = "$CONTROL/dynamic-security/v1"


class MultiMQTT:
    """MQTT for a Flask application, with the interface of Flask-MultiMQTT.

    Every thread may call its methods. Each object is a client of its own.
    """

    def __init__(self, app: Flask | None = None, client_id: str | None = None) -> None:
        """Create the extension. `connect` connects it.

        Args:
            app: The Flask application.
            client_id: The client identifier, instead of ``MQTT_CLIENT_ID``.

        Raises:
            TypeError: See :meth:`init_app`.
            ValueError: See :meth:`init_app`.
        """
        self._mqtt = Inside()
        self._mqtt.own_client_id = client_id
        self._router = router_of(self._mqtt)
        #: By what was registered: the rule, the QoS, and whether it is without its own messages.
        self._topics: dict[tuple[str, int, bool], Topic] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask, client_id: str | None = None) -> None:
        """Read the configuration. It does not connect.

        Args:
            app: The Flask application.
            client_id: As in the constructor.

        Raises:
            TypeError: A key has a value of a wrong type. The message names both.
            ValueError: A key has a value that is not allowed. The message names both.
        """
        if client_id is not None:
            self._mqtt.own_client_id = client_id
        self._mqtt.init_app(app)

    def connect(self) -> None:
        """Connect, and stay connected. A second call changes nothing.

        Raises:
            RuntimeError: There is no application yet.
            OSError: The broker cannot be reached. See :meth:`flask_mqtt.Mqtt.init_app`.
        """
        if self._mqtt.app is None:
            raise RuntimeError("connect(): there is no application yet; call init_app(app) first")
        self._mqtt.is_to_connect = True
        self._mqtt.init_app(self._mqtt.app)

    def close(self) -> None:
        """End the connection with a DISCONNECT, and join the threads."""
        self._mqtt.close()

    def __enter__(self: MultiMQTTT) -> MultiMQTTT:
        """Return itself, to be closed at the end."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    # -- what there is ----------------------------------------------------------------------------

    @property
    def mqtt(self) -> Mqtt:
        """The `Mqtt` inside, which has everything else, such as ``client`` and ``stats()``."""
        return self._mqtt

    @property
    def app(self) -> Flask | None:
        """The application."""
        app: Flask | None = self._mqtt.app
        return app

    @property
    def connected(self) -> bool:
        """Whether the broker has accepted the present connection."""
        return self._mqtt.connected

    @property
    def client_id(self) -> str:
        """The client identifier."""
        return self._mqtt.client_id

    @property
    def host(self) -> str | list[str]:
        """The broker, as `Mqtt.broker_url`."""
        return self._mqtt.broker_url

    @property
    def port(self) -> int:
        """Its port."""
        return self._mqtt.broker_port

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self._mqtt.tls_enabled

    @property
    def username(self) -> str | None:
        """The user name."""
        return self._mqtt.username

    @property
    def password(self) -> str | bytes | None:
        """The password."""
        return self._mqtt.password

    @property
    def prefix(self) -> str:
        """The prefix of all topics at the broker; empty without one."""
        prefix: str | None = self._mqtt.prefix  # type: ignore[attr-defined]
        return prefix or ""

    @property
    def topics(self) -> dict[str, Topic]:
        """The topics by name. Of several with the same filter, the first one."""
        named: dict[str, Topic] = {}
        for topic in list(self._topics.values()):
            named.setdefault(topic.name, topic)
        return named

    # -- handlers ---------------------------------------------------------------------------------

    def on_connect(self, handler: Callable[[], Any], remove: bool = False) -> None:
        """Call a handler when the broker has accepted a connection.

        Args:
            handler: Called without arguments, in the order of registration.
            remove: Remove the handler instead.

        Raises:
            KeyError: The handler to remove is not registered.
            TypeError: It takes arguments.
        """
        self._register("on_connect", self._mqtt.connect_handlers, handler, remove=remove)

    def on_disconnect(self, handler: Callable[[], Any], remove: bool = False) -> None:
        """Call a handler when a connection has ended.

        Args:
            handler: As with `on_connect`.
            remove: As with `on_connect`.

        Raises:
            KeyError: As `on_connect`.
            TypeError: As `on_connect`.
        """
        self._register("on_disconnect", self._mqtt.disconnect_handlers, handler, remove=remove)

    def _register(self, name: str, handlers: Handlers, handler: Any, *, remove: bool) -> None:
        if not remove:
            check_handler(name, handler, "no arguments", [0])
            handlers.setdefault(handler)
        elif handler in handlers:
            handlers.pop(handler, None)
        else:
            raise KeyError(f"{handler!r} is no handler of {name}")

    @with_parentheses("mqtt.topic('sensors/<int:id>')")
    def topic(
        self, topic: str, nolocal: bool = False, name: str | None = None
    ) -> Callable[[HandlerT], HandlerT]:
        """Subscribe, and decorate a handler ``(client, message, **values)``.

        Args:
            topic: A filter, in which levels may be placeholders: ``<name>``, ``<int:name>``,
                ``<float:name>``, ``<uuid:name>``, or ``<path:name>`` for all that follow.
            nolocal: Leave out messages that this client publishes; MQTT 5 only.
            name: The name for `topic_for`; by default the name of the handler.

        Raises:
            TypeError: The decorator was used without parentheses, or the parameters of the handler
                do not match the topic.
            ValueError: The topic is malformed, or another one has the name.
        """

        def decorator(handler: HandlerT) -> HandlerT:
            self.register_topic(topic, nolocal=nolocal).handle(handler, name)
            return handler

        return decorator

    def register_topic(
        self, name: str, qos: int = 0, nolocal: bool = False, route_name: str | None = None
    ) -> Topic:
        """Subscribe, now or with the first connection, and again after every reconnect.

        Args:
            name: As the topic of `topic`.
            qos: The highest QoS wanted: 0, 1 or 2.
            nolocal: As with `topic`.
            route_name: The name for `topic_for`.

        Returns:
            The topic, which registers handlers. The same arguments return the same object.

        Raises:
            TypeError: An argument has a wrong type.
            ValueError: The topic is malformed, or another one has the name.
        """
        key = (name, qos, nolocal)
        topic = self._topics.get(key)
        if topic is None:
            made = Topic(self._router, name, RouteOptions(qos, no_local=nolocal), self._full)
            topic = self._topics.setdefault(key, made)
            if topic is not made:
                # Another thread was faster.
                made.drop()
        if route_name is not None:
            topic.call(route_name)
        return topic

    def topic_for(self, name: str, absolute: bool = False, **values: Any) -> str:
        """Return the topic of a name with the given values, as ``url_for`` does for URLs.

        Args:
            name: The name of the handler, or the given name.
            absolute: Whether the topic includes the prefix.
            values: The values, by the names of the placeholders.

        Raises:
            ValueError: The name is unknown, or a value is missing or not allowed.
        """
        _, plain = self._router.topic_for(name, values)
        return self._full(plain) if absolute else plain

    def _full(self, topic: str) -> str:
        full: str = self._mqtt.topic_prefix.add_to_filters(topic)
        return full

    # -- messages ---------------------------------------------------------------------------------

    def publish(
        self,
        topic: str,
        payload: Any,
        qos: int = 0,
        retain: bool = False,
        no_prefix: bool = False,
    ) -> MQTTMessageInfo:
        """Publish a message.

        Args:
            topic: Topic name, without the prefix.
            payload: A dict or list is sent as JSON; everything else as with
                :meth:`flask_mqtt.Mqtt.publish`.
            qos: Quality of service: 0, 1 or 2.
            retain: Whether the broker keeps the message for later subscribers.
            no_prefix: Leave the prefix out. A topic with ``$`` never gets it.

        Returns:
            As :meth:`flask_mqtt.Mqtt.publish`.

        Raises:
            TypeError: The payload has another type.
            ValueError: The topic or QoS is not allowed.
        """
        return self._mqtt.publish(topic, payload, qos, retain, no_prefix=no_prefix)

    # -- dynamic security -------------------------------------------------------------------------

    @discreet
    def dynsec_add_client(
        self,
        username: str,
        password: str,
        clientid: str | None = None,
        roles: Iterable[str | tuple[str, int]] | None = None,
    ) -> None:
        """Have mosquitto's plugin create a client, and give it roles.

        Like the other methods for the plugin, it does not wait for a response. Use
        :class:`flask_mqtt.dynsec.DynamicSecurity` to wait, and to get the plugin's errors.

        Args:
            username: Its user name.
            password: Its password.
            clientid: The only client identifier that it may use; by default any.
            roles: Existing roles: names, or pairs of a name and a priority.
        """
        given = [
            commands.add_client_role(username, *((role,) if isinstance(role, str) else role))
            for role in roles or ()
        ]
        self._command(commands.create_client(username, password, clientid=clientid), *given)

    def dynsec_delete_client(self, username: str) -> None:
        """Have the plugin delete a client.

        Args:
            username: Its user name.
        """
        self._command(commands.delete_client(username))

    def dynsec_create_role(self, role: str) -> None:
        """Have the plugin create a role.

        Args:
            role: Its name.
        """
        self._command(commands.create_role(role))

    def dynsec_delete_role(self, role: str) -> None:
        """Have the plugin delete a role.

        Args:
            role: Its name.
        """
        self._command(commands.delete_role(role))

    def dynsec_add_role_acl(
        self, role: str, acltype: str, topic: str, allow: bool, priority: int | None = None
    ) -> None:
        """Have the plugin add an ACL to a role.

        Args:
            role: The role's name.
            acltype: ``publishClientSend``, ``publishClientReceive``, ``subscribePattern`` and so
                on.
            topic: The topic or filter, without the prefix.
            allow: Whether it is allowed, or denied.
            priority: Of several ACLs for a topic, the one with the highest priority counts.
        """
        given = {} if priority is None else {"priority": priority}
        self._command(commands.add_role_acl(role, acltype, self._full(topic), allow=allow, **given))

    def dynsec_remove_role_acl(self, role: str, acltype: str, topic: str) -> None:
        """Have the plugin remove an ACL from a role.

        Args:
            role: As with `dynsec_add_role_acl`.
            acltype: As there.
            topic: As there.
        """
        self._command(commands.remove_role_acl(role, acltype, self._full(topic)))

    def _command(self, *made: commands.Command[Any]) -> None:
        wanted = [command.to_json(str(number)) for number, command in enumerate(made)]
        self._mqtt.publish(_DYNSEC_REQUESTS, json.dumps({"commands": wanted}))
