"""The folder of the slots, which is the user's alone; and whose processes have slots together."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from flask_mqtt.config import Config
from flask_mqtt.process import slots

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("slots_folder")


def test_the_folder_is_the_users_alone(slots_folder: Path) -> None:
    before = os.umask(0)
    try:
        slot = slots.take("app")
    finally:
        os.umask(before)
    assert slots_folder.stat().st_mode & 0o777 == 0o700
    [file] = slots_folder.iterdir()
    assert file.name == "app.slots"
    assert file.stat().st_mode & 0o777 == 0o600
    assert slot.number == 0


def test_cleaners_of_temporary_folders_pass_by(slots_folder: Path) -> None:
    slot = slots.take("app")
    folder = os.open(slots_folder, os.O_RDONLY)
    try:
        # As systemd-tmpfiles asks before it removes what is old.
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        slot.release()
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(folder)


def test_a_link_in_its_place_is_refused(slots_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    slots_folder.symlink_to(target)
    with pytest.raises(PermissionError, match=f"symbolic link.*TMPDIR.*{slots_folder.name}"):
        slots.take("app")
    assert list(target.iterdir()) == []


def test_a_file_in_its_place_is_refused(slots_folder: Path) -> None:
    slots_folder.write_text("")
    with pytest.raises(PermissionError, match="no folder"):
        slots.take("app")


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o702])
def test_a_folder_that_others_can_use_is_refused(slots_folder: Path, mode: int) -> None:
    slots_folder.mkdir()
    slots_folder.chmod(mode)
    with pytest.raises(PermissionError, match=f"its mode is {mode:04o}"):
        slots.free_dirty("app")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_the_folder_of_another_user_is_refused(slots_folder: Path) -> None:
    slots_folder.mkdir(mode=0o700)
    os.chown(slots_folder, 12_345, 12_345)
    with pytest.raises(PermissionError, match="belongs to user 12345"):
        slots.take("app")


def test_a_link_in_the_place_of_the_file_is_refused(slots_folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("as it was")
    slots_folder.mkdir(mode=0o700)
    (slots_folder / "app.slots").symlink_to(target)
    with pytest.raises(OSError, match=re.escape(str(slots_folder / "app.slots"))):
        slots.take("app")
    assert target.read_text() == "as it was"


def test_a_place_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    # As root may write everywhere, a file system that nobody can write to.
    monkeypatch.setattr(tempfile, "tempdir", "/proc")
    with pytest.raises(OSError, match="/proc/flask-mqtt-"):
        slots.take("app")


def test_all_slots_are_taken(monkeypatch: pytest.MonkeyPatch, slots_folder: Path) -> None:
    monkeypatch.setattr(slots, "MOST_SLOTS", 3)
    kept = [slots.try_take("app", number) for number in range(3)]
    with pytest.raises(OSError, match="all 3 slots are taken"):
        slots.take("app")
    assert None not in kept


# -- the identity ---------------------------------------------------------------------------------


def test_the_same_application_has_the_same_identity() -> None:
    values = Config(broker_url="a", client_id="c", key_prefix="MQTT")
    again = Config(broker_url="a", client_id="c", key_prefix="MQTT", password="secret")
    assert slots.identity(Flask("app"), values) == slots.identity(Flask("app"), again)
    assert re.fullmatch("[0-9a-f]{32}", slots.identity(Flask("app"), values))


@pytest.mark.parametrize(
    "other",
    [
        Config(broker_url="b", client_id="c", key_prefix="MQTT"),
        Config(broker_url="a", broker_port=1884, client_id="c", key_prefix="MQTT"),
        Config(broker_url="a", client_id="d", key_prefix="MQTT"),
        Config(broker_url="a", client_id="c", key_prefix="OTHER"),
        Config(broker_url="a", client_id="c", key_prefix="MQTT", username="me"),
        Config(broker_url=["a", "b"], client_id="c", key_prefix="MQTT"),
    ],
)
def test_another_configuration_has_another_identity(other: Config) -> None:
    values = Config(broker_url="a", client_id="c", key_prefix="MQTT")
    app = Flask("app")
    assert slots.identity(app, values) != slots.identity(app, other)


def test_another_application_has_another_identity(tmp_path: Path) -> None:
    values = Config()
    own = slots.identity(Flask("app"), values)
    assert own != slots.identity(Flask("other"), values)
    assert own != slots.identity(Flask("app", root_path=str(tmp_path)), values)
