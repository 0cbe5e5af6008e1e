"""The file with the slots of one application, in a folder of this user's."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import stat
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

#: How many slots there can be: each is a byte.
MOST_SLOTS = 10_000

#: A byte behind those of the slots, whose lock the processes take in turn.
TURN = MOST_SLOTS

#: Another one: who has the file open shares its lock, so that nobody removes the file.
_OPEN = MOST_SLOTS + 1

#: Behind these bytes is when connections were begun: so many times for each slot, which only the
#: process writes that has the slot. The clock is one for all processes, since the system began.
_TIMES = MOST_SLOTS + 8
_SLOT_TIMES = struct.Struct("@4d")

#: How many files are looked at when a new one is made, to remove those that nobody needs.
_MOST_OLD = 1_000

#: How often a file is opened again which is just being removed, and the seconds between.
_ATTEMPTS, _ATTEMPT_SECONDS = 100, 0.01

_SUFFIX = ".slots"

_DIRTY = b"\1"
_CLEAN = b"\0"

# `struct flock`: type, whence, start, length and process on Linux, others at the end elsewhere.
_IS_LINUX = sys.platform.startswith("linux")
_FLOCK = struct.Struct("@hhqqi" if _IS_LINUX else "@qqihh")


class SlotsFile:
    """The file of an identity. Closing it drops all locks that the process has there."""

    def __init__(self, identity: str) -> None:
        """Open it, and make it if there is none.

        Args:
            identity: What the processes of an application have in common.

        Raises:
            OSError: The folder or the file cannot be used. The message names it.
        """
        self.identity = identity
        self.path = _path() / f"{identity}{_SUFFIX}"
        self.folder = _open_folder(self.path.parent)
        try:
            # Cleaners of temporary folders, such as systemd's, pass by what is locked so.
            fcntl.flock(self.folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
            self.number, self.is_new = self._open()
        except OSError as error:
            os.close(self.folder)
            error.filename = str(self.path)
            raise

    def _open(self) -> tuple[int, bool]:
        """Open the file, and share the lock that keeps others from removing it.

        Returns:
            The descriptor, and whether the file was made.
        """
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(_ATTEMPT_SECONDS)
            is_new = not _exists(self.path.name, self.folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            opened = os.open(self.path.name, flags, 0o600, dir_fd=self.folder)
            if _lock(opened, fcntl.LOCK_SH, _OPEN) and os.fstat(opened).st_nlink:
                return opened, is_new
            os.close(opened)
        raise OSError(errno.EAGAIN, "another process is removing it")

    def remove_others(self, kept: Collection[str]) -> None:
        """Remove files that no process has open, and that say nothing.

        An application whose client identifier is another one at each start leaves one each time.

        Args:
            kept: Identities whose files stay: closing one of this process's would drop its locks.
        """
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in itertools.islice(entries, _MOST_OLD)]
        for name in names:
            if name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) not in kept:
                # Others may have removed it meanwhile, or it is no file.
                with contextlib.suppress(OSError):
                    self._remove(name)

    def _remove(self, name: str) -> None:
        opened = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.folder)
        try:
            if _lock(opened, fcntl.LOCK_EX, _OPEN) and _DIRTY not in os.pread(
                opened, MOST_SLOTS, 0
            ):
                os.unlink(name, dir_fd=self.folder)
        finally:
            os.close(opened)

    def close(self) -> None:
        """Close it, and drop the locks."""
        os.close(self.number)
        os.close(self.folder)

    def lock(self, number: int) -> bool:
        """Lock a byte. Returns False where another process has it."""
        return _lock(self.number, fcntl.LOCK_EX, number)

    def unlock(self, number: int) -> None:
        """Undo `lock`."""
        fcntl.lockf(self.number, fcntl.LOCK_UN, 1, number)

    def is_free(self, number: int) -> bool:
        """Whether no other process has a slot. Looking takes no lock, which others would meet."""
        kind, start = fcntl.F_WRLCK, (number, 1)
        asked = (
            _FLOCK.pack(kind, os.SEEK_SET, *start, 0)
            if _IS_LINUX
            else _FLOCK.pack(*start, 0, kind, os.SEEK_SET)
        )
        answer = fcntl.fcntl(self.number, fcntl.F_GETLK, asked)
        found: int = _FLOCK.unpack_from(answer)[0 if _IS_LINUX else 3]
        return found == fcntl.F_UNLCK

    def dirty(self) -> list[int]:
        """Return the slots under which something has stayed behind."""
        marks = os.pread(self.number, MOST_SLOTS, 0)
        return [found.start() for found in re.finditer(_DIRTY, marks)]

    def is_dirty(self, number: int) -> bool:
        """Whether something has stayed behind under a slot."""
        return os.pread(self.number, 1, number) == _DIRTY

    def note_connection(self, number: int) -> None:
        """Write down that a connection begins now. Only who has the slot does so."""
        place = _TIMES + number * _SLOT_TIMES.size
        found = os.pread(self.number, _SLOT_TIMES.size, place).ljust(_SLOT_TIMES.size, b"\0")
        _, *newer = sorted(_SLOT_TIMES.unpack(found))
        os.pwrite(self.number, _SLOT_TIMES.pack(*newer, time.monotonic()), place)

    def count_connections(self, seconds: float) -> int:
        """Return how many connections were begun in the last seconds, of up to 4 for each slot."""
        now = time.monotonic()
        # Times of before the system was started anew may be later than now.
        return sum(now - seconds < at <= now for times in self._times() for at in times)

    def count_others(self) -> int:
        """Return how many slots other processes have, of those that have begun a connection."""
        return sum(not self.is_free(number) for number in range(len(self._times())))

    def _times(self) -> list[tuple[float, ...]]:
        """Return when connections were begun, for each slot."""
        found = os.pread(self.number, MOST_SLOTS * _SLOT_TIMES.size, _TIMES)
        complete = len(found) - len(found) % _SLOT_TIMES.size
        return list(_SLOT_TIMES.iter_unpack(found[:complete]))

    def mark(self, number: int, *, dirty: bool) -> None:
        """Write down whether something stays behind under a slot."""
        os.pwrite(self.number, _DIRTY if dirty else _CLEAN, number)


def _lock(descriptor: int, kind: int, number: int) -> bool:
    """Lock a byte of a file. Returns False where another process has a lock that excludes it."""
    try:
        fcntl.lockf(descriptor, kind | fcntl.LOCK_NB, 1, number)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            return False
        raise
    return True


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"flask-mqtt-{os.geteuid()}"


def _open_folder(path: Path) -> int:
    with contextlib.suppress(FileExistsError):
        # Whatever the umask is, nobody else gets in.
        path.mkdir(mode=0o700)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
        found = "it is a symbolic link or no folder"
    else:
        found = _strange(os.fstat(opened))
        if not found:
            return opened
        os.close(opened)
    raise PermissionError(
        errno.EPERM,
        f"{found}, but must be a folder of user {os.geteuid()} that nobody else can use: remove "
        "it, or set TMPDIR to another folder",
        str(path),
    )


def _strange(found: os.stat_result) -> str:
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}"
    mode = stat.S_IMODE(found.st_mode)
    return f"its mode is {mode:04o}" if mode & 0o077 else ""


def _find_folder() -> None:
    # Python looks for it once, under a lock that a forked child would find held for ever.
    with contextlib.suppress(OSError):
        tempfile.gettempdir()


os.register_at_fork(before=_find_folder)
