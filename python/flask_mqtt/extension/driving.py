"""How the extension calls its client: as Flask-MQTT does, and with a few calls beyond.

So an application's tests may put something else in the place of `flask_mqtt.Client`, or of one of
its methods, and see these calls. A client that is none of ours sees no others, but for `configure`.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..client import Client
from ..client.base import Parts, parts_of
from ..client.handlers import check_route
from ..handlers.slots import SLOTS
from ..paho.constants import MQTTv5
from ..paho.enums import CallbackAPIVersion
from .prefix import for_client

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .._core import Client as CoreClient
    from ..config import Config
    from .prefix import TopicPrefix

#: As it is before a test puts something else there.
_OURS = Client.subscribe


def new_client() -> Client:
    """Make a client of the class that the package has now: a test may have put another there."""
    package: Any = import_module("flask_mqtt")
    client: Client = package.Client(CallbackAPIVersion.VERSION1)
    return client


def is_ours(client: Any) -> bool:
    """Whether a client is one of ours, and not something in its place.

    What only claims to be one, as a mock with a specification does, is none.
    """
    return issubclass(type(client), Client)


def parts(client: Any) -> Parts | None:
    """Return the parts of a client, or None for a stand-in."""
    return parts_of(client) if is_ours(client) else None


def core_of(client: Any) -> CoreClient | None:
    """Return the core of a client, for records; None for a stand-in."""
    own = parts(client)
    return None if own is None else own.holder.core


def adopt(client: Client, values: Config, *, again: bool = False) -> Config:
    """Give a client all values of the configuration. Returns those to connect with."""
    own = parts(client)
    return values if own is None else own.settings.adopt(for_client(values), again=again)


def runs_with(client: Client, values: Config) -> bool:
    """Whether a client of ours is connected or connecting with these values already."""
    return parts_of(client).connection.runs_with(for_client(values))


def strip_topics(client: Any, prefix: TopicPrefix) -> None:
    """Have the handlers of a client get topics without a prefix."""
    own = parts(client)
    if own is not None:
        own.dispatcher.strip_topics(prefix.strip if prefix else None)


def set_handler(client: Any, topic: str, handler: Callable[..., Any], *, no_prefix: bool) -> None:
    """Set the handler of a filter: of full topics, or of those without the prefix."""
    own = parts(client)
    if own is None or not no_prefix:
        client.message_callback_add(topic, handler)
        return
    check_route(topic, handler)
    own.holder.notice_fork()
    own.dispatcher.add_route(topic, handler, full=True)


def introduce(
    client: Any, values: Config, on_connect: Callable[..., None], on_disconnect: Callable[..., None]
) -> None:
    """Set on a client that is none of ours what `init_app` of Flask-MQTT sets on it."""
    client._client_id = values.client_id.encode()  # noqa: SLF001 - as Flask-MQTT does
    try:
        client.transport = values.transport
        client.protocol = values.protocol_version
        client.clean_session = values.clean_session
    except AttributeError:
        client._transport = values.transport  # noqa: SLF001
        client._protocol = values.protocol_version  # noqa: SLF001
        client._clean_session = values.clean_session  # noqa: SLF001
    client.on_connect = on_connect
    client.on_disconnect = on_disconnect


def set_will(client: Client, values: Config) -> None:
    """Set the will, if the configuration has one."""
    values = for_client(values)
    if values.last_will_topic is None:
        return
    client.will_set(
        values.last_will_topic,
        values.last_will_message,
        values.last_will_qos,
        values.last_will_retain,
        **given(properties=values.last_will_properties),
    )


def set_up(client: Client, values: Config, settings: Config) -> None:
    """Set the user, TLS, and what Flask-MQTT has no method for.

    Args:
        client: The client.
        values: What the extension says.
        settings: The same, with what was set on the client where the extension says nothing.
    """
    if values.username is not None:
        client.username_pw_set(values.username, values.password)
    if values.tls_context is not None:
        client.tls_set_context(values.tls_context)
    elif values.tls_enabled:
        client.tls_set(
            ca_certs=settings.tls_ca_certs,
            certfile=settings.tls_certfile,
            keyfile=settings.tls_keyfile,
            cert_reqs=settings.tls_cert_reqs,
            tls_version=settings.tls_version,
            ciphers=settings.tls_ciphers,
            **given(
                keyfile_password=settings.tls_keyfile_password, alpn_protocols=settings.tls_alpn
            ),
        )
        if settings.tls_insecure:
            client.tls_insecure_set(settings.tls_insecure)
    further = values.further()
    # What stands in for a client may lack it.
    if further and hasattr(client, "configure"):
        client.configure(**further)


def connect(client: Client, settings: Config, *, later: bool) -> Any:
    """Call `connect`, or for ``later`` `connect_async`, and return what that returns."""
    further = given(
        bind_address=settings.bind_address,
        # A session is clean with every connection, as before MQTT 5, and not with the first alone.
        clean_start=settings.clean_session if settings.protocol_version == MQTTv5 else None,
        properties=settings.connect_properties,
    )
    call = client.connect_async if later else client.connect
    where: Any = settings.broker_url
    return call(where, settings.broker_port, keepalive=settings.keepalive, **further)


def hold(client: Client, on: bool) -> None:
    """Have a client of ours keep subscriptions, and not make them, or make them from now on."""
    own = parts(client)
    if own is not None:
        own.holder.notice_fork()
        own.holder.core.hold(on)


def is_wanted(client: Client) -> bool:
    """Whether a client of ours is connected, or connects."""
    own = parts(client)
    return own is not None and own.connection.is_wanted


def leave(client: Client) -> bool:
    """End the connection of a client of ours, and close its file.

    Returns:
        Whether messages are left that the broker has not acknowledged.
    """
    parts_of(client).connection.close()
    return has_messages(client)


def has_messages(client: Client) -> bool:
    """Whether a client of ours has messages that the broker has not acknowledged."""
    stats = parts_of(client).holder.core.stats()
    return bool(stats["queued"] or stats["in_flight"] or stats["set_aside"])


def start_loop(client: Client) -> None:
    """Call `loop_start`, so that there are as many threads as the settings say."""
    own = parts(client)
    if own is not None and own.has_other_threads():
        client.loop_stop()
    try:
        client.loop_start()
    except (OSError, RuntimeError):
        # Nobody would hear of the connection.
        client.disconnect()
        raise


def publish_only(client: Client) -> None:
    """Do without threads for a connection that was made."""
    parts_of(client).connection.publish_only(is_open=True)


def go_on_trying(client: Client, *, publishes: bool) -> bool:
    """Go on trying to connect in the background, where that has failed.

    Returns:
        Whether it does. It does not where the settings allow no attempt.
    """
    connection = parts_of(client).connection
    if publishes:
        connection.publish_only(is_open=False)
    else:
        start_loop(client)
    return connection.is_wanted


def making_first_use(client: Client) -> AbstractContextManager[None]:
    """Have other threads that publish wait for the connection that is made meanwhile."""
    return parts_of(client).connection.making_first_use()


def wait_for_first_use(client: Client) -> None:
    """Connect when a client is used for the first time."""
    parts_of(client).connection.wait_for_first_use()


def subscribes_itself(client: Any) -> bool:
    """Whether a client subscribes again with each connection, and nobody watches `subscribe`."""
    return is_ours(client) and "subscribe" not in vars(client) and type(client).subscribe is _OURS


def add_handler(
    client: Client, sub: str, handler: Callable[..., Any], *, no_prefix: bool
) -> Callable[[], None]:
    """Have a handler called for the messages of a subscription, besides others.

    What stands in for a client has one handler for each.

    Args:
        client: The client.
        sub: The filter, which may be that of a shared subscription.
        handler: Called as ``(client, userdata, message)``.
        no_prefix: Whether the filter is one of full topics.

    Returns:
        What undoes that.
    """
    own = parts(client)
    if own is None:
        client.message_callback_add(sub, handler)
        return functools.partial(client.message_callback_remove, sub)
    own.holder.notice_fork()
    number = own.dispatcher.add_route_beside(sub, handler, full=no_prefix)
    return functools.partial(own.dispatcher.remove_route, sub, number, full=no_prefix)


def call_directly(name: str, handler: Callable[..., Any], *arguments: Any) -> None:
    """Call a handler with as many of the arguments as it takes."""
    handler(*arguments[: SLOTS[name].fit(handler).before])


def given(**arguments: Any) -> dict[str, Any]:
    """Return those arguments that are not None."""
    return {name: value for name, value in arguments.items() if value is not None}
