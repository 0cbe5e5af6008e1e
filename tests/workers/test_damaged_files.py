"""A file that a worker has left behind is damaged."""

from __future__ import annotations

import os
import signal
import sqlite3
from typing import TYPE_CHECKING

import pytest

from support.workers import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.mosquitto import Mosquitto
    from support.workers import Workers

pytestmark = pytest.mark.slow

#: Bytes in a page of SQLite.
_PAGE = 4096

PASSED_BY = "ERROR The file of worker 1 cannot be used, and is left alone. Taking another slot: "

#: An extension that connects in the background, in the place of the script's.
IN_BACKGROUND = "mqtt = Mqtt(connect_async=True)"


def replace(file: Path) -> None:
    """Have something else in the place of a file."""
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    file.write_text("no database " * 1000)


def overwrite(file: Path) -> None:
    """Overwrite all of a file but its first page."""
    # What is still in the log comes into the file.
    database = sqlite3.connect(file)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(_PAGE)
        opened.write(b"\xff" * (size - _PAGE))


@pytest.mark.parametrize("before", ["", IN_BACKGROUND], ids=["at_once", "in_background"])
@pytest.mark.parametrize("damage", [replace, overwrite])
def test_a_worker_passes_by_a_damaged_file(
    workers: Workers, own: Mosquitto, tmp_path: Path, damage: Callable[[Path], None], before: str
) -> None:
    config = {"client_id": "site", "persistence": str(tmp_path / "messages.db")}
    first, second = workers.pair(own.port, **config)
    assert second.client_id == "site-1"
    # It does not finish what the other one has left.
    first.stop()
    second.kill()
    file = tmp_path / "messages-1.db"
    damage(file)
    content = file.read_bytes()
    for number in (2, 3):
        worker = workers.start(own.port, before=before, **config)
        assert worker.client_id == f"site-{number}"
        [error] = worker.having(PASSED_BY)
        assert error.startswith("MQTT_PERSISTENCE: ")
        assert str(file) in error
        assert (tmp_path / f"messages-{number}.db").exists()
    # SQLite counts in the first page that it has opened the file.
    assert file.read_bytes()[_PAGE:] == content[_PAGE:]
    # With the file out of the way, the next worker has the slot again.
    file.rename(tmp_path / "away")
    assert workers.start(own.port, **config).client_id == "site-1"


def test_the_first_file_is_not_passed_by(workers: Workers, own: Mosquitto, tmp_path: Path) -> None:
    replace(tmp_path / "messages.db")
    config = {"client_id": "site", "persistence": str(tmp_path / "messages.db")}
    worker = workers.start(own.port, **config)
    assert worker.process.wait(PATIENCE) == 1
    worker.wait_for("ValueError: MQTT_PERSISTENCE: this file is not one of this package's")
    assert worker.having("ERROR The file") == []


def test_a_standby_passes_it_by_and_a_leader_tries_again(
    workers: Workers, own: Mosquitto, tmp_path: Path
) -> None:
    # Messages have it with a backslash before the quote.
    folder = tmp_path / 'mq"tt'
    folder.mkdir()
    replace(folder / "messages-1.db")
    config = {"client_id": "site", "persistence": str(folder / "messages.db")}
    first, second = workers.pair(own.port, worker_mode="leader", **config)
    assert second.client_id == "site-2"
    assert len(second.having(PASSED_BY)) == 1
    second.stop()
    first.kill()
    replace(folder / "messages.db")
    os.kill(second.process.pid, signal.SIGCONT)
    begin = "ERROR The leader cannot connect: MQTT_PERSISTENCE: "
    assert 'mq\\"tt/messages.db"' in second.wait_for(begin, timeout=PATIENCE)[0]
    (folder / "messages.db").unlink()
    second.tell("until(lambda: mqtt.connected, 60); say('leads', mqtt.is_leader)")
    assert second.wait_for("leads", timeout=PATIENCE) == ["True"]
