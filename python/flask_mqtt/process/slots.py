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
import hashlib
import os
import threading
from collections import deque
from typing import TYPE_CHECKING

from .slots_file import MOST_SLOTS, TURN, SlotsFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from flask import Flask

    from ..config import Config


#: For how long `has_room` and `is_quiet` count a connection. It is a bit more than one second, as
#: the broker gets some of them later than others.
COUNTED_SECONDS = 1.25


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
            self._file(mine).mark(self.number, dirty=dirty)

    def note_connection(self) -> None:
        """Write down that a connection begins now, for `has_room` and `is_quiet`.

        Raises:
            OSError: It cannot be written.
            ValueError: As for `mark`.
        """
        mine = _mine()
        with mine.lock:
            self._file(mine).note_connection(self.number)

    def _file(self, mine: _Process) -> SlotsFile:
        if self._held is None or not mine.holds(self._held):
            raise ValueError(f"slot {self.number} is not held by this process any more")
        return self._held.file

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
    return try_take(identity, TURN)


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


def has_room(identity: str, further: int = 0) -> bool:
    """Whether one more process of an application may connect now, if it need not do so at once.

    In `COUNTED_SECONDS`, one connection may begin for each slot that a process has, and one more.

    Args:
        identity: As :func:`identity` returns it.
        further: How many processes count that have no slot.

    Raises:
        OSError: The folder or the file cannot be used.
    """
    mine = _mine()
    with mine.lock, mine.opened(identity) as file:
        taken = file.count_others() + mine.count(file)
        return file.count_connections(COUNTED_SECONDS) < taken + further + 1


def is_quiet(identity: str) -> bool:
    """Whether no process of an application has begun a connection in the last `COUNTED_SECONDS`.

    Args:
        identity: As :func:`identity` returns it.

    Raises:
        OSError: The folder or the file cannot be used.
    """
    mine = _mine()
    with mine.lock, mine.opened(identity) as file:
        return not file.count_connections(COUNTED_SECONDS)


def inherited(identity: str) -> frozenset[int]:
    """Return the slots that the process held which this one was forked from, and theirs.

    Args:
        identity: As :func:`identity` returns it.
    """
    return frozenset(number for other, number in _mine().inherited if other == identity)


class _Held:
    """A lock that this process holds, and how many have it."""

    def __init__(self, file: SlotsFile, number: int, *, is_shared: bool) -> None:
        self.file = file
        self.number = number
        self.is_shared = is_shared
        self.owners = 1


class _Process:
    """What one process holds. The lock guards it, and what is done with the files."""

    def __init__(self, before: _Process | None) -> None:
        self.pid = os.getpid()
        self.lock = threading.RLock()
        self.files: dict[str, SlotsFile] = {}
        self.held: dict[tuple[str, int], _Held] = {}
        self.inherited: frozenset[tuple[str, int]] = frozenset()
        if before is not None:
            self.inherited = before.inherited.union(list(before.held))

    @contextlib.contextmanager
    def opened(self, identity: str) -> Iterator[SlotsFile]:
        """Give the file of an identity. It stays open if this process holds a lock there."""
        file = self.files.get(identity)
        if file is None:
            file = self.files[identity] = SlotsFile(identity)
            if file.is_new:
                file.remove_others(self.files)
        try:
            yield file
        finally:
            self.close_unused(file)

    def close_unused(self, file: SlotsFile) -> None:
        if not any(held.file is file for held in self.held.values()):
            del self.files[file.identity]
            file.close()

    def try_lock(self, file: SlotsFile, number: int, *, is_shared: bool) -> _Held | None:
        key = (file.identity, number)
        if key in self.held or not file.lock(number):
            return None
        self.held[key] = _Held(file, number, is_shared=is_shared)
        return self.held[key]

    def count(self, file: SlotsFile) -> int:
        """Return how many slots of an identity this process has."""
        return sum(held.file is file and held.number != TURN for held in self.held.values())

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


os.register_at_fork(after_in_child=_be_in_child)
