"""Waits with messages that cannot be sent at once: until there is room, or a file has them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ..handlers.scope import is_handler
from ..paho.constants import MQTT_ERR_ERRNO, MQTT_ERR_QUEUE_SIZE
from ..records import fields, write
from ..waiting import wait_for, wait_until_settled
from .info import MQTTMessageInfo

if TYPE_CHECKING:
    from .._core import Delivery
    from ..core_holder import CoreHolder

logger = logging.getLogger("flask_mqtt")

#: How long at least a message may take to get into the file, in seconds: one that may not take any
#: time can never be kept.
_STORING_TIMEOUT = 1.0


class Publisher:
    """Does the waiting for `publish`."""

    def __init__(self, holder: CoreHolder) -> None:
        """Publish with the core that is held."""
        self._holder = holder

    def publish_when_there_is_room(self, timeout: float, *message: Any) -> MQTTMessageInfo:
        """Publish a message for which there was no room.

        Args:
            timeout: Seconds to wait for some.
            message: The arguments of `publish`.

        Returns:
            What `publish` returns.
        """
        self._holder.notice_fork()
        deadline = time.monotonic() + timeout
        while True:
            core = self._holder.core
            # The waiter comes first, so that no room is missed between a refusal and the wait.
            waiter = core.room()
            info = core.publish(*message)
            left = deadline - time.monotonic()
            if info is not None:
                return info
            in_vain = core.is_stuck() and is_handler(core)
            if left <= 0 or in_vain or not core.is_open():
                core.turn_away()
                return MQTTMessageInfo((MQTT_ERR_QUEUE_SIZE, 0))
            wait_for(waiter, left)

    def when_stored(
        self, info: MQTTMessageInfo, storing: Delivery, timeout: float
    ) -> MQTTMessageInfo:
        """Wait until the file of ``MQTT_PERSISTENCE`` has a message.

        Args:
            info: What `publish` has found.
            storing: What becomes of storing the message.
            timeout: Seconds to wait, at least 1 s.

        Returns:
            The same, or ``MQTT_ERR_ERRNO`` where the message is not stored and was taken back.
        """
        core = self._holder.core
        timeout = max(timeout, _STORING_TIMEOUT)
        deadline = time.monotonic() + timeout
        while storing.is_pending():
            left = deadline - time.monotonic()
            if left <= 0 and core.withdraw(info.mid, storing):
                extra = fields(core, "not_stored", mid=info.mid, seconds=timeout)
                text = "Message %s was not stored within %s s"
                write(logger.error, text, info.mid, timeout, extra=extra)
                return MQTTMessageInfo((MQTT_ERR_ERRNO, 0))
            try:
                wait_until_settled(storing, max(left, 0.0))
            except BaseException:
                # As Ctrl-C. Who hears of no acceptance shall find none.
                core.withdraw(info.mid, storing)
                raise
        return info if storing.is_published() else MQTTMessageInfo((MQTT_ERR_ERRNO, 0))
