"""Calls of the C library that fail, in a process that was started with `scarcity.c` before it.

library = build(directory)
subprocess.run([...], env=os.environ | loading(library))
...
scarcity = Scarcity()          # in that process
scarcity.arm(KINDS["descriptors"], first=3)
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import TYPE_CHECKING

from . import preloads

if TYPE_CHECKING:
    from pathlib import Path

#: What may fail: making a descriptor, making a thread, an operation of a file, one of a socket.
KINDS = {"descriptors": 1, "threads": 2, "files": 4, "network": 8}

#: So many that it lasts.
LASTING = sys.maxsize

_VARIABLE = "SCARCITY_LIBRARY"


def build(directory: Path) -> Path:
    """Compile the library, and return where it is."""
    return preloads.build("scarcity", directory)


def loading(library: Path) -> dict[str, str]:
    """Return the environment of a process that is to have it."""
    return {"LD_PRELOAD": str(library), _VARIABLE: str(library)}


class Scarcity:
    """Which calls fail in this process."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(os.environ[_VARIABLE])
        self._library.scarcity_arm.argtypes = (
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_long,
            ctypes.c_int,
        )
        for name in ("scarcity_seen", "scarcity_injected"):
            getattr(self._library, name).restype = ctypes.c_long
        self._library.scarcity_last.restype = ctypes.c_char_p

    def arm(self, kinds: int, first: int, count: int = 1, disk_error: int = errno.ENOSPC) -> None:
        """Count calls of these kinds from now on, and let some fail: so many, from the first on."""
        self._library.scarcity_arm(kinds, first, count, disk_error)

    def disarm(self) -> None:
        """Let all calls work again."""
        self._library.scarcity_disarm()

    @property
    def seen(self) -> int:
        """How many calls there were since it was armed."""
        return int(self._library.scarcity_seen())

    @property
    def injected(self) -> int:
        """How many of them have failed."""
        return int(self._library.scarcity_injected())

    @property
    def what(self) -> str:
        """The first one that failed."""
        return bytes(self._library.scarcity_last()).decode()
