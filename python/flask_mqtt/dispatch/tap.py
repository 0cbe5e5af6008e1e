"""What happens with a client, for observers: the package's own, as metrics and traces are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _core
from ..discretion import from_outside
from ..guards import goes_on
from ..handlers.naming import name_of
from ..paho.constants import MQTT_ERR_SUCCESS
from ..records import fields, write
from ..waiting import ends_thread

if TYPE_CHECKING:
    from .._core import Client as CoreClient
    from .._core import MQTTMessage

logger = logging.getLogger("flask_mqtt")


#: Messages on this topic have passwords of clients, for mosquitto's plugin.
_COMMANDS = "$CONTROL/dynamic-security/v1"
#: Stands for them.
_HIDDEN = "***"


class Connected(NamedTuple):
    """The broker has accepted the connection."""

    session_present: bool


class Disconnected(NamedTuple):
    """A connection has ended."""

    #: As `on_disconnect` gets it with MQTT 3.1.1: 0 where the application ended it.
    rc: int
    #: That of the broker's DISCONNECT (MQTT 5), if there was one.
    reason_code: int | None


class AttemptFailed(NamedTuple):
    """The broker was not reached, or has refused the connection."""

    #: The code of the CONNACK, or None without one.
    code: int | None


class MessageIn(NamedTuple):
    """A message has come, and its handlers are called next, or have it in their queue."""

    message: MQTTMessage


class HandlerDone(NamedTuple):
    """A handler has returned, or raised an exception."""

    #: Its module and name.
    name: str
    #: How long it took, waiting included.
    seconds: float
    failed: bool
    #: What it was called for, if that was a message.
    message: MQTTMessage | None


class MessageOut(NamedTuple):
    """`publish` has returned."""

    #: The arguments. The payload is hidden where it has passwords: see `message_out`.
    topic: str
    payload: object
    qos: int
    retain: bool
    #: What it has returned: whether the message was accepted, and its packet identifier.
    rc: int
    mid: int


class Acknowledged(NamedTuple):
    """The broker has acknowledged a message, or one of QoS 0 was written."""

    mid: int
    #: 0, or the reason code of PUBACK, PUBREC or PUBCOMP (MQTT 5).
    reason_code: int


class Subscribed(NamedTuple):
    """The broker has answered a SUBSCRIBE."""

    mid: int
    #: For each filter the QoS, or a refusal: 128 and above.
    granted: tuple[int, ...]


class Dropped(NamedTuple):
    """Something was dropped that had come."""

    #: As in `stats`: `incoming_overflow`, `log_lines` or `no_handler`.
    reason: str
    #: How many. 0 when dropping begins; the number follows when it ends.
    number: int


Occurrence = (
    Connected
    | Disconnected
    | AttemptFailed
    | MessageIn
    | HandlerDone
    | MessageOut
    | Acknowledged
    | Subscribed
    | Dropped
)
Observer = Callable[[Occurrence], object]


class Tap:
    """Calls observers with what happens, in the thread in which it does: more than one at a time.

    Callers check for observers only once for a batch or a run of calls. If the application's own
    thread is interrupted, observers may be told the same twice.
    """

    def __init__(self, core: CoreClient, changed: Callable[[], None]) -> None:
        """Start without observers.

        Args:
            core: The client's.
            changed: Called when there may be the first one, or none any more.
        """
        self._core = core
        self._changed = changed
        #: Never replaced, because callers that check it often keep a reference.
        self.observers: list[Observer] = []
        #: Those that have failed.
        self._failed: list[Observer] = []

    def add(self, observer: Observer) -> None:
        """Call an observer with what happens from now on, until it is removed.

        Args:
            observer: What it raises is logged the first time, and goes no further. It keeps what
                happens waiting, and no lock is held meanwhile: it may call the client.
        """
        self.observers.append(observer)
        self._changed()

    def remove(self, observer: Observer) -> None:
        """Call an observer no more. A call that runs in another thread goes on.

        Raises:
            ValueError: There is no such observer.
        """
        try:
            self.observers.remove(observer)
        except ValueError:
            raise ValueError(f"observer {name_of(observer)}: it was not added") from None
        if observer in self._failed:
            self._failed.remove(observer)
        self._changed()

    def tell(self, what: Occurrence) -> None:
        """Call all observers.

        Raises:
            BaseException: In a thread of the application's, what is meant to end that, as Ctrl-C.
        """
        for observer in tuple(self.observers):
            try:
                observer(what)
            except BaseException as error:  # noqa: PERF203 - the others are called all the same
                if goes_on(error) or ends_thread(error):
                    raise
                self._tell_of_failure(observer, error)

    def tell_event(self, kind: int, *values: Any) -> None:
        """Call all observers, if it is for them, with an event of the core's.

        Args:
            kind: Its kind, which is not that of reports on messages.
            values: What comes with it.
        """
        meaning = _MEANINGS.get(kind)
        what = None if meaning is None else meaning(*values)
        if what is not None:
            self.tell(what)

    def handler_done(
        self, name: str, seconds: float, failed: bool, message: MQTTMessage | None
    ) -> None:
        """Tell of a handler: see `HandlerDone`."""
        self.tell(HandlerDone(name, seconds, failed, message))

    def forked(self, core: CoreClient) -> None:
        """Tell of another client's from now on, in a forked child.

        Args:
            core: That of this process.
        """
        self._core = core

    def _tell_of_failure(self, observer: Observer, error: BaseException) -> None:
        if observer in self._failed:
            return
        self._failed.append(observer)
        name = name_of(observer)
        write(
            logger.exception,
            "MQTT observer %s failed: it is called again, but is not logged again if it fails",
            name,
            exc_info=from_outside(error),
            extra=fields(self._core, "observer_failed", handler=name),
        )


def message_out(
    topic: str, payload: object, qos: int, retain: bool, rc: int, mid: int
) -> MessageOut:
    """Return what observers are told of a message: without commands for dynamic security."""
    return MessageOut(topic, _HIDDEN if topic == _COMMANDS else payload, qos, retain, rc, mid)


def _connack(session_present: int, code: int, _properties: Any) -> Occurrence:
    return Connected(bool(session_present)) if code == 0 else AttemptFailed(code)


def _replaced() -> Occurrence:
    return Disconnected(MQTT_ERR_SUCCESS, None)


def _connect_failed() -> Occurrence:
    return AttemptFailed(None)


def _subscribed(mid: int, granted: tuple[int, ...], _properties: Any) -> Occurrence:
    return Subscribed(mid, granted)


def _notice(_level: int, _text: str, values: dict[str, Any]) -> Occurrence | None:
    if values["event"] not in ("dropping", "dropping_ended"):
        return None
    return Dropped(values["reason"], values.get("count", 0))


#: The end of a connection is not among them: the code that calls `on_disconnect` reports it.
_MEANINGS: dict[int, Callable[..., Occurrence | None]] = {
    _core.EVENT_CONNACK: _connack,
    _core.EVENT_REPLACED: _replaced,
    _core.EVENT_CONNECT_FAILED: _connect_failed,
    _core.EVENT_SUBSCRIBED: _subscribed,
    _core.EVENT_NOTICE: _notice,
}
