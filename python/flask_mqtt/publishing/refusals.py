"""What the log says about messages that `publish` refuses or keeps: not a line for each."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from ..paho.constants import MQTT_ERR_NO_CONN
from ..paho.enums import MQTTErrorCode
from ..records import fields, write

if TYPE_CHECKING:
    from .._core import Client as CoreClient

logger = logging.getLogger("flask_mqtt")

#: For how long messages of a kind are only counted after a line about one, in seconds.
QUIET = 60.0


class _Kind:
    """Messages that the same became of, since there was a connection."""

    def __init__(self) -> None:
        self.told_at = 0.0
        #: All, and those since the last line.
        self.count = self.untold = 0


class Refusals:
    """Messages that `publish` could not send at once, counted until there is a connection."""

    def __init__(self) -> None:
        """Start with none."""
        #: Guards the counts; held for a look and a change, never while something is logged.
        self._lock = threading.Lock()
        self._kinds: dict[str, _Kind] = {}

    def add(self, core: CoreClient | None, topic: str, qos: int, rc: int, mid: int) -> None:
        """Count a message, and tell the log of the first of its kind, and then once in a while.

        Args:
            core: Of the client that was asked.
            topic: Of the message.
            qos: Of the message.
            rc: What `publish` returns.
            mid: The same; 0 where the message was not accepted.
        """
        # Without an identifier it was refused: in a forked child, where nobody connects again.
        is_offline = rc == MQTT_ERR_NO_CONN and mid > 0
        if is_offline:
            what = "kept until reconnect" if qos else "dropped"
        else:
            what = MQTTErrorCode(rc).name
        now = time.monotonic()
        with self._lock:
            kind = self._kinds.setdefault(what, _Kind())
            kind.count += 1
            if kind.count > 1 and now - kind.told_at < QUIET:
                kind.untold += 1
                return
            untold, since = kind.untold, now - kind.told_at
            kind.untold, kind.told_at = 0, now
        extra = fields(core, "call_refused", topic=topic, rc=int(rc), count=untold + 1)
        more = f"; {untold} more in the last {since:.0f} s" if untold else ""
        if is_offline:
            text = "Not connected: message to %r %s (QoS %s)%s"
            write(logger.warning, text, topic, what, qos, more, extra=extra)
        else:
            write(logger.error, "Publishing to %r: %s%s", topic, what, more, extra=extra)

    def end(self, core: CoreClient | None, when: str) -> None:
        """Tell the log of all that were counted, where not each had a line, and begin anew.

        Args:
            core: Of the client.
            when: What ends it, as the beginning of a sentence.
        """
        with self._lock:
            kinds, self._kinds = self._kinds, {}
        if not any(kind.untold for kind in kinds.values()):
            return
        counts = {what: kind.count for what, kind in kinds.items()}
        parts = [f"{count} {_word(what)}" for what, count in counts.items()]
        extra = fields(core, "refusals_ended", count=sum(counts.values()))
        write(
            logger.warning,
            "%s: messages published before: %s",
            when,
            ", ".join(parts),
            extra=extra,
        )


def _word(what: str) -> str:
    if what.startswith("MQTT_"):
        return f"failed with {what}"
    return what.partition(" ")[0]
