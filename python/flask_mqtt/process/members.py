"""The objects that take part in forks and in the end of the process."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import Client as CoreClient

#: A core, and whether the parent had a connection.
ChildCore = tuple["CoreClient", bool]


class Member(Protocol):
    """An object that belongs to one process, and has to end before it."""

    def child_core(self) -> ChildCore:
        """Make a core for a child that is about to be forked. What it needs may be locked there."""

    def is_foreign(self) -> bool:
        """Whether it is the parent's, and this process a forked child."""

    def forked(self, child_core: ChildCore | None) -> None:
        """Be without a connection in a forked child.

        Args:
            child_core: What `child_core` has made, where it was called.
        """

    def halt(self) -> None:
        """Have no further handler begin, but for those of what handlers have kept for later."""

    def finish_handling(self, until: float) -> None:
        """Wait for the handlers that run, and for what they have kept, after `halt`.

        Args:
            until: Until when, in seconds of the monotonic clock.
        """

    def refuse_new(self) -> None:
        """Accept no more messages of QoS 1 and 2."""

    def begin_end(self, until: float) -> Callable[[], None]:
        """Begin to disconnect. Returns a function that waits for the end.

        Args:
            until: Until when that waits, in seconds of the monotonic clock.
        """

    def report_lost(self) -> None:
        """Log how many messages end with the process."""


_members: weakref.WeakKeyDictionary[Member, None] = weakref.WeakKeyDictionary()


def join(member: Member) -> None:
    """Have something prepared for forked children, and ended with the process, from now on."""
    _members[member] = None


def leave(member: Member) -> None:
    """Undo `join`."""
    _members.pop(member, None)


def living() -> list[Member]:
    """Return the members that there are."""
    # Other threads may make some in the meantime, which no iterator takes.
    return [member for reference in _members.keyrefs() if (member := reference()) is not None]
