"""The core of a client, as all parts of the client reach it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._core import Client as CoreClient


class CoreHolder:
    """Has the core of a client. In a forked child that becomes another one."""

    __slots__ = ("_notice", "core")

    def __init__(self, core: CoreClient, notice: Callable[[], None]) -> None:
        """Hold a core.

        Args:
            core: That of this process, or what stands in for it.
            notice: Does in a forked child what is to be done there, and gives this another core.
        """
        self.core = core
        self._notice = notice

    def notice_fork(self) -> None:
        """Be without a connection where this process was forked, without Python's hooks too.

        Every method begins with this before it asks the core for anything, as locks of the
        parent's may be held for ever here. `publish` need not: its core tells it.
        """
        if self.core.is_foreign():
            self._notice()
