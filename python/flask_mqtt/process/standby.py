"""A client in a forked child, while its connection still belongs to the parent."""

from __future__ import annotations

import contextlib
import enum
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, cast

from ..discretion import forget
from ..paho.constants import MQTT_ERR_NO_CONN
from ..publishing.info import MQTTMessageInfo
from ..records import fields, write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._core import Client as CoreClient
    from ..core_holder import CoreHolder
    from ..paho.enums import MQTTErrorCode
    from .members import ChildCore

logger = logging.getLogger("flask_mqtt")


class Need(enum.Enum):
    """What a process needs that waits for the first use of a client."""

    #: To publish: it may do without subscriptions, and without a thread that calls handlers.
    PUBLISHING = enum.auto()
    #: Subscriptions are changed, which may be meant for later.
    SUBSCRIBING = enum.auto()
    #: Everything.
    SERVING = enum.auto()


#: Connects, as far as that is needed; returns whether there is a core that can be used.
FirstUse = Callable[[Need], bool]


class Inherited:
    """The core of a client that waits for its first use in this process.

    With that it connects itself, if the client is an extension's. Otherwise messages are refused:
    they would wait for a connection that nobody makes. Subscriptions are kept for it, as they
    always are. Everything else is the core's own.
    """

    def __init__(self, core: CoreClient, holder: CoreHolder, first_use: FirstUse) -> None:
        """Make one of a core that no other process has.

        Args:
            core: The core.
            holder: Has another one, as soon as the client has connected.
            first_use: Connects.
        """
        self.core = core
        self._holder = holder
        self._first_use = first_use
        self._has_told = False

    def __getattr__(self, name: str) -> Any:
        """Do as the core does."""
        return getattr(self.core, name)

    def publish(self, *message: Any) -> MQTTMessageInfo | None:
        """Publish with what there is since the first use, or refuse."""
        now = self._now(Need.PUBLISHING)
        if now is not None:
            return now.publish(*message)
        self._tell()
        return MQTTMessageInfo((MQTT_ERR_NO_CONN, 0))

    def subscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Subscribe with what there is since the first use, or keep it for the connection."""
        return self._with_subscriptions().subscribe(*request)

    def unsubscribe(self, *request: Any) -> tuple[MQTTErrorCode, int | None]:
        """Do the same."""
        return self._with_subscriptions().unsubscribe(*request)

    def _with_subscriptions(self) -> CoreClient:
        now = self._now(Need.SUBSCRIBING)
        if now is None:
            self._tell()
        return now or self.core

    def _now(self, need: Need) -> CoreClient | None:
        """Return what takes the place of this one, if the client connects."""
        # A child that was forked in C has this one still.
        self._holder.notice_fork()
        if self._is_in_place and not self._first_use(need):
            return None
        now = self._holder.core
        return None if self._is_in_place else now

    @property
    def _is_in_place(self) -> bool:
        return self._holder.core is cast("CoreClient", self)

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


class Waiting(Inherited):
    """The core of an extension's client that has not connected in this process, and waits."""

    def _tell(self) -> None:
        """Say nothing: why it does not connect is logged elsewhere, if it is a failure."""


class PublishingOnly(Waiting):
    """The core of a client that is connected, and that no thread calls handlers for."""

    def __init__(
        self,
        core: CoreClient,
        holder: CoreHolder,
        first_use: FirstUse,
        take_reports: Callable[[], object],
    ) -> None:
        """Make one of a core that connects.

        Args:
            core: The core.
            holder: Has another one, as soon as the client has subscriptions too.
            first_use: Subscribes.
            take_reports: Logs what the core reports.
        """
        super().__init__(core, holder, first_use)
        self._take_reports = take_reports

    def publish(self, *message: Any) -> MQTTMessageInfo | None:
        """Publish."""
        if self.core.is_foreign():
            return super().publish(*message)
        if self.core.has_events():
            self._take_reports()
        return self.core.publish(*message)


class Unprepared(Inherited):
    """The same of a client that could not be prepared for the child: it refuses to connect too."""

    def __init__(self, core: CoreClient, holder: CoreHolder, was_connected: bool) -> None:
        """Make one for the time until it is prepared.

        Args:
            core: One that no other process has.
            holder: Has another one then.
            was_connected: Whether the parent had a connection.
        """
        super().__init__(core, holder, lambda _: False)
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
    """Gives a client another core in a forked child, and a stand-in until it connects."""

    def __init__(
        self,
        holder: CoreHolder,
        prepare: Callable[[CoreClient, bool], bool],
        first_use: FirstUse,
        take_reports: Callable[[], object],
    ) -> None:
        """Start in the process that makes the client.

        Args:
            holder: Has the client's core.
            prepare: Makes the client one of a child, without a connection, with a core of its own.
                The other argument is whether the parent had a connection. Returns whether the
                client connects by itself.
            first_use: Connects where the client is used for the first time.
            take_reports: Logs what the core reports, and drops what is for handlers.
        """
        self._holder = holder
        self._prepare = prepare
        self._first_use = first_use
        self._take_reports = take_reports
        #: What stands in for the core, where something does.
        self._in_place: Inherited | None = None
        #: Whether that stays there for now, and what is to be done after that.
        self._stays = False
        self._then: Callable[[], None] | None = None

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
        self._stays, self._then = False, None
        # Whatever fails from here on, the parent's connection is out of reach.
        unprepared = Unprepared(core, self._holder, was_connected)
        self._put(unprepared)
        try:
            connects_itself = self._prepare(core, was_connected)
        except Exception as error:  # noqa: BLE001 - the other clients are to be prepared all the same
            unprepared.error = error
            return
        if connects_itself or was_connected:
            kind = Waiting if connects_itself else Inherited
            self._put(kind(core, self._holder, self._first_use))
        else:
            # Without a connection before the fork, a warning would say nothing new.
            self._holder.core, self._in_place = core, None

    def try_again(self) -> None:
        """Try again to prepare the client, as the cause of the failure may be gone."""
        if isinstance(self._in_place, Unprepared):
            self.forked((self._in_place.core, self._in_place.was_connected))

    def wait(self) -> None:
        """Connect with the first use only."""
        self.end()
        self._put(Waiting(self._holder.core, self._holder, self._first_use))

    @contextlib.contextmanager
    def stays(self) -> Iterator[None]:
        """Leave what stands in for the core in place meanwhile: the caller connects.

        So threads that publish find it, and wait for the connection too.
        """
        self._stays = True
        try:
            yield
        finally:
            self._stays, then, self._then = False, self._then, None
            if then is not None:
                then()

    @property
    def waits(self) -> bool:
        """Whether the client waits for its first use."""
        return type(self._in_place) is Waiting and not self._stays

    def publish_only(self) -> None:
        """Do without a thread that calls handlers, and subscribe with the first use of that."""
        if self._stays:
            self._then = self.publish_only
            return
        self.end()
        core, holder = self._holder.core, self._holder
        self._put(PublishingOnly(core, holder, self._first_use, self._take_reports))

    def end(self) -> None:
        """Have the core itself from now on, since it has a connection."""
        if self._stays:
            self._then = self.end
            return
        if self._in_place is not None:
            self._holder.core, self._in_place = self._in_place.core, None

    def _put(self, in_place: Inherited) -> None:
        self._holder.core, self._in_place = cast("CoreClient", in_place), in_place
