"""How many messages a broker sends before it waits for acknowledgements, as far as that shows."""

from __future__ import annotations

#: So often, at most, the window is trusted before it is looked at again.
_MOST_TRUST = 1_024


class Window:
    """Learns how many messages the broker has in flight to this client at once.

    MQTT does not tell that. It shows when a batch waits for more messages in vain, and more come as
    soon as those are acknowledged. From then on, a batch need not wait when so many are there. Now
    and then one waits all the same, in case it is wrong: after twice as many batches each time that
    it was right. Threads may use it at once: what they spoil is a guess.
    """

    __slots__ = ("_asked", "_has_waited", "_left", "_size", "_trust", "_until")

    def __init__(self) -> None:
        """Know nothing."""
        self._size: int | None = None
        #: How many batches are not to wait in a row, and how many of these are left.
        self._trust = self._left = 0
        #: What the window seems to be, if a message comes until then.
        self._asked: int | None = None
        self._until = 0.0
        #: Whether the batch that shows it has waited.
        self._has_waited = False

    @property
    def size(self) -> int | None:
        """How many messages it has, or None where that is not known."""
        return self._size

    def arrived(self, count: int, now: float) -> bool:
        """Note a message. Returns whether it seems to be the last one before an acknowledgement.

        Args:
            count: How many are not acknowledged, with this one.
            now: The time, in seconds of the monotonic clock.
        """
        if self._asked is not None:
            self._decide(self._asked, came=now <= self._until)
        if self._size is None:
            return False
        if count > self._size:
            self._size = None
            return False
        return count == self._size and self._left > 0

    def _decide(self, size: int, *, came: bool) -> None:
        self._asked = None
        if not came:
            # The broker had none to send.
            self._size = None
        elif self._size != size:
            self._size = size
            self._trust = self._left = 1
        elif self._has_waited:
            self._trust = min(2 * self._trust, _MOST_TRUST)
            self._left = self._trust

    def acknowledged(self, count: int, silence: float, wait: float, now: float) -> None:
        """Note that a batch was acknowledged that was not full.

        Args:
            count: How many messages were not acknowledged before.
            silence: For how long none had come, in seconds; 0 where the window was the reason.
            wait: How long a batch waits for more, in seconds.
            now: The time.
        """
        self._asked = None
        if silence == 0:
            self._left -= 1
        elif silence < wait / 2 or count == 0:
            return
        self._has_waited = silence > 0
        self._asked, self._until = count, now + wait / 2

    def forget_question(self) -> None:
        """Note that a batch was acknowledged which was full: nothing follows from that."""
        self._asked = None
