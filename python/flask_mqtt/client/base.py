"""The parts of a client, which all of its methods work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..connection.connection import Connection
from ..connection.settings import ConnectionSettings
from ..core_holder import CoreHolder
from ..dispatch.dispatcher import Dispatcher
from ..dispatch.events import Events
from ..dispatch.tap import Observer
from ..handlers.registry import HandlerRegistry
from ..process.forks import notice
from ..process.members import join
from ..publishing.publisher import Publisher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._core import Client as CoreClient
    from ..paho.enums import CallbackAPIVersion


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts, each of which has a state of its own."""

    #: Holds the core, which a forked child replaces.
    holder: CoreHolder
    #: All handlers except those for messages.
    registry: HandlerRegistry
    #: Reacts to each event.
    events: Events
    #: The threads that call handlers, and the handlers of messages.
    dispatcher: Dispatcher
    #: The tap's observers. `publish` looks at this list itself, without a call.
    observers: list[Observer]
    #: The settings of the next connection.
    settings: ConnectionSettings
    #: Makes and ends connections.
    connection: Connection
    #: Waits with messages that cannot be sent at once.
    publisher: Publisher

    def has_other_threads(self) -> bool:
        """Whether `loop_start` has started other threads than the settings say."""
        wanted = self.settings.config.handler_threads
        return self.dispatcher.started and self.dispatcher.handler_threads != wanted


class Base:
    """What all methods of a client have in common: its parts, and no other state."""

    _parts: Parts


def parts_of(client: Base) -> Parts:
    """Return the parts of a client, for the extension."""
    return client._parts  # noqa: SLF001 - an attribute of the class above


def make_parts(
    client: Base,
    core: CoreClient,
    version: CallbackAPIVersion,
    userdata: Any,
    attributes: Mapping[str, Any],
) -> Parts:
    """Make the parts of a client without a connection. They take part in forks from now on.

    Args:
        client: The client, which does not have them yet.
        core: What has the connection.
        version: Which arguments handlers get.
        userdata: Given to every handler.
        attributes: What the ``on_*`` attributes are in a class without methods of these names.

    Raises:
        TypeError: A method of the client's class cannot be called for its event.
    """
    holder = CoreHolder(core, notice)
    registry = HandlerRegistry(client, version, attributes)
    events = Events(client, holder, registry, userdata)
    settings = ConnectionSettings(holder, registry)
    connection = Connection(holder, registry, events, settings)
    # Before the client has them: another thread may fork as soon as it does.
    join(connection)
    return Parts(
        holder,
        registry,
        events,
        events.dispatcher,
        events.dispatcher.tap.observers,
        settings,
        connection,
        Publisher(holder),
    )
