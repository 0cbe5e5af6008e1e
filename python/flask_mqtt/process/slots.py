"""Slots: the numbers of the processes of one application on this host.

A slot is a lock on one byte of a file, which the kernel frees when the process ends, however it
ends. The byte itself says whether something stays behind under the number.

These are POSIX record locks (``fcntl.lockf``): a forked child does not inherit them, so it neither
keeps nor loses what its parent holds. They exclude other processes only, and closing any descriptor
of the file drops them. So a process opens the file once, and knows itself what it holds.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import struct
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flask import Flask

    from ..config import Config

#: How many processes of one application can have a slot at once.
MOST_SLOTS = 10_000

#: The byte whose lock is the turn, behind those of the slots.
_TURN = MOST_SLOTS

_DIRTY = b"\1"
_CLEAN = b"\0"

# `struct flock`: type, whence, start, length and process on Linux, others at the end elsewhere.
_IS_LINUX = sys.platform.startswith("linux")
_FLOCK = struct.Struct("@hhqqi" if _IS_LINUX else "@qqihh")


def identity(app: Flask, values: Config) -> str:
    """Return what the processes of one application with one configuration have in common.

    Args:
        app: The application.
        values: Its configuration, of which brokers, user and client identifier count.

    Raises:
        ValueError: A broker is malformed.
    """
    brokers = [
        (item.transport, item.host, item.port, item.path, item.username)
        for item in values.endpoints()
    ]
    known = (values.key_prefix, app.name, app.root_path, values.client_id, brokers)
    return hashlib.sha256(repr(known).encode(errors="surrogatepass")).hexdigest()[:32]


class Slot:
    """The number of this process. It is free when the process ends, or nothing refers to it."""

    def __init__(self, held: _Held) -> None:
        """Belong to what the process holds."""
        self._held: _Held | None = held
        #: From 0 on.
        self.number = held.number

    def mark(self, *, dirty: bool) -> None:
        """Write down whether something stays behind under the number.

        Args:
            dirty: Whether there is a session at the broker or a file, for the next process that
                takes the slot.

        Raises:
            OSError: It cannot be written.
            ValueError: The slot was released, or is that of the process that forked this one.
        """
        mine = _mine()
        with mine.lock:
            if self._held is None or not mine.holds(self._held):
                raise ValueError(f"slot {self.number} is not held by this process any more")
            self._held.file.mark(self.number, dirty=dirty)

    def release(self) -> None:
        """Let another process have it. A second call does nothing."""
        held, self._held = self._held, None
        if held is not None:
            # The garbage collector may run this in a thread that holds the lock.
            _left.append(held)
            _clear_up()

    def __del__(self) -> None:
        """Release it."""
        self.release()


def take(identity: str, avoid: Collection[int] = frozenset(), *, only_clean: bool = False) -> Slot:
    """Take a slot: 0, or the first in which a process has left something behind, or the first.

    So a single process always has slot 0, and a worker that was killed has a successor. A process
    has one slot for an identity, which all who ask share.

    Args:
        identity: As :func:`identity` returns it.
        avoid: Numbers that are not to be taken.
        only_clean: Take no slot under which something has stayed behind, for a process that would
            not go on with it.

    Raises:
        OSError: The folder or the file cannot be used, or all slots are taken.
    """
    _clear_up()
    mine = _mine()
    with mine.lock:
        for held in mine.held.values():
            if held.file.identity == identity and held.is_shared and held.number not in avoid:
                held.owners += 1
                return Slot(held)
        with mine.opened(identity) as file:
            left = () if only_clean else file.dirty()
            for number in (0, *left, *range(1, MOST_SLOTS)):
                taken = None if number in avoid else mine.try_lock(file, number, is_shared=True)
                if taken is None:
                    continue
                # Looked at with the lock: whoever had it may have marked it a moment ago.
                if not only_clean or not file.is_dirty(number):
                    return Slot(taken)
                mine.unlock(taken)
    raise OSError(errno.EAGAIN, f"all {MOST_SLOTS} slots are taken", str(file.path))


def try_take(identity: str, number: int) -> Slot | None:
    """Take a certain slot, or return None if a process has it, also if that is this one.

    Args:
        identity: As :func:`identity` returns it.
        number: From 0 on, below ``MOST_SLOTS``.

    Raises:
        OSError: The folder or the file cannot be used.
    """
    _clear_up()
    mine = _mine()
    with mine.lock, mine.opened(identity) as file:
        held = mine.try_lock(file, number, is_shared=False)
    return None if held is None else Slot(held)


def try_turn(identity: str) -> Slot | None:
    """Take the one turn that the processes of an application have, or None if one of them has it.

    Args:
        identity: As :func:`identity` returns it.

    Returns:
        What `Slot.release` ends. It is no slot.

    Raises:
        OSError: The folder or the file cannot be used.
    """
    return try_take(identity, _TURN)


def free_dirty(identity: str) -> list[int]:
    """Return the slots that no process has, and under which something has stayed behind.

    Args:
        identity: As :func:`identity` returns it.

    Raises:
        OSError: The folder or the file cannot be used.
    """
    _clear_up()
    mine = _mine()
    with mine.lock, mine.opened(identity) as file:
        return [
            number
            for number in file.dirty()
            if (identity, number) not in mine.held and file.is_free(number)
        ]


def inherited(identity: str) -> frozenset[int]:
    """Return the slots that the process held which this one was forked from, and theirs.

    Args:
        identity: As :func:`identity` returns it.
    """
    return frozenset(number for other, number in _mine().inherited if other == identity)


class _File:
    """The file of an identity. Closing it drops all locks that the process has there."""

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.path = _path() / f"{identity}.slots"
        self.folder = _open_folder(self.path.parent)
        try:
            # Cleaners of temporary folders, such as systemd's, pass by what is locked so.
            fcntl.flock(self.folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self.number = os.open(self.path.name, flags, 0o600, dir_fd=self.folder)
        except OSError as error:
            os.close(self.folder)
            error.filename = str(self.path)
            raise

    def close(self) -> None:
        os.close(self.number)
        os.close(self.folder)

    def lock(self, number: int) -> bool:
        try:
            fcntl.lockf(self.number, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def unlock(self, number: int) -> None:
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
        marks = os.pread(self.number, MOST_SLOTS, 0)
        return [number for number in range(len(marks)) if marks[number : number + 1] == _DIRTY]

    def is_dirty(self, number: int) -> bool:
        return os.pread(self.number, 1, number) == _DIRTY

    def mark(self, number: int, *, dirty: bool) -> None:
        os.pwrite(self.number, _DIRTY if dirty else _CLEAN, number)


class _Held:
    """A lock that this process holds, and how many have it."""

    def __init__(self, file: _File, number: int, *, is_shared: bool) -> None:
        self.file = file
        self.number = number
        self.is_shared = is_shared
        self.owners = 1


class _Process:
    """What one process holds. The lock guards it, and what is done with the files."""

    def __init__(self, before: _Process | None) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.files: dict[str, _File] = {}
        self.held: dict[tuple[str, int], _Held] = {}
        self.inherited: frozenset[tuple[str, int]] = frozenset()
        if before is not None:
            self.inherited = before.inherited.union(list(before.held))

    @contextlib.contextmanager
    def opened(self, identity: str) -> Iterator[_File]:
        """Give the file of an identity. It stays open if this process holds a lock there."""
        file = self.files.get(identity)
        if file is None:
            file = self.files[identity] = _File(identity)
        try:
            yield file
        finally:
            self.close_unused(file)

    def close_unused(self, file: _File) -> None:
        if not any(held.file is file for held in self.held.values()):
            del self.files[file.identity]
            file.close()

    def try_lock(self, file: _File, number: int, *, is_shared: bool) -> _Held | None:
        key = (file.identity, number)
        if key in self.held or not file.lock(number):
            return None
        self.held[key] = _Held(file, number, is_shared=is_shared)
        return self.held[key]

    def holds(self, held: _Held) -> bool:
        """Whether a lock is held by this process, and not by the one it was forked from."""
        return self.held.get((held.file.identity, held.number)) is held

    def let_go(self, held: _Held) -> None:
        if not self.holds(held):
            return
        held.owners -= 1
        if not held.owners:
            self.unlock(held)
            self.close_unused(held.file)

    def unlock(self, held: _Held) -> None:
        del self.held[held.file.identity, held.number]
        held.file.unlock(held.number)


_process = _Process(None)

#: What was released, until `_clear_up` has given it back.
_left: deque[_Held] = deque()


def _mine() -> _Process:
    """Return what this process holds: nothing, in a child that was forked just now."""
    if _process.pid != os.getpid():
        _be_in_child()
    return _process


def _be_in_child() -> None:
    global _process
    before, _process = _process, _Process(_process)
    # The locks are the parent's alone; the descriptors are not.
    for file in list(before.files.values()):
        file.close()


def _clear_up() -> None:
    mine = _mine()
    # Whoever has the lock looks again when done.
    while _left and mine.lock.acquire(blocking=False):
        try:
            while _left:
                mine.let_go(_left.popleft())
        finally:
            mine.lock.release()


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


os.register_at_fork(after_in_child=_be_in_child)
