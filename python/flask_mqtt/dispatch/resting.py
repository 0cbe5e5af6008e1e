"""The state of the dispatcher between connections, when its thread has ended.

The next connection starts the thread again.
"""

from __future__ import annotations

import threading


class Rests:
    """What the dispatcher has to know to start its thread again."""

    __slots__ = ("beginning", "had_connection", "holds", "threads", "tokens")

    def __init__(self, threads: int = 1) -> None:
        """Start before the first connection.

        Args:
            threads: How many threads handle messages, where the dispatcher has started them.
        """
        #: Guards the choice of the one thread that calls handlers.
        self.beginning = threading.Lock()
        self.threads = threads
        #: Whether there was a connection's thread, with whose end the dispatcher's own ends.
        self.had_connection = False
        #: The token of a thread that has ended so, until there is another connection. Putting in
        #: and taking out need no lock.
        self.tokens: list[object] = []
        #: One for each thread that makes a connection.
        self.holds: list[None] = []
