"""What this process is among the workers of its application: its slot, and what follows from it."""

from __future__ import annotations

import contextlib
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..process import slots
from ..records import fields, write
from .room import Room

if TYPE_CHECKING:
    from flask import Flask

    from ..config import Config

logger = logging.getLogger("flask_mqtt")

#: Whoever has this slot is the leader, in the mode of that name.
LEADER = 0


class Worker:
    """Gives each process of an application its own client identifier and file.

    Slot 0 has those of the configuration, so a single process is as without slots.
    """

    def __init__(self) -> None:
        """Start without a slot."""
        #: That of the configuration, and what its key is called; empty before there is one.
        self.mode = self.mode_key = ""
        #: What the processes of the application have in common; empty without a slot.
        self.identity = ""
        #: The slot of this process, where it needs one.
        self.slot: slots.Slot | None = None
        #: Another slot for the file, where a parent had the file of `slot` open.
        self._file_slot: slots.Slot | None = None
        #: Whether it is the leader because nobody can have a slot.
        self._leads_alone = False
        #: Whether a session or a file stays behind when the process ends.
        self.leaves_something = False
        #: Whether that is for publishing only.
        self._publishes = False
        #: The slots whose files cannot be used.
        self._unusable: frozenset[int] = frozenset()
        #: Whether a slot could not be taken, which is logged once.
        self._has_told = False
        #: Where it waits before it starts, and before it takes over. The latter is short, so that
        #: the next leader comes within a second.
        self._room, self._lead_room = Room(2.5), Room(0.5)

    def begin(self, app: Flask | None, values: Config, *, publishes: bool = False) -> None:
        """Take a slot, if the configuration has what processes cannot share.

        Args:
            app: The application. Without one there is no slot.
            values: Its configuration.
            publishes: Whether the process only publishes. It leaves slot 0 to those that serve the
                application, and with its clean session it must not get one with messages.
        """
        self.mode, self.mode_key = values.worker_mode, values.key("worker_mode")
        if app is None or not _needs_slot(values):
            self.end()
            return
        identity = slots.identity(app, values)
        stays = publishes or not self._publishes
        if self.slot is not None and self.identity == identity and stays:
            return
        self.end()
        # A forked child does not use a file that its parent had open at the fork.
        avoid = self._barred(identity) if values.persistence else frozenset[int]()
        try:
            if publishes:
                self.use(identity, slots.take(identity, avoid | {LEADER}, only_clean=True))
            elif self.mode == "leader":
                self._stand(identity, values)
            else:
                self.use(identity, self._take(identity, avoid))
            self._publishes = publishes
        except OSError as error:
            self._leads_alone = self.mode == "leader"
            self._tell(values, error)

    def wait_for_room(self, app: Flask | None, values: Config) -> None:
        """Wait before `begin` in a child that serves: it may take the place of another one.

        Args:
            app: As for `begin`.
            values: As for `begin`.
        """
        if app is not None and _needs_slot(values):
            # `begin` tells of a folder that cannot be used.
            with contextlib.suppress(OSError):
                self._room.wait(slots.identity(app, values), 1)

    def note_connection(self) -> None:
        """Write down that a connection begins now, for those that wait."""
        if self.slot is not None:
            # They do not count what cannot be written.
            with contextlib.suppress(OSError):
                self.slot.note_connection()

    @property
    def is_leader(self) -> bool:
        """Whether this process is the leader, in the mode of that name."""
        if self.mode != "leader":
            return False
        return self._leads_alone if self.slot is None else self.slot.number == LEADER

    @property
    def is_standby(self) -> bool:
        """Whether this process waits to become the leader."""
        return self.mode == "leader" and self.slot is not None and not self.is_leader

    def _take(self, identity: str, avoid: frozenset[int]) -> slots.Slot:
        """Take a slot: one that a parent has let go of with its session, or any other.

        Args:
            identity: What the processes of the application have in common.
            avoid: The slots whose files cannot be used.
        """
        for number in sorted(slots.inherited(identity) & avoid):
            slot = slots.try_take(identity, number)
            if slot is not None:
                self._file_slot = slots.take(identity, avoid, only_clean=True)
                return slot
        return slots.take(identity, avoid)

    def _stand(self, identity: str, values: Config) -> None:
        """Be the leader or a standby."""
        slot = slots.try_take(identity, LEADER)
        if slot is None or self._needs_file_slot(identity, values):
            if slot is None:
                # It is for publishing only, and leaves room for one that takes over.
                self._room.wait(identity)
            # What has stayed behind under another one, the leader finishes.
            avoid = {LEADER, *self._barred(identity)}
            further = slots.take(identity, avoid, only_clean=True)
            slot, self._file_slot = (further, None) if slot is None else (slot, further)
        self.use(identity, slot)
        if self.is_leader:
            self._tell_of_lead()
        else:
            text = "This worker is a standby: another one is the leader of this host"
            write(logger.info, text, extra=fields(None, "standing_by"))

    def _tell_of_lead(self) -> None:
        text = "This worker is the leader of this host, and handles the messages"
        write(logger.info, text, extra=fields(None, "leading"))

    def try_lead(self) -> slots.Slot | None:
        """Take the leader's slot if it is free, for `lead`. Otherwise return None.

        Also None where so many processes have just connected that this one waits: see `Room`.

        Raises:
            OSError: The folder of the slots cannot be used.
        """
        slot = slots.try_take(self.identity, LEADER) if self.is_standby else None
        if slot is None or self._lead_room.has_come(self.identity):
            return slot
        slot.release()
        return None

    def lead(self, slot: slots.Slot, values: Config, *, leaves: bool) -> None:
        """Be the leader. The connection as a standby has ended, and its file is closed.

        Args:
            slot: What `try_lead` has taken.
            values: The configuration.
            leaves: Whether the file has messages, for whoever takes the slot of before.
        """
        before = self.slot
        if before is not None and self._needs_file_slot(self.identity, values):
            self._file_slot, self.slot = before, None
        elif before is not None:
            self._mark(before, values, dirty=leaves)
        self.use(self.identity, slot)
        self._tell_of_lead()

    def _barred(self, identity: str) -> frozenset[int]:
        """Return the slots whose files this process does not use."""
        return slots.inherited(identity) | self._unusable

    def pass_by(self, values: Config, error: ValueError) -> bool:
        """Release a slot whose file is damaged, or none of this package's, and never take it again.

        The file stays as it is. That of slot 0 is the configured one, which is not passed by.

        Args:
            values: The configuration of the application.
            error: Why there is no connection. It has the file's name, if that is the reason.

        Returns:
            Whether it did: then `begin` takes another slot.
        """
        slot, file = self._file_slot or self.slot, self.values(values).persistence
        if slot is None or slot.number == LEADER or getattr(error, "filename", "") != file:
            return False
        self._unusable |= {slot.number}
        text = "The file of worker %s cannot be used, and is left alone. Taking another slot: %s"
        extra = fields(None, "file_passed_by", worker=slot.number, error=str(error))
        write(logger.error, text, slot.number, error, extra=extra)
        self.end()
        return True

    def _needs_file_slot(self, identity: str, values: Config) -> bool:
        return bool(values.persistence) and LEADER in slots.inherited(identity)

    def use(self, identity: str, slot: slots.Slot) -> None:
        """Have a slot from now on, in the place of any before.

        Args:
            identity: What it was taken for.
            slot: The slot.
        """
        before, self.identity, self.slot = self.slot, identity, slot
        if before is not None:
            before.release()

    def values(self, values: Config) -> Config:
        """Return the values that the client of this process gets."""
        if self.slot is None:
            return values
        own = self.values_of(values, self.slot.number)
        if self._file_slot is not None:
            file = self.values_of(values, self._file_slot.number).persistence
            own = replace(own, persistence=file)
        return own.for_publishing() if self.is_standby else own

    def values_of(self, values: Config, number: int) -> Config:
        """Return the values that the client of a process gets.

        Args:
            values: Those of the application.
            number: Of the process's slot.
        """
        if number == 0:
            return values
        changed: dict[str, Any] = {}
        if values.client_id:
            changed["client_id"] = f"{values.client_id}-{number}"
        if values.persistence is not None:
            path = Path(values.persistence)
            changed["persistence"] = str(path.with_stem(f"{path.stem}-{number}"))
        return replace(values, **changed)

    def mark(self, settings: Config) -> None:
        """Write down whether something stays behind under the slot when the process ends.

        Args:
            settings: What the client connects with.
        """
        self.leaves_something = _stays(settings)
        for slot in (self.slot, self._file_slot):
            if slot is not None:
                self._mark(slot, settings, dirty=self.leaves_something)

    def leave_nothing(self, values: Config) -> None:
        """Remove the file of a process that has only published, as it has no more messages.

        So files do not pile up of processes that end soon, such as commands. Others keep theirs,
        which the next process opens under the same slot.

        Args:
            values: The configuration of the application.
        """
        file = self.values(values).persistence
        if self.slot is None or not self._publishes or file is None:
            return
        # Otherwise it stays behind, and another process finishes it.
        with contextlib.suppress(OSError):
            Path(file).unlink(missing_ok=True)
            self.slot.mark(dirty=False)

    def _mark(self, slot: slots.Slot, values: Config, *, dirty: bool) -> None:
        try:
            slot.mark(dirty=dirty)
        except OSError as error:
            self._tell(values, error)

    def end(self) -> None:
        """Release the slot: the connection has ended, and the file is closed."""
        released = (self.slot, self._file_slot)
        self.slot, self._file_slot, self.identity = None, None, ""
        self._leads_alone = False
        for slot in released:
            if slot is not None:
                slot.release()

    def forked(self) -> None:
        """Be without a slot in a forked child: it is the parent's."""
        self.slot, self._file_slot, self.identity = None, None, ""
        self._leads_alone = False

    def _tell(self, values: Config, error: OSError) -> None:
        if self._has_told:
            return
        self._has_told = True
        extra = fields(None, "no_slot", error=str(error))
        if self.mode == "leader":
            text = "No leader can be chosen (%s): each process of this application handles messages"
            write(logger.error, text, error, extra=extra)
            return
        names = [name for name in ("client_id", "persistence") if getattr(values, name)]
        text = (
            "The processes of this application cannot be told apart (%s): further ones on this "
            "host would use the same %s"
        )
        keys = " and ".join(values.key(name) for name in names)
        write(logger.warning, text, error, keys, extra=extra)


def group_of(app: Flask, values: Config) -> str | None:
    """Return the group with which the workers of an application share messages, or None.

    Args:
        app: The application, whose name is the default.
        values: Its configuration.
    """
    if values.worker_mode != "shared":
        return None
    return values.shared_group or re.sub(r"[/+#\0]", "-", app.name)


def _needs_slot(values: Config) -> bool:
    return bool(values.client_id or values.persistence or values.worker_mode == "leader")


def _stays(settings: Config) -> bool:
    """Whether the broker keeps a session, or there is a file, when the process ends."""
    return settings.keeps_session or settings.persistence is not None
