"""What this process is among the workers of its application: its slot, and what follows from it."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..paho.constants import MQTTv5
from ..process import slots
from ..records import fields, write

if TYPE_CHECKING:
    from flask import Flask

    from ..config import Config

logger = logging.getLogger("flask_mqtt")


class Worker:
    """Gives each process of an application its own client identifier and file.

    Slot 0 has those of the configuration, so a single process is as without slots.
    """

    def __init__(self) -> None:
        """Start without a slot."""
        #: What the processes of the application have in common; empty without a slot.
        self.identity = ""
        #: The slot of this process, where it needs one.
        self.slot: slots.Slot | None = None
        #: Whether a slot could not be taken, which is logged once.
        self._has_told = False

    def begin(self, app: Flask | None, values: Config) -> None:
        """Take a slot, if the configuration has what processes cannot share.

        Args:
            app: The application. Without one there is no slot.
            values: Its configuration.
        """
        if values.worker_mode == "leader":
            return
        if app is None or not _needs_slot(values):
            self.end()
            return
        identity = slots.identity(app, values)
        if self.slot is not None and self.identity == identity:
            return
        self.end()
        # A forked child does not use a file that its parent had open at the fork.
        avoid = slots.inherited(identity) if values.persistence else frozenset[int]()
        try:
            self.use(identity, slots.take(identity, avoid))
        except OSError as error:
            self._tell(values, error)

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
        return values if self.slot is None else self.values_of(values, self.slot.number)

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
        if self.slot is None:
            return
        try:
            self.slot.mark(dirty=_stays(settings))
        except OSError as error:
            self._tell(settings, error)

    def end(self) -> None:
        """Release the slot: the connection has ended, and the file is closed."""
        slot, self.slot, self.identity = self.slot, None, ""
        if slot is not None:
            slot.release()

    def forked(self) -> None:
        """Be without a slot in a forked child: it is the parent's."""
        self.slot, self.identity = None, ""

    def _tell(self, values: Config, error: OSError) -> None:
        if self._has_told:
            return
        self._has_told = True
        names = [name for name in ("client_id", "persistence") if getattr(values, name)]
        text = (
            "The processes of this application cannot be told apart (%s): further ones on this "
            "host would use the same %s"
        )
        keys = " and ".join(values.key(name) for name in names)
        extra = fields(None, "no_slot", error=str(error))
        write(logger.warning, text, error, keys, extra=extra)


def _needs_slot(values: Config) -> bool:
    return bool(values.client_id or values.persistence)


def _stays(settings: Config) -> bool:
    properties = settings.connect_properties if settings.protocol_version == MQTTv5 else None
    expires = getattr(properties, "SessionExpiryInterval", 0)
    return bool(settings.persistence or not settings.clean_session or expires)
