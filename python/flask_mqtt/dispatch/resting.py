"""Between connections the thread that calls handlers has ended, and is started for the next one."""

from __future__ import annotations

import threading


class Rests:
    """What a dispatcher knows about that."""

    __slots__ = ("beginning", "had_connection", "holds", "threads", "tokens")

    def __init__(self, threads: int = 1) -> None:
        """Start before the first connection.

        Args:
            threads: How many threads handle messages, where the dispatcher has started them.
        """
        #: Held for a look whether a thread calls handlers, and for having another one do so.
        self.beginning = threading.Lock()
        self.threads = threads
        #: Whether there was a connection's thread, with whose end the dispatcher's own ends.
        self.had_connection = False
        #: The token of a thread that has ended so, until there is another connection. Putting in
        #: and taking out need no lock.
        self.tokens: list[object] = []
        #: One for each thread that makes a connection.
        self.holds: list[None] = []
