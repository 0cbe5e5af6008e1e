"""A client in a forked child, while its connection still belongs to the parent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ..discretion import forget
from ..paho.constants import MQTT_ERR_NO_CONN
from ..publishing.info import MQTTMessageInfo
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient
    from ..core_holder import CoreHolder
    from ..paho.enums import MQTTErrorCode
    from .members import ChildCore

logger = logging.getLogger("flask_mqtt")


class Inherited:
    """The core of a client whose connection is the parent's, until the child connects itself.

    Messages are refused: they would wait for a connection that nobody makes. Subscriptions are
    kept for it, as they always are. Everything else is the core's own.
    """

    def __init__(self, core: CoreClient) -> None:
        """Make one of a core that no other process has."""
        self.core = core
        self._has_told = False

    def __getattr__(self, name: str) -> Any:
        """Do as the core does."""
        return getattr(self.core, name)

    def publish(self, *_: Any) -> MQTTMessageInfo:
        """Refuse."""
        self._tell()
        return MQTTMessageInfo((MQTT_ERR_NO_CONN, 0))

    def subscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Keep a subscription for the connection."""
        self._tell()
        return self.core.subscribe(*request)

    def unsubscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Keep it for the connection too."""
        self._tell()
        return self.core.unsubscribe(*request)

    def _tell(self) -> None:
        if self._has_told:
            return
        self._has_told = True
        write(
            logger.warning,
            "The MQTT connection belongs to the parent process: call init_app(), or "
            "client.reconnect() and client.loop_start(), here before publishing",
            extra=fields(self.core, "forked"),
        )


class Unprepared(Inherited):
    """The same of a client that could not be prepared for the child: it refuses to connect too."""

    def __init__(self, core: CoreClient, was_connected: bool) -> None:
        """Make one for the time until it is prepared.

        Args:
            core: One that no other process has.
            was_connected: Whether the parent had a connection.
        """
        super().__init__(core)
        self.was_connected = was_connected
        #: What was in the way. A signal's handler may have left it unknown.
        self.error: BaseException = InterruptedError("interrupted")

    def connect(self, *_: Any) -> NoReturn:
        """Refuse."""
        raise OSError(self._text()) from self.error

    def _tell(self) -> None:
        if not self._has_told:
            self._has_told = True
            forget(self.error)
            extra = fields(self.core, "fork_failed", error=str(self.error))
            write(logger.error, "%s", self._text(), exc_info=self.error, extra=extra)

    def _text(self) -> str:
        return (
            "This process was forked, and its MQTT client could not be prepared for that: "
            "connect again here before publishing "
            f"({type(self.error).__name__}: {self.error})"
        )


class Standby:
    """Gives a client another core in a forked child, and until it connects there what refuses."""

    def __init__(self, holder: CoreHolder, prepare: Callable[[CoreClient], None]) -> None:
        """Start in the process that makes the client.

        Args:
            holder: Has the client's core.
            prepare: Makes the client one of a child, without a connection, with a core of its own.
        """
        self._holder = holder
        self._prepare = prepare
        #: What stands in for the core, where something does.
        self._in_place: Inherited | None = None

    def child_core(self) -> ChildCore:
        """Make a core for a child that is about to be forked. What it needs may be locked there."""
        self._holder.notice_fork()
        core = self._holder.core
        return core.for_child(), self._in_place is not None or core.is_running()

    def forked(self, child_core: ChildCore | None) -> None:
        """Be without a connection in a forked child: threads, and what they hold, are the parent's.

        Args:
            child_core: What `child_core` has made, where it was called.
        """
        if child_core is None:
            core, was_connected = self._holder.core.in_child()
            was_connected = was_connected or self._in_place is not None
        else:
            core, was_connected = child_core
            core.claim()
        # Whatever fails from here on, the parent's connection is out of reach.
        unprepared = Unprepared(core, was_connected)
        self._put(unprepared)
        try:
            self._prepare(core)
        except Exception as error:  # noqa: BLE001 - the other clients are to be prepared all the same
            unprepared.error = error
            return
        if was_connected:
            self._put(Inherited(core))
        else:
            # Without a connection before the fork, a warning would say nothing new.
            self._holder.core, self._in_place = core, None

    def try_again(self) -> None:
        """Try again to prepare the client, as the cause of the failure may be gone."""
        if isinstance(self._in_place, Unprepared):
            self.forked((self._in_place.core, self._in_place.was_connected))

    def end(self) -> None:
        """Have the core itself from now on, since it has a connection."""
        if self._in_place is not None:
            self._holder.core, self._in_place = self._in_place.core, None

    def _put(self, in_place: Inherited) -> None:
        self._holder.core, self._in_place = cast("CoreClient", in_place), in_place
