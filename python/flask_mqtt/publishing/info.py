"""What `publish` returns: how a message fares."""

from __future__ import annotations

import weakref
from collections.abc import Generator
from typing import Any, TypeVar

from .._core import Client as CoreClient
from .._core import Delivery, reason_name
from ..handlers.scope import is_handler_of
from ..paho.constants import MQTT_ERR_QUEUE_SIZE, MQTT_ERR_SUCCESS
from ..paho.enums import MQTTErrorCode
from ..waiting import settled, wait_until_settled

InfoT = TypeVar("InfoT", bound="MQTTMessageInfo")


class MQTTMessageInfo(tuple[MQTTErrorCode, int]):  # noqa: SLOT001 - a tuple can have no slots
    """The tuple ``(rc, mid)`` that `publish` returns, and what became of the message since.

    ``await mqtt.publish(topic, payload, qos=1)`` goes on when the broker has acknowledged the
    message, in every event loop. ``wait_for_publish`` is the same for threads. Neither may be used
    in a handler of the same client.

    Identifiers are used again. So one of QoS 0 is right only if it is first asked before 65,535
    more messages are published; one of QoS 1 or 2 always is.

    As a tuple it is what `publish` found. Two of them are equal only if they are the same one.
    """

    __hash__ = tuple.__hash__

    # There is no __new__ and no __init__: every `publish` would call them.

    #: What became of the message. For QoS 0 it is looked for when somebody asks, not by `publish`.
    _delivery: Delivery | None = None
    #: Whether the file has the message, which is sent only after that.
    _storing: Delivery | None = None
    #: Where to look: the same for all messages of a client, so it is an attribute of their class.
    #: Messages that were not accepted for sending have this class itself.
    _core: weakref.ref[CoreClient] | None = None

    @property
    def rc(self) -> MQTTErrorCode:
        """How it stands now.

        ``MQTT_ERR_NO_CONN`` becomes ``MQTT_ERR_SUCCESS`` when the message is sent.
        ``MQTT_ERR_CONN_LOST``: the connection ended before a message of QoS 0 was written. Where
        the broker refused it (MQTT 5): ``MQTT_ERR_ACL_DENIED``, ``MQTT_ERR_NOT_SUPPORTED``,
        ``MQTT_ERR_PAYLOAD_SIZE``, and ``MQTT_ERR_UNKNOWN`` for every other reason. A message that
        is kept for a broker that takes it becomes ``MQTT_ERR_SUCCESS`` when it is sent there.
        """
        delivery = self._told()
        rc = None if delivery is None else delivery.rc()
        return MQTTErrorCode(self[0] if rc is None else rc)

    @property
    def mid(self) -> int:
        """The packet identifier; 0 for a message that was not accepted."""
        return self[1]

    def is_published(self) -> bool:
        """Whether the message is written (QoS 0) or acknowledged by the broker (QoS 1 and 2).

        Raises:
            ValueError: It was not accepted: too much waits for the broker.
            RuntimeError: It was not accepted for another reason, is lost, waits for a connection,
                or the broker refused it.
        """
        self._raise_failure()
        delivery = self._told()
        return delivery is not None and delivery.is_published()

    def wait_for_publish(self, timeout: float | None = None) -> None:
        """Wait until the message is written (QoS 0) or acknowledged by the broker (QoS 1 and 2).

        A lost connection that is made again does not end the wait, but `disconnect` does.

        Args:
            timeout: Seconds to wait; None for as long as it takes. `is_published` tells afterwards.

        Raises:
            ValueError: It was not accepted: too much waits for the broker.
            RuntimeError: It was not accepted for another reason, is lost, waits for a connection,
                or the broker refused it; or this is a handler of the same client.
        """
        self._raise_failure()
        delivery = self._waited_for()
        if wait_until_settled(delivery, None if timeout is None else max(0.0, timeout)):
            self._raise_pending(delivery)
        self._raise_failure()

    def __await__(self: InfoT) -> Generator[Any, None, InfoT]:
        """Wait as `wait_for_publish` does, also for a connection; the result is this object.

        Raises:
            ValueError: As `wait_for_publish`.
            RuntimeError: As `wait_for_publish`.
        """
        return self._settled().__await__()

    async def _settled(self: InfoT) -> InfoT:
        if self._told() is None:
            self._raise_failure()
        delivery = self._waited_for()
        if delivery.is_pending():
            await settled(delivery)
            self._raise_pending(delivery)
        self._raise_failure()
        return self

    def _told(self) -> Delivery | None:
        if self._delivery is None and self._core is not None and self[0] == MQTT_ERR_SUCCESS:
            core = self._core()
            self._delivery = None if core is None else core.delivery(self.mid)
        return self._delivery

    def _waited_for(self) -> Delivery:
        """Return what to wait for, or raise RuntimeError if this thread must not wait."""
        delivery = self._told()
        if delivery is None:
            raise RuntimeError(f"message {self.mid} has no client, or none any more")
        if is_handler_of(delivery):
            raise RuntimeError(
                "a handler must not wait for a message of its own client, which may have to call "
                "this handler first: use on_publish, or wait in another thread"
            )
        return delivery

    def _raise_pending(self, delivery: Delivery) -> None:
        if delivery.is_pending():
            raise RuntimeError(
                f"message {self.mid} is not acknowledged, and the connection was ended: the "
                "message is kept for the next one"
            )

    def _raise_failure(self) -> None:
        rc = self.rc
        if rc == MQTT_ERR_SUCCESS:
            return
        if rc == MQTT_ERR_QUEUE_SIZE:
            raise ValueError(f"the message was not accepted ({rc.name}): too much is queued")
        delivery = self._told()
        code = None if delivery is None else delivery.refusal()
        if delivery is None or code is None:
            raise RuntimeError(f"message {self.mid} is not published: {rc.name}")
        reason = reason_name(code)
        if delivery.is_set_aside():
            raise RuntimeError(
                f"the broker does not take message {self.mid}: {reason} (code {code}); the message "
                "is kept for a connection that does"
            )
        raise RuntimeError(f"the broker refused message {self.mid}: {reason} (code {code})")

    def __eq__(self, other: object) -> bool:
        """Compare as a tuple with every other tuple.

        Identifiers are used again, so that two infos with the same one are of two messages.
        """
        return self is other if isinstance(other, MQTTMessageInfo) else tuple.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        """Return the opposite of ``==``."""
        return not self == other

    def __repr__(self) -> str:
        """Show how it stands."""
        return f"<MQTTMessageInfo rc={self.rc.name} mid={self.mid}>"

    def __str__(self) -> str:
        """Show the tuple."""
        return tuple.__repr__(self)

    def __reduce__(self) -> tuple[type, tuple[tuple[MQTTErrorCode, int]]]:
        """Copy and pickle as the tuple."""
        return tuple, ((self[0], self[1]),)


def infos_of(core: CoreClient) -> type[MQTTMessageInfo]:
    """Make the class of a client's infos, which do not keep it alive. The core asks for it once."""
    attributes = {"_core": weakref.ref(core), "__doc__": MQTTMessageInfo.__doc__}
    return type("MQTTMessageInfo", (MQTTMessageInfo,), attributes)
