"""The folder of the slots, which is the user's alone; and whose processes have slots together."""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from flask_mqtt.config import Config
from flask_mqtt.process import slots
from support.script import running

pytestmark = pytest.mark.usefixtures("slots_folder")

#: Takes a slot of an identity, says its number and keeps it until it is told to go on.
HOLDER = """
    from flask_mqtt.process import slots
    slot = slots.take(sys.argv[2])
    say(slot.number)
    sys.stdin.readline()
"""


def in_another_process(identity: str) -> int:
    """Return the number of the slot that another process gets."""
    with running(HOLDER, 1, identity) as script:
        number = int(script.line())
        script.go()
        assert script.finish() == 0, script.errors
    return number


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


# -- files that nobody needs ----------------------------------------------------------------------


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_new_file_takes_the_place_of_those_that_nobody_needs(slots_folder: Path) -> None:
    for number in range(5):
        slots.take(f"id-{number}").release()
    assert names(slots_folder) == {"id-4.slots"}


def test_a_file_stays_that_somebody_has_open_or_that_says_something(slots_folder: Path) -> None:
    own = slots.take("own")
    left = slots.take("left")
    left.mark(dirty=True)
    left.release()
    (slots_folder / "other").touch()
    (slots_folder / "link.slots").symlink_to(slots_folder / "other")
    with running(HOLDER, 1, "others") as other:
        other.expect("0")
        slots.take("new")
        expected = {"own.slots", "left.slots", "others.slots", "new.slots", "other", "link.slots"}
        assert names(slots_folder) == expected
        assert slots.take("others").number == 1
        assert in_another_process("own") == 1
        other.go()
        other.expect("")
    assert own.number == 0


def test_a_file_that_is_being_removed_is_opened_anew(
    slots_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots.take("app").release()
    opened = os.open

    def removed_meanwhile(path: object, *arguments: Any, **further: Any) -> int:
        found = opened(path, *arguments, **further)  # type: ignore[arg-type]
        if path == "app.slots":
            monkeypatch.setattr(os, "open", opened)
            (slots_folder / "app.slots").unlink()
        return found

    monkeypatch.setattr(os, "open", removed_meanwhile)
    slot = slots.take("app")
    assert names(slots_folder) == {"app.slots"}
    assert in_another_process("app") == 1
    assert slot.number == 0


def test_processes_that_make_and_remove_files_at_once_never_share_a_slot() -> None:
    code = """
        from flask_mqtt.process import slots
        for number in range(200):
            slots.take(f"{os.getpid()}-{number}").release()
            slot = slots.try_take("same", 0)
            if slot is not None:
                # Whoever has it is alone.
                descriptor = os.open(sys.argv[2] + ".held", os.O_CREAT | os.O_EXCL)
                os.close(descriptor)
                os.unlink(sys.argv[2] + ".held")
                slot.release()
        say("done")
    """
    path = Path(tempfile.gettempdir()) / "same"
    with ExitStack() as stack:
        scripts = [stack.enter_context(running(code, 1, path)) for _ in range(4)]
        for script in scripts:
            script.expect("done")
            assert script.finish() == 0, script.errors


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
